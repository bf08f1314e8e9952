"""Several files that are one set of samples: what messages call them, and which of them a row is in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from likewise.producer.display import both, count, printable, short
from likewise.shared.errors import DataError

_SHOWN = 5
"""At most this many columns are named in a message."""


def listed(paths: str | Sequence[str]) -> Sequence[str]:
    """Return the files that a field names, in order; an only one in a list."""
    return [paths] if isinstance(paths, str) else paths


def file_name(path: str) -> str:
    """Return what messages call a file or an address."""
    return printable(path.rstrip("/").rpartition("/")[2])


def place_of(paths: str | Sequence[str]) -> str:
    """Return what messages call the samples of one file or of several: `a.csv and 2 other files`."""
    every = listed(paths)
    first = file_name(every[0])
    return first if len(every) == 1 else f"{first} and {count(len(every) - 1, 'other file')}"


def row_namer(
    paths: str | Sequence[str], rows: Sequence[int], name: Callable[[str, int], str]
) -> Callable[[int], str]:
    """Return what calls a row, counted from 0 over all files, by its place and where several are by its file.

    Args:
        paths: The files, in order.
        rows: How many rows each has.
        name: It says the place of a row within a file, from the file's path: `line 7`.

    """
    every, ends = listed(paths), list(accumulate(rows))
    if len(every) == 1:
        return lambda row: name(every[0], row)

    def named(row: int) -> str:
        file = bisect_right(ends, row)
        return f"{name(every[file], row - (ends[file - 1] if file else 0))} of {file_name(every[file])}"

    return named


def refuse_other_columns(names: Sequence[str], place: str, *, first: Sequence[str], first_place: str) -> None:
    """Raise DataError where a file has not the columns that the first one has; their order is its own."""
    if first_place == place:
        place = f"{place} (a later file of that name)"
    for has, lacks, those, others in (
        (first_place, place, first, frozenset(names)),
        (place, first_place, names, frozenset(first)),
    ):
        if alone := [name for name in those if name not in others]:
            shown = both([short(name) for name in alone[:_SHOWN]])
            more = f" and {len(alone) - _SHOWN} more" if len(alone) > _SHOWN else ""
            columns = "the column" if len(alone) == 1 else "the columns"
            raise DataError(
                f"{lacks}: lacks {columns} {shown}{more}, which {has} has; files that are read as one table "
                "have the same columns, in any order"
            )
