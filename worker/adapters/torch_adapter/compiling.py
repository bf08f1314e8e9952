"""torch.compile, where the machine has what it needs."""

from __future__ import annotations

import shutil
import sysconfig
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worker.adapters.errors import UnsupportedError

_WAY_OUT = "install g++ and Python's headers on the worker's machine, or use execution: auto"


def compiled(function: Callable[..., Any]) -> Any:
    """The function, compiled anew for each batch size; raises UnsupportedError without a C++ compiler."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own, about its own modules
        import torch._inductor.compile_fx
        import torch._inductor.config as inductor

    candidates = [name for name in inductor.cpp.cxx if name]
    if not any(shutil.which(name) for name in candidates):
        raise UnsupportedError(
            f"execution: compiled needs a C++ compiler; there is no {' or '.join(candidates)}: {_WAY_OUT}"
        )
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if not headers.exists():
        raise UnsupportedError(
            f"execution: compiled needs Python's headers, and {headers} is not there: {_WAY_OUT}"
        )
    torch._dynamo.reset()  # what an earlier run compiled neither helps this one's clock nor counts as its own
    inductor.deterministic = True
    inductor.compile_threads = 1  # a pool of compiling processes would outlive the run
    return torch.compile(function, dynamic=False, fullgraph=True)
