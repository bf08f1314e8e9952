"""The files that a hosted program may import, where others are not to be trusted: each by its SHA-256.

What is run are the bytes that were hashed, not what lies in the file a moment later.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType


class RefusedFileError(ImportError):
    """A file of the folder is not one that the run names, or is not what it says."""


class VerifiedFolder(MetaPathFinder):
    """A folder whose Python files are imported only where their hashes are known."""

    def __init__(self, folder: Path, hashes: Mapping[str, str]) -> None:
        """Take the SHA-256 of each file by its place in the folder."""
        self.folder = folder.resolve()
        self._hashes = hashes

    def read(self, file: Path) -> bytes:
        """Return the bytes of a file. Raises RefusedFileError."""
        whole = file.resolve()
        place = whole.relative_to(self.folder).as_posix() if whole.is_relative_to(self.folder) else None
        if place is None:
            raise RefusedFileError(f"{file.name} leads out of the folder of programs")
        if place not in self._hashes:
            raise RefusedFileError(
                f"{place} is not among the files that the run names; import it by a plain import, where the "
                "producer sees it"
            )
        code = whole.read_bytes()
        if hashlib.sha256(code).hexdigest() != self._hashes[place]:
            raise RefusedFileError(
                f"{place} has another SHA-256 than the run names; it was changed meanwhile"
            )
        return code

    def install(self) -> None:
        """Let imports of this folder pass here from now on."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of the folder; None for one that lies elsewhere."""
        found = PathFinder.find_spec(name, path, target)
        if found is None or found.origin is None:
            return None
        file = Path(found.origin)
        if not file.resolve().is_relative_to(self.folder):
            return None
        if file.suffix != ".py":
            raise RefusedFileError(
                f"{file.name} is no Python text; a worker imports only that from its folder"
            )
        return self.spec_of(name, file, package=found.submodule_search_locations)

    def spec_of(self, name: str, file: Path, *, package: Sequence[str] | None = None) -> ModuleSpec | None:
        """Return the spec of a module whose text is this file's."""
        spec = spec_from_loader(
            name, VerifiedLoader(self.read(file), str(file)), origin=str(file), is_package=package is not None
        )
        if spec is not None:
            spec.has_location = True
            if package is not None:
                spec.submodule_search_locations = list(package)
        return spec


class VerifiedLoader(SourceLoader):
    """Imports the text that was hashed; nothing is cached beside it."""

    def __init__(self, code: bytes, file: str) -> None:
        self._code, self._file = code, file

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002 -- importlib passes it
        """Return the name of the file."""
        return self._file

    def get_data(self, path: str) -> bytes:  # noqa: ARG002 -- importlib passes it
        """Return the text that was hashed."""
        return self._code

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002 -- importlib passes it
        """Return the text, compiled."""
        return self.source_to_code(self._code, self._file)
