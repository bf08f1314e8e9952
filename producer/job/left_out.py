"""Why a column of a table is left out of the job that is made for it, and what would take it in."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.dates import mixed_dates, possible_formats
from likewise.producer.data.table import Column, DataTable, mixed_numbers, units_of
from likewise.producer.display import count, short

MOST_CATEGORIES = 50
_LEAST_IDS = 10
_WHOLE = 2.0**53
"""The last whole number up to which float64 has each of them."""


def reason_to_leave(
    column: Column, table: DataTable, place: int, missing: str, *, every: Column
) -> str | None:
    """Return why a column is left out, and what would take it in; None where it is not.

    Column and table have the rows that are trained on, at the given place among the file's columns; `every`
    is the column with all rows of the file.
    """
    there = ~column.missing
    if column.kind == "other" or not there.any():
        return _no_value(column)
    if (same := _all_the_same(column)) is not None:
        gaps = not there.all() and same.startswith("constant")
        return f"{same} or a gap; {_gaps_alone(column, missing)}" if gaps else same
    if there.sum() < 0.5 * table.rows:
        if column.kind in ("number", "date", "time") and not column.padded:
            return f"gaps: {missing}; to take it in, move it from this list to missing: median or indicator"
        return (
            f"gaps: {missing}; to take it in, move it from this list to missing: indicator and to "
            f"categories: one_hot makes {count(len(column.labels()[1]), 'feature')} and one for the gap"
        )
    if column.kind == "text":
        return _reason_to_leave_text(column, int(there.sum()))
    return _reason_to_leave_numbers(column, every, place) if column.kind == "number" else None


def _no_value(column: Column) -> str:
    if column.kind == "empty":
        return "gaps: it has no value at all"
    if column.kind != "other":
        return "gaps: it has values only in rows without a target, and these are not trained on"
    advice = "give what is to be trained on a column of its own in the file"
    return f"type: it holds {column.words[0]}, which is no value; {advice}"


def _gaps_alone(column: Column, missing: str) -> str:
    words = " and to categories: one_hot" if column.kind == "text" else ""
    return f"{missing}; to take the gaps in, move it from this list to missing: indicator{words}"


def _reason_to_leave_numbers(column: Column, every: Column, place: int) -> str | None:
    if _is_index(every, place):
        return "index: it numbers the rows; take it off this list to train on it"
    known = column.values[~column.missing]
    if is_id_name(column.name) and _differ(known):
        return "identifier: each row has a number of its own; take it off this list to train on it"
    different = len(np.unique(known)) if column.padded else 0
    if different > MOST_CATEGORIES:
        return (
            "code: its numbers have zeros before them, as codes have; take it off this list to train on "
            f"numbers, or move it to categories: one_hot makes {different} features"
        )
    return None


_MULTIPLIED = re.compile(r"[+-]?[0-9][0-9.,' ]*(k|m|mn|mio|b|bn|mrd|)", re.IGNORECASE)
"""A number, with letters for thousands, millions or thousand millions behind it."""
_FOREIGN_DATE = re.compile(
    r"""(?:[0-9]{1,2}[.]?[\s/-]*(?:de[ ])?)?
    (?:januar|jänner|januari|janvier|janv|janeiro|enero|ene|gennaio|gen|jan
    |februar|feber|februari|février|fevrier|févr|fév|fevereiro|fev|febrero|febbraio|feb
    |märz|mrz|maart|mrt|mars|marzo|março|mar|april|avril|avr|abril|abr|aprile|apr|mai|mei|mayo|maio|maggio|mag|may
    |juni|juin|junio|junho|giugno|giu|jun|juli|juillet|juil|julio|julho|luglio|lug|jul
    |august|augustus|août|aout|agosto|ago|aug|september|septembre|septiembre|setembro|settembre
    |set|sept|sep
    |oktober|okt|octobre|octubre|outubro|out|ottobre|ott|oct|november|novembre|noviembre|novembro|nov
    |dezember|dez|december|décembre|decembre|déc|diciembre|dic|dezembro|dicembre|dec)
    [.]?[,]?[\s/-]*(?:de[ ])?[0-9]{2,4}""",
    re.IGNORECASE | re.VERBOSE,
)
"""It matches a date whose month is named in German, French, Spanish, Italian, Portuguese or Dutch."""


def _all_the_same(column: Column) -> str | None:
    there = ~column.missing
    if column.numbers is None:
        if len(np.unique(column.places[there])) > 1:
            return None
    elif np.nanmin(column.numbers) < np.nanmax(column.numbers):
        return None
    elif column.kind == "number" and abs(column.values[there][0]) > _WHOLE:
        return f"identifier: its numbers are beyond {_WHOLE:g}, where float64 does not tell neighbours apart"
    return f"constant: every value is {_quoted(column, int(np.flatnonzero(there)[0]))}"


def _quoted(column: Column, row: int) -> str:
    """Return a value as a message has it: a whole number without a fraction."""
    return column.word_of(column.values[row]) if column.kind == "number" else short(column.cell(row))


def _reason_to_leave_text(column: Column, rows: int) -> str | None:
    reason = _wrong_date(column.words) or _wrong_number(column.words)
    if reason is None and (len(column.words) == rows or len(column.words) > MOST_CATEGORIES):
        return _several_units(column.words) or (
            f"text: {len(column.words)} different values in {rows} rows; to take it in, move it from here "
            f"to categories: one_hot makes {len(column.words)} features, ordinal one"
        )
    return reason


def _wrong_date(words: Sequence[str]) -> str | None:
    formats = possible_formats(words)
    if len(formats) > 1:
        listed = " or ".join(f'"{one}"' for one in formats[:2])
        return f"date: day and month could be either; to take it in, say date_format: {listed}"
    if (dates := mixed_dates(words)) is not None:
        return f"date: {short(dates[0])} and {short(dates[1])} are of two forms; write all in one"
    if all(map(_FOREIGN_DATE.fullmatch, words)):
        return (
            f"date: the month of dates such as {short(words[0])} is not read in this language or form; write "
            "them as 2024-03-31 to take it in"
        )
    return None


def _wrong_number(words: Sequence[str]) -> str | None:
    if (mixed := mixed_numbers(words)) is not None:
        return f"numbers: it {mixed}"
    if all(map(_MULTIPLIED.fullmatch, words)):
        ends = {word.lstrip("+-0123456789.,' ").lower(): word for word in words}
        if len(ends) > 1:
            one, other = sorted(ends.values())[:2]
            return (
                f"numbers: {short(one)} and {short(other)} are multiplied by their letters, which no setting "
                "reads; write them out in the file to take it in"
            )
    return None


_INDEX_WORDS = frozenset(
    ["index", "idx", "row", "rownames", "rowname", "no", "nr", "number", "num", "obs", "unnamed"]
)
_ID_NAME = re.compile(
    r"(.*[^A-Za-z])?(id|Id|ID)[_0-9]*|.*[a-z](Id|ID)|(?i:(row|user|subj(ect)?|patient|customer|client|person|student"
    r"|sample|case|record|order|item|product|member|account|passenger|employee)id)"
)
"""The name of a column of identifiers: `id`, `user_id`, `userId`, `CustomerID`, `patientid`."""


_UNITS = {
    *(
        "kg",
        "g",
        "mg",
        "lb",
        "lbs",
        "oz",
        "t",
        "km",
        "m",
        "cm",
        "mm",
        "mi",
        "ft",
        "in",
        "yd",
        "h",
        "hr",
        "hrs",
    ),
    *("min", "s", "sec", "ms", "l", "ml", "gal", "c", "f", "k", "w", "kw", "kwh", "mph", "kmh", "km/h", "hp"),
    *("usd", "eur", "gbp", "chf", *"$€£¥₹%°"),
}
"""Well-known units, in small letters."""
_MOST_UNITS = 5


def _several_units(words: Sequence[str]) -> str | None:
    """Say that numbers have different units, such as kg and lb; None where they have not.

    A unit is well known, or stands behind a blank: codes such as 1A and 2B look like numbers with units, too.
    """
    units = units_of(words)
    if units is None or not 1 < len(units) <= _MOST_UNITS:
        return None
    if not all(not unit or " " in word or unit.lower() in _UNITS for unit, word in units.items()):
        return None
    one, other = [*units.values()][:2]
    differ = "one with a unit and one without" if "" in units else "in different units"
    return (
        f"numbers: {short(one)} and {short(other)} are {differ}, which no setting brings to one; write all "
        "in one unit in the file to take it in"
    )


def is_id_name(name: str) -> bool:
    """Return whether a column's name says that it holds identifiers."""
    return _ID_NAME.fullmatch(name.strip()) is not None


def _differ(numbers: NDArray[np.float64]) -> bool:
    """Return whether enough whole numbers are there, and no two are equal."""
    enough = len(numbers) >= _LEAST_IDS and not (numbers % 1).any()
    return enough and len(np.unique(numbers)) == len(numbers)


def _is_index(column: Column, place: int) -> bool:
    """Return whether whole numbers count the rows, in any order, and the name is that of such a column."""
    name, numbers = column.name, column.values
    if (
        column.missing.any()
        or len(numbers) < 3
        or numbers.max() - numbers.min() != len(numbers) - 1
        or (numbers % 1 != 0).any()
    ):
        return False
    letters = "".join(c for c in name.lower() if c.isalpha() or c == "_").removesuffix("_")
    named = letters in ("", *_INDEX_WORDS) or is_id_name(name) or name == f"column_{place + 1}"
    return named and len(np.unique(numbers)) == len(numbers)
