"""Which execution `auto` stands for, and torch.compile where the machine has what it needs.

The job alone decides, so that a rerun takes the same way. The rule and its measurements are in
docs/decisions, "PyTorch compiles when it is asked to".
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from likewise.shared.job import Job
from likewise.shared.job.training import BatchPlan
from likewise.worker.adapters.base import UnsupportedError

REPLAYED_FROM_STEPS = 30
"""A replayed update takes 0.1 to 0.8 ms less than an eager one, and recording takes one to three ms."""

Execution = Literal["eager", "replayed", "compiled"]


def execution(job: Job, *, samples: int, device: str) -> Execution:
    """How the job is trained. Raises UnsupportedError where it says `compiled` and nothing can be compiled.

    Eager and replayed give the same bits; compiled gives others.
    """
    match job.execution:
        case "compiled":
            check_compiler()
            return "compiled"
        case "eager":
            return "eager"
    many = BatchPlan.of(job.training, samples).steps >= REPLAYED_FROM_STEPS
    return "replayed" if many and device == "cpu" else "eager"


_CACHE = "likewise-inductor"
_WAY_OUT = (
    "install g++ and Python's headers on the worker's machine (with containers: "
    "TORCH_PACKAGES=g++ docker compose build worker-torch), or use execution: auto"
)


def check_compiler() -> None:
    """Raise UnsupportedError where torch.compile lacks a C++ compiler or Python's headers."""
    _keep_to_own_cache()  # before PyTorch settles for its default
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyTorch's own, about its own modules
        import torch._inductor.compile_fx

    candidates = [name for name in torch._inductor.config.cpp.cxx if name]
    if not any(shutil.which(name) for name in candidates):
        raise UnsupportedError(
            f"execution: compiled needs a C++ compiler; there is no {' or '.join(candidates)}; {_WAY_OUT}"
        )
    headers = Path(sysconfig.get_path("include"), "Python.h")
    if not headers.exists():
        raise UnsupportedError(
            f"execution: compiled needs Python's headers, and {headers} is not there; {_WAY_OUT}"
        )


def _keep_to_own_cache() -> None:
    """Give this process a cache of compiled code of its own, and remove those of processes that ended.

    PyTorch's default is one folder for all processes of a user, which another user may own.
    """
    if "TORCHINDUCTOR_CACHE_DIR" in os.environ:
        return
    temporary = Path(tempfile.gettempdir())
    for folder in temporary.glob(f"{_CACHE}-*-*"):
        if folder.stat().st_uid == os.getuid() and not _alive(int(folder.name.split("-")[2])):
            shutil.rmtree(folder, ignore_errors=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix=f"{_CACHE}-{os.getpid()}-")


def forget_compiled_code() -> None:
    """Empty torch.compile's caches in memory and begin a new one on disk, unless the folder is another's."""
    import torch._inductor.utils

    torch._inductor.utils.clear_caches()
    folder = Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR", ""))
    if folder.name.startswith(f"{_CACHE}-{os.getpid()}-"):
        del os.environ["TORCHINDUCTOR_CACHE_DIR"]
        shutil.rmtree(folder, ignore_errors=True)
        _keep_to_own_cache()


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def compiled(function: Callable[..., Any]) -> Any:
    """Return the function, compiled at its first call; after `check_compiler`."""
    import torch._inductor.config

    torch._inductor.config.size_asserts = False  # a fifth of a small update's time
    torch._inductor.config.cpp_wrapper = True  # or Python would run the loop, and call each kernel
    torch._inductor.config.deterministic = True
    torch._inductor.config.compile_threads = 1  # a pool of compiling processes would outlive the run
    return torch.compile(function, dynamic=False, fullgraph=True)
