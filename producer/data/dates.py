"""Dates and times of day as words of a table: which form they have, and the seconds they stand for.

A form is taken only where all words have it, and no other that would read them differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

DAY_S = 86_400.0
HOUR_S = 3_600.0
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?")
_DATE_FORMATS = ("%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y",
                 "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%d-%b-%Y",
                 "%d-%b-%y", "%Y-%m", "%b %Y", "%B %Y", "%b-%y", "%Y/%m/%d %H:%M:%S",
                 "%Y/%m/%d %H:%M",
                 "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S",
                 "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M")  # fmt: skip
_TIME = re.compile(
    r"(?P<hours>[0-9]{1,3}):(?P<minutes>[0-5][0-9])(:(?P<seconds>[0-5][0-9](\.[0-9]+)?))?"
    r"( ?(?P<half>[ap])\.?m\.?)?",
    re.IGNORECASE,
)
_NOON = 12
_SAMPLED = 1000
"""Words of a column whose formats are tried before all of its words are."""


def dates_of(words: Sequence[str], date_format: str | None) -> list[float] | None:
    """Return seconds since 1970 if every word is a date of one format; None if not, or if two would do.

    A format is ISO 8601, one of the usual ones, or the given one. Times without a zone are UTC.
    """
    if date_format is not None:
        return _parsed(words, date_format)
    if all(_ISO.fullmatch(word) for word in words):
        try:
            return [_seconds(datetime.fromisoformat(word)) for word in words]
        except ValueError:
            return None
    formats = possible_formats(words)
    return _parsed(words, formats[0]) if len(formats) == 1 else None


def times_of(words: Sequence[str]) -> list[float] | None:
    """Return seconds since midnight if every word is a time of day, such as 13:45, 9:05:30 or 1:45 PM.

    Hours may go beyond 24, as those of a length of time do. None if a word is no time, or if some have the
    half of the day and others have not.
    """
    found = [_TIME.fullmatch(word) for word in words]
    if not words or any(match is None for match in found):
        return None
    times = [match.groupdict() for match in found if match is not None]
    halves = {time["half"] is not None for time in times}
    if len(halves) > 1 or (True in halves and any(not 1 <= int(time["hours"]) <= _NOON for time in times)):
        return None
    return [_since_midnight(time) for time in times]


def _since_midnight(time: Mapping[str, str | None]) -> float:
    hours = int(time["hours"] or 0)
    if time["half"] is not None:
        hours = hours % _NOON + (_NOON if time["half"].lower() == "p" else 0)
    return hours * HOUR_S + int(time["minutes"] or 0) * 60.0 + float(time["seconds"] or 0)


def possible_formats(words: Sequence[str]) -> list[str]:
    """Return the usual formats, other than ISO 8601, in which every word is a date."""
    some = [one for one in _DATE_FORMATS if _parsed(words[:3], one) is not None]
    some = [one for one in some if _parsed(words[:_SAMPLED], one) is not None]
    return [one for one in some if _parsed(words, one) is not None]


def mixed_dates(words: Sequence[str]) -> tuple[str, str] | None:
    """Return two of the words that are dates of different forms, where all are dates and no form has all."""
    if dates_of(words, None) is not None or possible_formats(words):
        return None
    some = words[:_SAMPLED]
    if not all(_ISO.fullmatch(word) or possible_formats([word]) for word in some):
        return None
    form = next((one for one in _DATE_FORMATS if _parsed(some[:1], one) is not None), None)
    others = (word for word in some if (_parsed([word], form) if form else _ISO.fullmatch(word)) is None)
    return next(((some[0], other) for other in others), None)


def _parsed(words: Iterable[str], date_format: str) -> list[float] | None:
    try:
        return [_seconds(datetime.strptime(word, date_format)) for word in words]
    except ValueError:
        return None


def _seconds(moment: datetime) -> float:
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def date_text(seconds: float) -> str:
    """Return a date in ISO 8601, with the time where it is not midnight."""
    moment = datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
    return moment.date().isoformat() if seconds % DAY_S == 0 else moment.isoformat(sep=" ")


def time_text(seconds: float) -> str:
    """Return a time as 13:45, with the seconds where there are some."""
    sign, whole = "-" if seconds < 0 else "", abs(float(seconds))
    minutes, rest = divmod(round(whole, 6), 60.0)
    text = f"{sign}{minutes // 60:02.0f}:{minutes % 60:02.0f}"
    if rest == 0:
        return text
    return f"{text}:{rest:02.0f}" if rest == round(rest) else f"{text}:{rest:09.6f}"
