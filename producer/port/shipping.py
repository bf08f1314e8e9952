"""Names a user's program for a worker: its file, those that it imports and reads, each by its SHA-256.

A program that lies in the folder of the workers' programs (LIKEWISE_PROGRAMS) is run where it is. Another is
copied there with what it imports and reads from beside it, since no code travels through Redis. What it reads
are the files that its code names, as in `np.load("weights.npz")`.
"""

from __future__ import annotations

import ast
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from likewise.shared.errors import UsageError
from likewise.shared.run import ProgramData, ProgramFile

_FOLDER = "ports"
MOST_DATA_BYTES = 512 * 2**20
"""A program is copied with no more data than this."""
_LONGEST_PATH = 200


@dataclass(frozen=True)
class ShippedProgram:
    """A program in the workers' folder."""

    files: tuple[ProgramFile, ...]
    """They are its own file, then every other that it may import."""
    data: tuple[ProgramData, ...] = ()
    """The files beside it that it reads."""
    copied: tuple[str, ...] = ()
    """The names of those that were copied with it."""

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
    read = {one: _read(one) for one in data_files(inside, codes.values())}
    base = inside.parent
    digest = hashlib.sha256()
    for one, code in {**codes, **read}.items():
        digest.update(f"{one.relative_to(base)}\0{hashlib.sha256(code).hexdigest()}\0".encode())
    copy = whole / _FOLDER / digest.hexdigest()[:20]
    copies = {copy / one.relative_to(base): code for one, code in codes.items()}
    files = tuple(_named(one, whole, code) for one, code in copies.items())
    beside = {copy / one.relative_to(base): found for one, found in read.items()}
    data = tuple(_data(one, whole, found) for one, found in beside.items())
    for one, code in {**copies, **beside}.items():
        try:
            _write(one, code)
        except OSError as error:
            raise UsageError(
                f"{file.name} cannot be written to {folder} (LIKEWISE_PROGRAMS): "
                f"{(error.strerror or str(error)).lower()}; put it into that folder yourself"
            ) from None
    return ShippedProgram(files, data, tuple(one.name for one in beside))


def data_files(file: Path, codes: Iterable[bytes]) -> list[Path]:
    """Return the files beside a program that its code names: by a path, or a folder and a name.

    Raises UsageError where they are more than a program is copied with.
    """
    base = file.parent
    texts = {
        one.value
        for code in codes
        for one in ast.walk(_tree(code))
        if isinstance(one, ast.Constant) and isinstance(one.value, str) and _may_be_a_path(one.value)
    }
    folders = [base, *(base / one for one in sorted(texts) if (base / one).is_dir())]
    found = dict.fromkeys(
        path.resolve() for folder in folders for one in sorted(texts) if (path := folder / one).is_file()
    )
    files = [one for one in found if one.is_relative_to(base) and one.suffix != ".py"]
    if sum(one.stat().st_size for one in files) > MOST_DATA_BYTES:
        largest = max(files, key=lambda one: one.stat().st_size)
        raise UsageError(
            f"{file.name} reads {largest.name}, which is too large to be copied for a worker; put the "
            "program with its data into the folder of LIKEWISE_PROGRAMS"
        )
    return files


def _may_be_a_path(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_PATH and text.strip("./ ") != "" and text.isprintable()


def _tree(code: bytes) -> ast.AST:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError):  # its import will tell
        return ast.Module(body=[], type_ignores=[])


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


def _data(file: Path, folder: Path, found: bytes) -> ProgramData:
    place = file.relative_to(folder).as_posix()
    try:
        return ProgramData(file=place, sha256=hashlib.sha256(found).hexdigest())
    except ValidationError:
        raise UsageError(
            f"a worker cannot be sent to {place}: the name of what a program reads may have letters, digits, "
            "dots, dashes and underscores"
        ) from None


def _write(file: Path, code: bytes) -> None:
    if file.is_file() and file.read_bytes() == code:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}")
    partial.write_bytes(code)
    partial.replace(file)
