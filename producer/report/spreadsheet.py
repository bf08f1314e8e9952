"""Any document as CSV or Parquet in long form: one value a line, for a spreadsheet or a data frame.

The columns are `table`, `row`, `side`, `seed`, `value` and `text`. A number stands in `value` with every
digit, anything else in `text`, so that `value` is a column of numbers throughout. Lines and quotes are those
of RFC 4180.
"""

from __future__ import annotations

import csv
import json
import math
from typing import Any, BinaryIO, TextIO

from likewise.producer.display import printable
from likewise.producer.report import MARK
from likewise.producer.report.document import Document, Value

COLUMNS = ("table", "row", "side", "seed", "value", "text")
_FORMULA = ("=", "+", "-", "@")
"""What a spreadsheet takes for the beginning of a formula."""


def write_csv(document: Document, stream: TextIO) -> None:
    """Write the document's values."""
    lines = csv.writer(stream, lineterminator="\r\n")
    lines.writerow(COLUMNS)
    lines.writerows(map(_line, document.values()))


def write_parquet(document: Document, stream: BinaryIO) -> None:
    """Write the same values and columns as Parquet, in which a text is never taken for a formula."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        (
            one.table,
            one.row,
            one.side,
            one.seed,
            float(one.value) if is_number(one.value) else None,
            None if is_number(one.value) or one.value is None else _words(one.value),
        )
        for one in document.values()
    ]
    kinds = (pa.string(), pa.string(), pa.string(), pa.int64(), pa.float64(), pa.string())
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)), metadata={"about": MARK})
    columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in COLUMNS]
    pq.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True)), schema=schema), stream)


def _line(one: Value) -> tuple[Any, ...]:
    number = is_number(one.value)
    return (
        safe_text(one.table),
        safe_text(one.row),
        safe_text(one.side),
        "" if one.seed is None else one.seed,
        one.value if number else "",
        "" if number or one.value is None else safe_text(_words(one.value)),
    )


def is_number(value: Any) -> bool:
    """Return whether a value is a finite number; True and False are words."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def safe_text(text: str) -> str:
    """Return the text so that no spreadsheet runs it: a formula gets an apostrophe, a number stays."""
    text = printable(text)
    if not text.startswith(_FORMULA):
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
