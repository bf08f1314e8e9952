"""Files behind LIKEWISE_BLOB_URL: a folder, or an object store that fsspec knows, which all hosts reach."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from uuid import uuid4

from shared.errors import LikewiseError


class RemoteFiles:
    """Paths below the URL. What its file system raises becomes `error`, naming the URL and the path."""

    def __init__(self, url: str, *, error: type[LikewiseError]) -> None:
        self._url = url
        self._error = error

    def write(self, path: str, data: bytes) -> None:
        """Never a half-written file under its name; one of the same name and size is taken for the same."""

        def use(files: Any, whole: str) -> None:
            folder, _, name = whole.rpartition("/")
            files.makedirs(folder, exist_ok=True)
            if files.exists(whole) and files.size(whole) == len(data):
                return
            written = f"{folder}/.new-{name}-{uuid4().hex}"
            files.pipe_file(written, data)
            files.mv(written, whole)

        self._use(path, use)

    def read(self, path: str) -> bytes:
        """The bytes of a file."""
        data: bytes = self._use(path, lambda files, whole: files.cat_file(whole))
        return data

    def keep_only(self, folder: str, names: Collection[str]) -> None:
        """Delete the other files of a folder, and the folder when it is empty."""

        def use(files: Any, whole: str) -> None:
            if not files.exists(whole):
                return
            for path in files.ls(whole, detail=False):
                if path.rpartition("/")[2] not in names:
                    files.rm_file(path)
            if not names:
                files.rm(whole, recursive=True)

        self._use(folder, use)

    def _use(self, path: str, use: Callable[[Any, str], Any]) -> Any:
        import fsspec

        try:
            files, root = fsspec.core.url_to_fs(self._url)
        except (ValueError, ImportError) as error:
            raise self._error(
                f"LIKEWISE_BLOB_URL is {self._url!r}: {error}; it takes a folder, such as file:///mnt/data, "
                "or an object store, such as s3://bucket/likewise, with fsspec's package for it installed"
            ) from None
        try:
            return use(files, f"{root.rstrip('/')}/{path}")
        except Exception as error:  # each file system has errors of its own
            raise self._error(
                f"LIKEWISE_BLOB_URL {self._url} cannot serve {path}: {type(error).__name__}: {error}"
            ) from None
