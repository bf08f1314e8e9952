"""Draws a figure on a canvas: axes with their ticks, guides, and each series as it is on a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from likewise.producer.report.canvas import Canvas, Point
from likewise.producer.report.figures import Axis, Figure, Series, Values

INK, QUIET, FAINT, GREEN, ORANGE = "#1c2024", "#5c656e", "#dfe3e6", "#00715c", "#b4400a"
SIDES = ("#0068a8", "#d15500", "#00815f", "#a8457f", "#7a6a00", "#4a5560")
_SMALL = 14
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A scale places the values of an axis between two pixels."""

    axis: Axis
    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; a logarithmic scale puts 0 at its beginning."""
        at = _scaled(value, self.axis)
        at = min(max(at, self.low), self.high)
        return self.begin + (self.end - self.begin) * (at - self.low) / ((self.high - self.low) or 1.0)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Yield values with what is written at them."""
        if self.axis.names:
            yield from ((float(place), name) for place, name in enumerate(self.axis.names))
        elif self.axis.log:
            powers = max(1, math.ceil((self.high - self.low) / 8))
            for power in range(math.ceil(self.low), math.floor(self.high) + 1, powers):
                yield 10.0**power, f"10{str(power).translate(_RAISED)}"
        else:
            step = _step((self.high - self.low) / 6)
            for place in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1):
                yield place * step, f"{place * step:.6g}"


def draw(canvas: Canvas, figure: Figure, *, left: float, top: float, width: float, height: float) -> None:
    """Draw a figure with its legend into a rectangle."""
    top = _legend(canvas, figure, left=left, top=top, width=width)
    names = [line for name in figure.y.names for line in name.split("\n")]
    margin = max((canvas.length(name, size=_SMALL) for name in names), default=64.0) + 14
    bottom = top + height - 44
    x = _scale(figure, "x", left + margin, left + width - 14)
    y = _scale(figure, "y", top, bottom) if figure.y.names else _scale(figure, "y", bottom, top)
    _shade(canvas, figure, x, y)
    _axes(canvas, figure, x, y)
    _guides(canvas, figure, x, y)
    for series in figure.series:
        _DRAWN[series.kind](canvas, series, x, y)


def _scale(figure: Figure, which: str, begin: float, end: float) -> Scale:
    axis = figure.x if which == "x" else figure.y
    if axis.names:
        return Scale(axis=axis, low=-0.6, high=len(axis.names) - 0.4, begin=begin, end=end)
    parts: list[Values] = []
    for one in figure.series:
        ranged = [one.low, one.high] if one.kind == "whiskers" else [one.high]
        parts += [one.x, *(ranged if one.kind == "whiskers" else [])] if which == "x" else [one.y, *ranged]
    seen = [value for part in parts for value in part if value is not None]
    seen += [end for one in figure.guides if one.axis == which for end in (one.value, one.until or one.value)]
    if which == "x" and any(one.kind == "bars" for one in figure.series):
        seen.append(0.0)
    known = [value for value in seen if value > 0] if axis.log else seen
    low, high = (min(known), max(known)) if known else (0.1, 1.0)
    if axis.log:
        return Scale(axis=axis, low=math.floor(math.log10(low)) - 1, high=math.ceil(math.log10(high) + 1e-9),
                     begin=begin, end=end)  # fmt: skip
    room = (high - low) * 0.06 or abs(high) or 1.0
    return Scale(axis=axis, low=low - room, high=high + room, begin=begin, end=end)


def _scaled(value: float, axis: Axis) -> float:
    return math.log10(value) if axis.log and value > 0 else -math.inf if axis.log else value


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)


def _legend(canvas: Canvas, figure: Figure, *, left: float, top: float, width: float) -> float:
    """Draw what the colours mean, and return where the figure begins below it."""
    named = {one.name: one for one in figure.series if one.kind != "heat"}
    if not named or (figure.y.names and len(named) < 2):
        return top + 18
    at, row = left, top + 12
    for name, one in named.items():
        wide = canvas.length(name, size=_SMALL) + 42
        if at + wide > left + width:
            at, row = left, row + 22
        if one.kind in ("points", "bars"):
            canvas.circle((at + 10, row - 5), 5, fill=_colour(one) if one.symbol == "circle" else None,
                          colour=_colour(one))  # fmt: skip
        else:
            canvas.line([(at, row - 5), (at + 22, row - 5)], _colour(one), min(one.width, 4), one.dash)
        canvas.text((at + 28, row), name, size=_SMALL, colour=INK)
        at += wide
    return row + 22


def _shade(canvas: Canvas, figure: Figure, x: Scale, y: Scale) -> None:
    """Draw green where the sides are alike, by the guides."""
    for one in figure.guides:
        scale = x if one.axis == "x" else y
        ends = [scale(one.value), *([scale(one.until)] if one.until is not None else [])]
        begin = scale.begin if one.below else ends[0]
        if begin != ends[-1]:
            low, high = sorted((begin, ends[-1]))
            if one.axis == "x":
                canvas.rectangle(low, y.begin, high - low, y.end - y.begin, _faded(GREEN, 0.1))
            else:
                canvas.rectangle(x.begin, low, x.end - x.begin, high - low, _faded(GREEN, 0.1))


def _guides(canvas: Canvas, figure: Figure, x: Scale, y: Scale) -> None:
    """Draw each guide as a dashed line with its word."""
    for one in figure.guides:
        scale = x if one.axis == "x" else y
        ends = [scale(one.value), *([scale(one.until)] if one.until is not None else [])]
        for end in ends:
            points: list[Point] = (
                [(end, y.begin), (end, y.end)] if one.axis == "x" else [(x.begin, end), (x.end, end)]
            )
            canvas.line(points, QUIET, 1.25, (5, 4) if one.label else ())
        if one.label and one.axis == "x":
            middle = (ends[0] + ends[-1]) / 2
            above = min(y.begin, y.end) - 6
            canvas.text((middle, above), one.label, size=_SMALL, colour=QUIET, anchor="middle")


