"""The user's file: imports it, finds its functions, and names lines of it."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FrameType
from typing import Any

from likewise.worker.port.contract import ProgramError
from likewise.worker.port.verified import VerifiedFolder

FUNCTIONS = ("model", "loss", "optimizer", "step", "data", "evaluate")
"""What a side's file may define; only `model` must be there."""
_hidden = {"numpy"}
_PACKAGES = {Path(sysconfig.get_path(name)).resolve() for name in ("purelib", "platlib")}
_FOLDERS = ("site-packages", "dist-packages")
_STDLIB = Path(sysconfig.get_path("stdlib")).resolve()
_OURS = Path(__file__).resolve().parents[1]


class UserFile:
    """The functions of a side's file. `file.py:build` names the one that makes the model."""

    def __init__(self, file: Path, maker: str | None) -> None:
        """Import the file. Raises ProgramError with the user's own line where that fails."""
        self.file = file
        module = self._imported()
        name = maker or "model"
        if not callable(getattr(module, name, None)):
            there = [
                key for key, value in vars(module).items() if callable(value) and not key.startswith("_")
            ]
            listed = ", ".join(there[:10]) or "no function"
            raise ProgramError(f"{file.name} has no function {name}(); it has {listed}")
        self._functions: dict[str, Callable[..., Any]] = {"model": getattr(module, name)}
        for other in FUNCTIONS[1:]:
            if callable(found := getattr(module, other, None)):
                self._functions[other] = found
        self.inputs: dict[str, dict[str, str]] = self._inputs(getattr(module, "inputs", None))
        """What the file says of the batch's arrays, by their names there: the model's `name` and `layout`."""

    @property
    def lines(self) -> dict[str, str]:
        """Return where each of its functions is defined or assigned, as `file.py:12`."""
        found = {}
        for statement in ast.parse(self.file.read_text()).body:
            names = [getattr(statement, "name", None)]
            if isinstance(statement, ast.Assign):
                names = [getattr(target, "id", None) for target in statement.targets]
            for name in names:
                if name in self._functions:
                    found[name] = f"{self.file.name}:{statement.lineno}"
        for name, function in self._functions.items():  # imported from a file of the program's
            code = getattr(function, "__code__", None)
            if name not in found and code is not None and is_users(code.co_filename):
                found[name] = f"{Path(code.co_filename).name}:{code.co_firstlineno}"
        return found

    @property
    def functions(self) -> list[str]:
        """Return which of `FUNCTIONS` there are."""
        return list(self._functions)

    def offer(self, name: str, function: Callable[..., Any]) -> bool:
        """Take a function for one that the file does not define; return whether it does not."""
        return self._functions.setdefault(name, function) is function

    def _inputs(self, given: Any) -> dict[str, dict[str, str]]:
        if given is None or callable(given):
            return {}
        told: dict[str, dict[str, str]] = {}
        for name, one in given.items() if isinstance(given, dict) else [(None, None)]:
            said: Any = {"name": one} if isinstance(one, str) else one
            words = isinstance(said, dict) and all(isinstance(word, str) for word in said.values())
            if not isinstance(name, str) or not words or not set(said) <= {"name", "layout"}:
                raise ProgramError(
                    f"inputs of {self.file.name} must be a mapping from the batch's names to the model's, "
                    'such as {"token_ids": "input_ids"}, or to {"layout": "as given"}'
                )
            told[name] = said
        return told

    def call(self, name: str, *arguments: Any) -> Any:
        """Call one of the functions. Raises ProgramError with the user's own line where that fails."""
        if name not in self._functions:
            raise ProgramError(f"{self.file.name} defines no {name}()")
        return self.guarded(f"{name}()", self._functions[name], *arguments)

    def guarded(self, what: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call something of the user's. Raises ProgramError with the user's own line where that fails."""
        try:
            return function(*arguments, **named)
        except ProgramError:
            raise
        except Exception as error:
            raise ProgramError(f"{what} failed at {self._line_of(error)}: {_told(error)}") from error

    def _imported(self) -> Any:
        if not self.file.is_file():
            raise ProgramError(f"there is no file {self.file}")
        sys.path.insert(0, str(self.file.parent))
        try:
            spec = self._spec()
        except ImportError as error:
            raise ProgramError(str(error)) from None
        if spec is None or spec.loader is None:
            raise ProgramError(f"{self.file.name} is no Python file; its name must end in .py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise ProgramError(
                f"{self.file.name} cannot be imported, at {self._line_of(error)}: {_told(error)}"
            ) from error
        return module

    def _spec(self) -> ModuleSpec | None:
        """Return the module's spec; it comes from the folder that alone is trusted, where there is one."""
        for finder in sys.meta_path:
            if isinstance(finder, VerifiedFolder):
                return finder.spec_of(self.file.stem, self.file)
        return importlib.util.spec_from_file_location(self.file.stem, self.file)

    def _line_of(self, error: BaseException) -> str:
        """Return the last line of the user's own code that the error came through."""
        if isinstance(error, SyntaxError) and error.filename:
            return f"{Path(error.filename).name}:{error.lineno}"
        own = [one for one in traceback.extract_tb(error.__traceback__) if is_users(one.filename)]
        return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else self.file.name


@contextmanager
def noting_lines(
    owner: Any, lines: dict[int, str | None], by_call: Callable[[Any], bool] = lambda _: False
) -> Iterator[None]:
    """Note at which line of the user's code each object of a class is made, by its id.

    Of an object of a class of the user's own it is a line of its `__init__`, which says its numbers; of one
    that is known `by_call` it is the line that makes it.
    """
    original = owner.__init__

    def made(one: Any, *arguments: Any, **named: Any) -> None:
        lines[id(one)] = users_line(without=one if by_call(one) else None)
        original(one, *arguments, **named)

    owner.__init__ = made
    try:
        yield
    finally:
        owner.__init__ = original


def hide_packages(*names: str) -> None:
    """Take no line of these packages for the program's."""
    _hidden.update(names)


def is_users(filename: str) -> bool:
    """Return whether a source file is the program's: not the standard library's, a framework's or ours.

    A model that a package defines is the program's, too.
    """
    if filename.startswith("<"):
        return False
    path = Path(filename).resolve()
    if path.is_relative_to(_OURS):
        return False
    for packages in _PACKAGES:
        if path.is_relative_to(packages):
            return path.relative_to(packages).parts[0] not in _hidden
    for folder in _FOLDERS:  # another environment's, on which this one is built
        if folder in path.parts[:-1]:
            return path.parts[path.parts.index(folder) + 1] not in _hidden
    return not path.is_relative_to(_STDLIB)


def users_line(*, without: Any = None) -> str | None:
    """Return the innermost line of the user's code that is running now, as `file.py:12`; where an object is
    given, it is none of the object's own `__init__`.
    """
    frame: FrameType | None = inspect.currentframe()
    while frame is not None:
        code = frame.f_code
        own = without is not None and code.co_name == "__init__" and _first(frame) is without
        if is_users(code.co_filename) and not own:
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def _first(frame: FrameType) -> Any:
    """Return the first argument of a function that runs."""
    return frame.f_locals.get(next(iter(frame.f_code.co_varnames), ""))


def _told(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{type(error).__name__}: {text[:400]}"
