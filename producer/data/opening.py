"""Opens data files: here or at an address that fsspec knows, packed or not, never more than the limit."""

from __future__ import annotations

import io
import lzma
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import responses
from pathlib import Path
from typing import IO, Any

from likewise.producer.data.loaded import MAX_BYTES, find_file
from likewise.producer.data.reading import on_read
from likewise.producer.display import printable, short, size
from likewise.shared.errors import DataError

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"\xfd7zXZ\0": "xz",
    b"PK\x03\x04": "zip",
}
"""How packed files begin."""
_NOT_THERE = (404, 410)
"""What a web server answers where there is no such file."""


@contextmanager
def opened(path: str, base: Path) -> Iterator[tuple[IO[bytes], str]]:
    """Give a file's unpacked bytes, and the name that messages call it by. Raises DataError.

    More bytes than the limit are refused as soon as they come out of a packed file, not when memory is full.
    """
    with ExitStack() as held:
        if "://" in path:
            place = printable(path.rstrip("/").rpartition("/")[2])
            raw = _elsewhere(path, held)
        else:
            file = find_file(path, base)
            place = printable(file.name)
            try:
                raw = held.enter_context(file.open("rb"))
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise DataError(f"{place}: cannot be read: {reason}") from None
        try:
            yield io.BufferedReader(_Limited(_unpacked(raw, place, held), place), 2**20), place
        finally:
            on_read.get()(place, None)


def _elsewhere(path: str, held: ExitStack) -> IO[bytes]:
    """Open an address, with all that it leads through, for as long as `held` is open."""
    import fsspec

    try:
        stream: IO[bytes] = held.enter_context(fsspec.open(path, "rb"))
        return stream
    except MemoryError:
        raise
    except Exception as error:  # each protocol's library has errors of its own kinds
        raise DataError(f"data.path {short(path)}: {_why_not_opened(error)}") from None


def _why_not_opened(error: BaseException) -> str:
    """Say why an address cannot be opened; of web servers by what lies behind a file that is not found."""
    cause = error.__cause__ or error.__context__ if isinstance(error, FileNotFoundError) else None
    status = getattr(cause, "status", None)
    if isinstance(error, FileNotFoundError) and (cause is None or status in _NOT_THERE):
        return "there is no such file"
    told = cause or error
    if isinstance(status, int):
        reason = f"the server answers {status} ({responses[status]})" if status in responses else ""
    else:
        reason = str(told)
    return f"cannot be opened: {printable(reason or type(told).__name__)}"


def _unpacked(raw: IO[bytes], place: str, held: ExitStack) -> Any:
    start, raw = _begun(raw, place, held)
    packing = next((name for mark, name in _PACKED.items() if start.startswith(mark)), None)
    if packing is None:
        return raw
    if packing == "xz":
        return lzma.open(raw)
    if packing == "zip":
        return _only_member(raw, place)
    import pyarrow as pa

    return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), packing)


def _begun(raw: IO[bytes], place: str, held: ExitStack) -> tuple[bytes, IO[bytes]]:
    """Return how a stream begins, and a stream of the whole, which can be read from any place.

    A server that does not say how long a file is gives it once, from its beginning: it is kept on the disk.
    """
    limited = _Limited(raw, place)
    start = limited.read(8) or b""
    try:
        raw.seek(0)
    except ValueError:
        whole = held.enter_context(tempfile.TemporaryFile(prefix="likewise-"))  # noqa: SIM115 (held by the stack)
        whole.write(start)
        shutil.copyfileobj(limited, whole)
        whole.seek(0)
        return start, whole
    return start, raw


def _only_member(raw: IO[bytes], place: str) -> IO[bytes]:
    try:
        archive = zipfile.ZipFile(raw)
        names = archive.namelist()
        if "xl/workbook.xml" in names:
            raise DataError(f"{place}: is an Excel workbook; save the sheet that is meant as CSV")
        if len(names) != 1:
            raise DataError(f"{place}: is an archive of {len(names)} files; unpack the one that is meant")
        return archive.open(names[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise DataError(f"{place}: is not a readable archive: {printable(str(error))}") from None


class _Limited(io.RawIOBase):
    """It is a stream that counts what is read, and refuses more than the limit."""

    def __init__(self, stream: Any, place: str) -> None:
        self._stream, self._place, self._count = stream, place, 0
        self._heard = on_read.get()  # pyarrow reads in threads of its own, which have no such context

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes; DataError once they are too many."""
        try:
            part = self._stream.read(len(buffer))
        except (DataError, MemoryError):
            raise
        except Exception as error:  # of what unpacks, or of an address's protocol, each of its own kind
            reason = printable(str(error) or type(error).__name__)
            raise DataError(f"{self._place}: cannot be read to its end: {reason}") from None
        buffer[: len(part)] = part
        self._count += len(part)
        if self._count > MAX_BYTES:
            raise DataError(
                f"{self._place}: unpacks to more than {size(MAX_BYTES)}; at most that can be trained on"
            )
        self._heard(self._place, self._count)
        return len(part)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return whether the file is."""
        return bool(self._stream.seekable())

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go elsewhere, as Parquet does; what is read from there is counted anew."""
        self._count = 0
        return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        """Return the place in the file."""
        return int(self._stream.tell())
