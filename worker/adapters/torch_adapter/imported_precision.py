"""Keeps the precision that a hosted PyTorch program is checked in, whatever floats its code makes itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from likewise.worker.port.userfile import is_users

_NARROW = (torch.float32, torch.float16, torch.bfloat16)
_OURS = str(Path(__file__).parent)
_METHODS = {"float": torch.float32, "half": torch.float16, "bfloat16": torch.bfloat16}
"""Methods of a tensor that cast it, and what they cast it to."""


class KeptPrecision(TorchFunctionMode):  # type: ignore[misc]
    """While it is entered, what the program casts to a narrower float, or makes as one, is of float64.

    A program that says `x.float()` or `torch.zeros(3, dtype=torch.float32)` trains in float32; in float64 it
    would mix both, which PyTorch refuses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[str] = set()
        """The floats below float32 that the program asked for."""
        self.rests = False
        self._of_program: dict[str, bool] = {}

    def _is_of_program(self) -> bool:
        """Return whether the program's own code calls, through whatever else watches its calls."""
        frame = sys._getframe(2)
        while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
            frame = frame.f_back
        file = frame.f_code.co_filename
        if file not in self._of_program:
            self._of_program[file] = is_users(file)
        return self._of_program[file]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.rests or not self._is_of_program():
            return func(*args, **kwargs)  # what PyTorch itself calls, as to read a file, is left alone
        name = getattr(func, "__name__", "")
        if name in _METHODS:
            return args[0].to(self._kept(_METHODS[name]))
        if name in ("to", "type"):
            args = tuple(self._kept(one) if isinstance(one, torch.dtype) else one for one in args)
        if isinstance(kwargs.get("dtype"), torch.dtype):
            kwargs = {**kwargs, "dtype": self._kept(kwargs["dtype"])}
        return func(*args, **kwargs)

    def _kept(self, asked: torch.dtype) -> torch.dtype:
        if asked in _NARROW and asked != torch.float32:
            self.asked.add(str(asked).removeprefix("torch."))
        return torch.float64 if asked in _NARROW else asked


@contextmanager
def as_trained() -> Iterator[None]:
    """Let the program make the floats that it asks for while this is entered, as a loader of data does."""
    kept = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    for mode in _entered:
        mode.rests = True
    try:
        yield
    finally:
        torch.set_default_dtype(kept)
        for mode in _entered:
            mode.rests = False


_entered: list[KeptPrecision] = []
"""The mode of the program that is open in this process; none where that runs in float32."""


def keep_precision(precision: str) -> KeptPrecision | None:
    """Let every float that the program makes from now on be of this precision; `float32` is as it is."""
    while _entered:
        _entered.pop().__exit__(None, None, None)
    torch.set_default_dtype(torch.float64 if precision == "float64" else torch.float32)
    if precision != "float64":
        return None
    _entered.append(KeptPrecision())
    return _entered[0].__enter__()  # type: ignore[no-any-return]