def _axes(canvas: Canvas, figure: Figure, x: Scale, y: Scale) -> None:
    floor = max(y.begin, y.end)
    for value, label in y.ticks():
        at = y(value)
        if not figure.y.names:
            canvas.line([(x.begin, at), (x.end, at)], FAINT, 1)
        lines = label.split("\n")
        for place, line in enumerate(lines):
            down = at + 5 + (place - (len(lines) - 1) / 2) * 17
            canvas.text((x.begin - 9, down), line, size=_SMALL, colour=INK, anchor="end")
    ticks = [*x.ticks()]
    every = max(1, math.ceil(len(ticks) / 14))
    for value, label in ticks[::every]:
        at = x(value)
        if not figure.x.names:
            canvas.line([(at, min(y.begin, y.end)), (at, floor)], FAINT, 1)
        canvas.text((at, floor + 18), label, size=_SMALL, colour=INK, anchor="middle")
    canvas.line([(x.begin, floor), (x.end, floor)], QUIET, 1.25)
    middle = (x.begin + x.end) / 2
    canvas.text((middle, floor + 38), figure.x.label, size=_SMALL, colour=QUIET, anchor="middle")


def _lines(canvas: Canvas, one: Series, x: Scale, y: Scale) -> None:
    part: list[Point] = []
    for across, up in zip(one.x, one.y, strict=True):
        if across is None or up is None or (y.axis.log and up <= 0):
            _stroke(canvas, one, part)
            part = []
        else:
            part.append((x(across), y(up)))
    _stroke(canvas, one, part)


def _stroke(canvas: Canvas, one: Series, part: list[Point]) -> None:
    if len(part) > 1:
        canvas.line(part, _colour(one), one.width, one.dash)
    elif part:
        canvas.circle(part[0], 3, fill=_colour(one), colour=_colour(one))


def _points(canvas: Canvas, one: Series, x: Scale, y: Scale) -> None:
    for across, up in zip(one.x, one.y, strict=True):
        if across is not None and up is not None:
            fill = _colour(one) if one.symbol == "circle" else None
            canvas.circle((x(across), y(up)), one.size / 2, fill=fill, colour=_colour(one))


def _bands(canvas: Canvas, one: Series, x: Scale, y: Scale) -> None:
    ends = [
        (x(across), y(low), y(high))
        for across, low, high in zip(one.x, one.y, one.high, strict=True)
        if across is not None and low is not None and high is not None
    ]
    if ends:
        upper, lower = [(at, high) for at, _, high in ends], [(at, low) for at, low, _ in ends[::-1]]
        canvas.polygon([*upper, *lower], _faded(_colour(one), 0.18))


def _bars(canvas: Canvas, one: Series, x: Scale, y: Scale) -> None:
    for share, row in zip(one.x, one.y, strict=True):
        if share is not None and row is not None:
            left, right = sorted((x(0.0), x(share)))
            canvas.rectangle(left, y(row) - 10, max(1.0, right - left), 20, _colour(one))


def _whiskers(canvas: Canvas, one: Series, x: Scale, y: Scale) -> None:
    colour = INK if one.side is None else _colour(one)
    for mark, row, low, high in zip(one.x, one.y, one.low, one.high, strict=True):
        if row is None or low is None or high is None:
            continue
        at = y(row)
        canvas.line([(x(low), at), (x(high), at)], colour, 2)
        for end in (low, high):
            canvas.line([(x(end), at - 5), (x(end), at + 5)], colour, 2)
        if mark is not None:
            canvas.line([(x(mark), at - 11), (x(mark), at + 11)], colour, 4)


def _heat(canvas: Canvas, one: Series, x: Scale, y: Scale) -> None:
    def scaled(value: float) -> float:
        return math.log10(value) if one.log else value

    seen = [scaled(value) for row in one.values for value in row if value is not None and value > 0]
    low, high = (min(seen), max(seen)) if seen else (0.0, 1.0)
    limit = None if one.threshold is None else scaled(one.threshold)
    for row, values in enumerate(one.values):
        for column, value in enumerate(values):
            if value is None:
                continue
            at = scaled(value) if value > 0 else low
            above = limit is not None and value > 0 and at > limit
            how = (at - low) / ((high - low) or 1.0)
            shade = _faded(ORANGE, 0.35 + 0.65 * how) if above else _faded(SIDES[0], 0.06 + 0.45 * how)
            left, right = x(column - 0.5), x(column + 0.5)
            up, down = sorted((y(row - 0.5), y(row + 0.5)))
            canvas.rectangle(left, up, right - left - 1, down - up - 1, shade if value > 0 else "#f3f5f6")
            if one.texts:
                middle = ((left + right) / 2, (up + down) / 2 + 5)
                canvas.text(middle, one.texts[row][column], size=_SMALL, colour=INK, anchor="middle")


_DRAWN: dict[str, Callable[[Canvas, Series, Scale, Scale], None]] = {
    "line": _lines, "points": _points, "band": _bands, "bars": _bars, "whiskers": _whiskers, "heat": _heat
}  # fmt: skip


def _colour(one: Series) -> str:
    return _faded(QUIET if one.side is None else SIDES[one.side % len(SIDES)], one.opacity)


def _faded(colour: str, how: float) -> str:
    """Return a colour as it looks on white, from 0 for white to 1."""
    parts = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * min(1.0, how)):02x}" for part in parts)
