"""Names a user's program for a worker: its file and the others that it imports, each by its SHA-256.

A program that lies in the folder of the workers' programs (LIKEWISE_PROGRAMS) is run where it is. Another is
copied there with what it imports from beside it, since no code travels through Redis.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from likewise.shared.errors import UsageError
from likewise.shared.run import ProgramFile

_FOLDER = "ports"


@dataclass(frozen=True)
class ShippedProgram:
    """A program in the workers' folder."""

    files: tuple[ProgramFile, ...]
    """They are its own file, then every other that it may import."""

    @property
    def place(self) -> str:
        """Return where its own file lies in that folder."""
        return self.files[0].file


def ship(file: Path, folder: Path) -> ShippedProgram:
    """Return a program as a worker finds it in its folder; what is not there yet is copied.

    Raises UsageError where that cannot be done.
    """
    whole, inside = folder.resolve(), file.resolve()
    codes = {one: _read(one) for one in imported_files(inside)}
    if inside.is_relative_to(whole):
        return ShippedProgram(tuple(_named(one, whole, code) for one, code in codes.items()))
    base = inside.parent
    digest = hashlib.sha256()
    for one, code in codes.items():
        digest.update(f"{one.relative_to(base)}\0{hashlib.sha256(code).hexdigest()}\0".encode())
    copy = whole / _FOLDER / digest.hexdigest()[:20]
    copies = {copy / one.relative_to(base): code for one, code in codes.items()}
    files = tuple(_named(one, whole, code) for one, code in copies.items())
    for one, code in copies.items():
        try:
            _write(one, code)
        except OSError as error:
            raise UsageError(
                f"{file.name} cannot be written to {folder} (LIKEWISE_PROGRAMS): "
                f"{(error.strerror or str(error)).lower()}; put it into that folder yourself"
            ) from None
    return ShippedProgram(files)


def is_of_keras_2(file: Path) -> bool:
    """Return whether a program, or what it imports from beside it, is written in Keras 2."""
    if not file.is_file():
        return False
    codes = (one.read_bytes() for one in imported_files(file.resolve()))
    return any(word in code for code in codes for word in (b"tf_keras", b"TF_USE_LEGACY_KERAS"))


def imported_files(file: Path) -> list[Path]:
    """Return a Python file, then those of its folder that it imports, and those that they import.

    Only what an `import` names is seen.
    """
    base = file.parent
    found, waiting = {file: None}, [file]
    while waiting:
        one = waiting.pop(0)
        for other in _imports(one, base):
            if other not in found and other.resolve().is_relative_to(base):
                found[other] = None
                waiting.append(other)
    return list(found)


def _imports(file: Path, base: Path) -> Iterator[Path]:
    """Yield the files of a folder that a file imports."""
    try:
        tree = ast.parse(_read(file))
    except (SyntaxError, ValueError):  # its import will tell
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                yield from _files_of(base, one.name)
        elif isinstance(node, ast.ImportFrom):
            above = base if node.level == 0 else file.parents[node.level - 1]
            yield from _files_of(above, node.module or "")
            for one in node.names:
                yield from _files_of(above, f"{node.module}.{one.name}" if node.module else one.name)


def _files_of(base: Path, name: str) -> Iterator[Path]:
    """Yield the files that run where a module of this name is imported from a folder."""
    folder = base
    package = folder / "__init__.py"
    if not name and package.is_file():
        yield package
    for part in filter(None, name.split(".")):
        module, package = folder / f"{part}.py", folder / part / "__init__.py"
        if package.is_file():
            yield package
        elif module.is_file():
            yield module
        folder /= part


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from None


def _named(file: Path, folder: Path, code: bytes) -> ProgramFile:
    place = file.relative_to(folder).as_posix()
    try:
        return ProgramFile(file=place, sha256=hashlib.sha256(code).hexdigest())
    except ValidationError:
        raise UsageError(
            f"a worker cannot be sent to {place}: a program's name may have letters, digits, dots, dashes "
            "and underscores, and ends in .py"
        ) from None


def _write(file: Path, code: bytes) -> None:
    if file.is_file() and file.read_bytes() == code:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_bytes(code)
    partial.replace(file)
