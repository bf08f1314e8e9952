"""Field types that several parts of the job file share."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Strict, Tag
from pydantic_core import PydanticCustomError

T = TypeVar("T")

Many = Annotated[tuple[T, ...], Strict(False)]
"""A JSON array; its items stay strict."""

HANDLE = r"^[A-Za-z][A-Za-z0-9_]*$"
"""What the name of a layer, an input or an output looks like."""
Handle = Annotated[str, Field(pattern=HANDLE)]
ONE, NAMED = "[one]", "[named]"
"""The tags of what is given once, and by name: no key of a job file looks so."""


def _one_or_named(value: Any) -> str:
    return NAMED if isinstance(value, dict) else ONE


ByName = Annotated[
    Annotated[T, Tag(ONE)] | Annotated[dict[Handle, T], Tag(NAMED)], Discriminator(_one_or_named)
]
"""A value, or a mapping with one for each input, or output, of the model by its name."""

Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
DataSeed = Annotated[int, Field(ge=0, lt=2**63)]


def _even_numbers(value: Any) -> Any:
    """Find the first thing wrong with rows of numbers, where the union would list every number twice."""
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("table", "expected a list of numbers, or a list of rows of numbers")
    if not value:
        raise PydanticCustomError("table", "expected at least one row, and there is none")
    rows = isinstance(value[0], list | tuple)
    for number, row in enumerate(value, start=1):
        if isinstance(row, list | tuple) != rows:
            raise _table_error(number, row, "a list" if rows else "a number", "like the rows before it")
        if not rows:
            _finite(number, None, row)
            continue
        if not row:
            raise PydanticCustomError("table", "row {row} is empty", {"row": number})
        if len(row) != len(value[0]):
            raise PydanticCustomError(
                "table",
                "row {row} has {found} values where row 1 has {expected}",
                {"row": number, "found": len(row), "expected": len(value[0])},
            )
        for column, item in enumerate(row, start=1):
            _finite(number, column, item)
    return value


def _finite(row: int, column: int | None, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _table_error(row, value, "a number", "", column)
    try:
        finite = math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise _table_error(row, value, "a finite number", "", column)


def _table_error(
    row: int, value: Any, expected: str, why: str, column: int | None = None
) -> PydanticCustomError:
    where = f"row {row}" if column is None else f"row {row}, column {column}"
    text = f"{where} is not {expected}{' ' * bool(why)}{why}"
    return PydanticCustomError("table", "{text}", {"text": text, "value": value})


Table = Annotated[Many[float] | Many[Many[float]], BeforeValidator(_even_numbers)]
"""Rows of finite numbers, all of one length. A flat list is one column: `[1, 2]` has two rows."""


def _rows_by_column(value: Any) -> Any:
    named = isinstance(value, list | tuple) and bool(value) and all(isinstance(row, dict) for row in value)
    return value if named else _even_numbers(value)


_Rows = Annotated[
    Many[float] | Many[Many[float]] | Many[dict[str, float | bool | str | None]],
    BeforeValidator(_rows_by_column),
]
RowsToPredict = Annotated[
    Annotated[_Rows, Tag(ONE)] | Annotated[dict[Handle, Table], Tag(NAMED)], Discriminator(_one_or_named)
]
"""Rows of numbers, or of a table's values by column: `{species: A, year: 2009}`; null is a gap. A mapping has
the rows of each input of the model."""


def _number_or_even_numbers(value: Any) -> Any:
    return _even_numbers(value) if isinstance(value, list | tuple) else value


Numbers = Annotated[float | Many[float] | Many[Many[float]], BeforeValidator(_number_or_even_numbers)]
"""An array of up to two dimensions: a finite number, a list of them, or rows of one length."""
