"""A table in memory: named columns, each of numbers or of words, and what kind of values a column holds.

A kind is found by the values alone, never by the name. Nothing here knows files or job files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likewise.producer.data.dates import date_text, dates_of, time_text, times_of
from likewise.producer.data.memory import taken
from likewise.producer.display import short

Kind = Literal["number", "boolean", "date", "time", "text", "empty", "other"]
MISSING_WORDS = frozenset(["", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?", "-", "."])
"""Words that stand for a missing value, in small letters."""
_CURRENCY_SIGNS = "$€£¥₹₽₩฿"
_SIGNS = f"{_CURRENCY_SIGNS}%‰°"
_UNIT = r"[^\W\d_]{1,10}[²³]?"
_WITH_UNIT = re.compile(rf"[+-]?[0-9][0-9.,' ]*?\s*({_UNIT}(/{_UNIT})?)")
_CURRENCY = re.compile(
    r"-?(AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|NZD|PLN|RUB|SEK|SGD|TRY|USD|ZAR|Rs\.?)"
    r"\s*-?[0-9][0-9.,' ]*"
)
"""An amount with its currency before it."""
PLAIN_SIGNS = {"\u00a0": " ", "\u2009": " ", "\u202f": " ", "’": "'", "−": "-"}
"""Signs of typesetters in numbers, and those that stand for them: spaces, an apostrophe, a minus."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """It is one column of n values.

    A `number`, a `boolean` (0 and 1), a `date` (seconds since 1970, UTC) and a `time` (of the day, in seconds
    since midnight, or a length of time) have `numbers`, float64 (n,), NaN where a value is missing. A `text`
    has `codes`, int64 (n,), which are places in `words`, −1 where one is missing. An `empty` column has no
    value at all. Of an `other` one, `words` has only the name of its type.
    """

    name: str
    kind: Kind
    numbers: NDArray[np.float64] | None = None
    codes: NDArray[np.int64] | None = None
    words: tuple[str, ...] = ()
    padded: bool = False
    """Whether its numbers are written with zeros before them, as codes are: `01234`."""
    has_gaps: bool = True
    """Whether one of its numbers may be missing; where it is known that none is, none is looked for."""

    @property
    def values(self) -> NDArray[np.float64]:
        """Return the numbers of a column that has some."""
        if self.numbers is None:
            raise TypeError(f"column {self.name} is {self.kind} and has no numbers")
        return self.numbers

    @property
    def places(self) -> NDArray[np.int64]:
        """Return the places of a column of words."""
        if self.codes is None:
            raise TypeError(f"column {self.name} is {self.kind} and has no words")
        return self.codes

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Return where a value is missing, (n,)."""
        if self.numbers is not None:
            return np.isnan(self.numbers) if self.has_gaps else np.zeros(len(self.numbers), dtype=np.bool_)
        return self.places < 0

    def take(self, rows: NDArray[np.int64]) -> Column:
        """Return the column of these rows."""
        return replace(
            self,
            numbers=None if self.numbers is None else self.numbers[rows],
            codes=None if self.codes is None else self.codes[rows],
        )

    def labels(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Return the values as places in sorted words, −1 where one is missing, and the words."""
        if self.codes is not None:
            return self.codes, self.words
        values, codes = np.unique(self.values, return_inverse=True)  # NaN comes last
        known = values[~np.isnan(values)]
        words = tuple(self.word_of(value) for value in known)
        return np.where(codes < len(known), codes, -1).astype(np.int64), words

    def word_of(self, value: float) -> str:
        """Return one of `numbers` as a user writes it."""
        if self.kind == "boolean":
            return "True" if value else "False"
        if self.kind == "date":
            return date_text(value)
        if self.kind == "time":
            return time_text(value)
        return f"{value:.0f}" if value == np.floor(value) and abs(value) < 1e15 else repr(float(value))

    def cell(self, row: int) -> Any:
        """Return one value as JSON has it; None where it is missing."""
        if self.numbers is not None:
            value = float(self.numbers[row])
            if np.isnan(value):
                return None
            return value if self.kind == "number" else self.word_of(value)
        return None if self.places[row] < 0 else self.words[self.places[row]]


@dataclass(frozen=True, kw_only=True, eq=False)
class JoinedNumbers:
    """It is the numbers of several columns in one array, so that they need not be copied to be trained on."""

    names: tuple[str, ...]
    array: NDArray[np.float64]
    """The numbers, (rows, names); those of a column are a view of it."""

    @property
    def views(self) -> dict[str, NDArray[np.float64]]:
        """Return the numbers of each column, (rows,)."""
        return {name: self.array[:, place] for place, name in enumerate(self.names)}

    def take(self, rows: NDArray[np.int64]) -> JoinedNumbers:
        """Return the numbers of these rows, which rise."""
        return replace(self, array=taken(self.array, rows))


@dataclass(frozen=True, kw_only=True, eq=False)
class DataTable:
    """It is columns of one length, by name and in order."""

    columns: Mapping[str, Column]
    rows: int
    row_name: Callable[[int], str]
    """What a message calls a row, counted from 0: `line 7` of a text file, else `row 7`."""
    joined: JoinedNumbers | None = None
    """Columns whose numbers lie side by side; None where each lies by itself."""

    def take(self, rows: NDArray[np.int64]) -> DataTable:
        """Return the table of these rows, which rise."""
        joined = None if self.joined is None else self.joined.take(rows)
        views = {} if joined is None else joined.views
        row_name = self.row_name
        return DataTable(
            columns={
                name: replace(column, numbers=views[name]) if name in views else column.take(rows)
                for name, column in self.columns.items()
            },
            rows=len(rows),
            row_name=lambda row: row_name(int(rows[row])),
            joined=joined,
        )


def with_gaps(numbers: NDArray[np.float64], missing_values: Sequence[str]) -> NDArray[np.float64]:
    """Return the numbers with NaN for those among `missing_values`."""
    gaps = [float(word) for word in missing_values if is_number(word)]
    return np.where(np.isin(numbers, gaps), np.nan, numbers) if gaps else numbers


def text_column(
    name: str, codes: NDArray[np.int64], words: Sequence[str], *, date_format: str | None = None
) -> Column:
    """Return a column of words, its kind by what all of its words are; words are trimmed and sorted."""
    trimmed = [trim(word) for word in words]
    known = sorted({word for word in trimmed if word.lower() not in MISSING_WORDS})
    if not known:
        return Column(name=name, kind="empty", numbers=np.full(len(codes), np.nan))
    place = {word: i for i, word in enumerate(known)}
    of_word = np.array([*(place.get(word, -1) for word in trimmed), -1], dtype=np.int64)
    codes = of_word[codes]  # the code −1 finds the −1 at the end
    if all(word.lower() in ("true", "false") for word in known):
        return _by_word(name, "boolean", codes, [float(word.lower() == "true") for word in known])
    times = times_of(known)
    if times is not None:
        return _by_word(name, "time", codes, times)
    seconds = dates_of(known, date_format)
    if seconds is not None:
        return _by_word(name, "date", codes, seconds)
    return Column(name=name, kind="text", codes=codes, words=tuple(known))


def trim(word: str) -> str:
    """Return a cell without the blanks, and the quotes behind a blank, around it."""
    word = word.strip()
    return word[1:-1].strip() if len(word) > 1 and word[0] == word[-1] == '"' else word


def _by_word(name: str, kind: Kind, codes: NDArray[np.int64], values: Sequence[float]) -> Column:
    return Column(name=name, kind=kind, numbers=np.array([*values, np.nan])[codes])


@dataclass(frozen=True, kw_only=True)
class NumberFormat:
    """It is how a file writes numbers; the fields are those of the job file."""

    decimal: str = "."
    thousands: str | None = None
    unit_signs: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Return whether a number is written as Python writes it."""
        return self == NumberFormat()

    @property
    def pattern(self) -> str:
        """Return the regular expression of a number without its signs, groups and fraction as given."""
        point, group = re.escape(self.decimal), "" if self.thousands is None else re.escape(self.thousands)
        pairs = (
            rf"|[0-9]{{1,2}}({group}[0-9]{{2}})+{group}[0-9]{{3}}" if self.thousands == "," else ""
        )  # India's
        whole = rf"([0-9]{{1,3}}({group}[0-9]{{3}})+{pairs}|[0-9]+)" if group else "[0-9]+"
        return rf"^[+-]?({whole}({point}[0-9]*)?|{point}[0-9]+)([eE][+-]?[0-9]+)?$"


def number_format_of(words: Sequence[str], *, decimal_first: bool = False) -> NumberFormat | None:
    """Return the format other than the plain one in which all words are numbers; None if there is none.

    `"3,750"` is three thousand and more where every word with a comma has it before three digits, unless a
    comma is `decimal_first`, as in files whose values semicolons separate.
    """
    if not words:
        return None
    words = [with_plain_signs(word) for word in words]
    unit = _unit(words)
    signs = (
        (unit,)
        if unit
        else tuple(
            sign
            for sign in _SIGNS
            if any(
                word.startswith((sign, f"-{sign}", f"({sign}")) or word.endswith((sign, f"{sign})"))
                for word in words
            )
        )
    )
    if sum(sign in _CURRENCY_SIGNS for sign in signs) > 1:
        return None  # amounts of several currencies are no numbers of one size
    bare = [bare_number(word, signs) for word in words]
    ways = [(".", None), (".", ","), (",", None), (",", "."), (".", "'"), (".", " "), (",", " ")]
    if decimal_first:
        ways[1], ways[2] = ways[2], ways[1]
    for decimal, thousands in ways:
        one = NumberFormat(decimal=decimal, thousands=thousands, unit_signs=signs)
        if one.is_plain:
            continue
        pattern = re.compile(one.pattern)
        if all(pattern.match(word) for word in bare):
            leading_zero = thousands is not None and any(
                re.match(rf"[+-]?0{re.escape(thousands)}", word) for word in bare
            )
            if not leading_zero:
                return one
    return None


def mixed_numbers(words: Sequence[str]) -> str | None:
    """Return what is wrong with numbers of which some have a decimal point and some a decimal comma.

    None where one format reads all of them, and where a word is no number in any.
    """
    comma = re.compile(NumberFormat(decimal=",", thousands=".").pattern)
    with_point = [word for word in words if is_number(word)]
    with_comma = [word for word in words if not is_number(word) and comma.match(word)]
    fractions = [word for word in with_point if "." in word]
    if len(with_point) + len(with_comma) < len(words) or not (fractions and with_comma):
        return None
    if number_format_of(words) is not None:
        return None
    return (
        f"mixes decimal points and decimal commas, such as {short(fractions[0])} and {short(with_comma[0])}, "
        "and no setting reads both; write its numbers in one way in the file"
    )


def units_of(words: Sequence[str]) -> dict[str, str] | None:
    """Return the units that stand beside the numbers of a column, each with a word that has it.

    The unit of a bare number is "". None where a word is no number, with a unit or without one.
    """
    found: dict[str, str] = {}
    for word in words:
        plain = with_plain_signs(word)
        match = _WITH_UNIT.fullmatch(plain) or _CURRENCY.fullmatch(plain)
        sign = next((sign for sign in _SIGNS if plain.startswith(sign) or plain.endswith(sign)), "")
        if match is None and not is_number(plain.strip(sign or None).replace(",", "")):
            return None
        found.setdefault(sign if match is None else match[1], word)
    return found


def _unit(words: Sequence[str]) -> str | None:
    """Return the unit that stands behind every number of a column, `1.5 kg`, or its currency: `CHF 12`."""
    found = {_WITH_UNIT.fullmatch(word) or _CURRENCY.fullmatch(word) for word in words}
    units = {"" if match is None else match[1] for match in found}
    return units.pop() or None if len(units) == 1 else None


def with_plain_signs(word: str) -> str:
    """Return a word with a typewriter's signs for those of `PLAIN_SIGNS`."""
    for sign, plain in PLAIN_SIGNS.items():
        word = word.replace(sign, plain)
    return word


def bare_number(word: str, signs: Sequence[str]) -> str:
    """Return a word without its unit signs.

    As in accounts, one in parentheses is negative, and one with its minus behind it.
    """
    word = with_plain_signs(word)
    for sign in signs:
        word = word.replace(sign, "")
    word = word.strip()
    if word[:1] == "(" and word[-1:] == ")":
        return f"-{word[1:-1].strip()}"
    return f"-{word[:-1].strip()}" if word[-1:] == "-" and word[:1] not in "-" else word


def is_number(word: str) -> bool:
    """Return whether a word is a number as Python and most files write it."""
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word
