"""The explanation in a terminal, and as the public JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from producer.blame.explanation import Contribution, Explanation, Interval, percent
from producer.console import TEXT_WIDTH, plain_table, write
from producer.display import count, gap, printable, setting
from producer.verdict import numbers

_BAR = 20
_ROOM_FOR_BARS = 110
_MOST_SETTINGS = 4
_MOST_MEASURES = 8


def to_json(explanation: Explanation) -> str:
    """The document as text, on several lines."""
    return json.dumps(to_document(explanation), indent=2, ensure_ascii=False, allow_nan=False)


def to_document(explanation: Explanation) -> dict[str, Any]:
    """The document: each contribution has the sides' values under their names."""
    dumped = explanation.model_dump(mode="json")
    contributions = [one | one.pop("values") for one in dumped["contributions"]]
    return dumped | {"contributions": contributions}


def render(explanation: Explanation, console: Console) -> None:
    """Print the explanation."""
    write(console, *_parts(explanation, console))


def _parts(explanation: Explanation, console: Console) -> Iterator[RenderableType]:
    yield _headline(explanation)
    yield ""
    yield _folded(Text(printable(explanation.sentence)), console)
    yield ""
    if explanation.contributions:
        yield _contributions(explanation, console)
        yield ""
    yield from _causes(explanation, console)
    if len(explanation.measures) > 1 and any(one.shares for one in explanation.measures):
        yield _measures(explanation)
        yield ""
    for note in explanation.notes:
        yield _folded(Text(printable(f"note: {note}"), style="dim"), console)
    if explanation.notes:
        yield ""
    page = f"likewise explain {explanation.experiment_id[:8]} --report {explanation.name}.html"
    yield Text(f"{explanation.experiment_id}  ·  as a page: {page}", style="dim", overflow="fold")


def _headline(explanation: Explanation) -> Text:
    headline = Text()
    headline.append(f"why {explanation.other} differs from {explanation.reference}", style="bold")
    headline.append(f"  {printable(explanation.name)}", style="bold cyan")
    trained = f"{count(explanation.mixtures, 'mixture')}, {count(len(explanation.seeds), 'seed')}"
    headline.append(f"  {trained}", style="dim")
    return headline


def _folded(text: Text, console: Console) -> RenderableType:
    if not console.is_terminal:
        return text
    grid = Table.grid()
    grid.add_column(max_width=min(console.width, TEXT_WIDTH))
    grid.add_row(text)
    return grid


def _contributions(explanation: Explanation, console: Console) -> RenderableType:
    """Setting, both values, share with its interval and, where there is room, a bar."""
    table = plain_table()
    table.add_column("", justify="right", style="dim", no_wrap=True)
    table.add_column("setting", overflow="fold", min_width=20)
    table.add_column(explanation.reference, overflow="fold", min_width=9)
    table.add_column(explanation.other, overflow="fold", min_width=9)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    bars = console.width >= _ROOM_FOR_BARS
    if bars:
        table.add_column("", no_wrap=True)
    for place, one in enumerate(explanation.contributions, start=1):
        values = [printable(setting(value)) for value in one.values.values()]
        bar = [_bar(one.share)] if bars else []
        table.add_row(f"{place}", printable(one.path), *values, _share(one), _interval(one.interval), *bar)
    if explanation.unexplained_share is not None:
        left = explanation.unexplained_share
        bar = [_bar(left)] if bars else []
        interval = _interval(explanation.unexplained_interval)
        table.add_row("", "unexplained", "", "", percent(left), interval, *bar)
    return table


def _share(one: Contribution) -> str:
    return numbers.MISSING if one.share is None else percent(one.share)


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return numbers.MISSING
    low, high = map(percent, interval)
    return low if low == high else f"{low.removesuffix(' %')} to {high}"


def _bar(share: float | None) -> Text:
    """The share as a bar; nothing for shares below 0, which have no length."""
    eighths = round(max(0.0, min(share or 0.0, 1.0)) * _BAR * 8)
    full, rest = divmod(eighths, 8)
    return Text("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else ""), style="cyan")


def _causes(explanation: Explanation, console: Console) -> Iterator[RenderableType]:
    """What each setting does, and how either framework's code is made to do as the other's."""
    mine, theirs = explanation.reference, explanation.other
    for place, one in enumerate(explanation.contributions, start=1):
        if not (one.cause or one.fixes):
            continue
        yield Text.assemble((f"{place}  ", "dim"), (printable(one.path), "bold"))
        if one.cause:
            yield _indented(Text(printable(one.cause)), console)
        for name, like in ((theirs, mine), (mine, theirs)):
            if name in one.fixes:
                told = Text.assemble((f"{name} like {like}: ", "dim"), printable(one.fixes[name]))
                yield _indented(told, console)
        yield ""


def _indented(text: Text, console: Console) -> RenderableType:
    if not console.is_terminal:
        return Text.assemble("   ", text)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(width=2)
    grid.add_column(max_width=min(console.width - 4, TEXT_WIDTH))
    grid.add_row("", text)
    return grid


def _measures(explanation: Explanation) -> RenderableType:
    """Every measure's gap and shares; settings by their numbers in the table above."""
    paths = [one.path for one in explanation.contributions][:_MOST_SETTINGS]
    table = plain_table()
    table.add_column("gap in", style="dim", overflow="fold")
    table.add_column("", justify="right", no_wrap=True)
    for place in range(1, len(paths) + 1):
        table.add_column(f"{place}", justify="right", no_wrap=True)
    table.add_column("unexplained", justify="right", no_wrap=True)
    for one in explanation.measures[:_MOST_MEASURES]:
        shares = [one.shares.get(path) for path in paths]
        cells = [numbers.MISSING if share is None else percent(share) for share in shares]
        left = numbers.MISSING if one.unexplained_share is None else percent(one.unexplained_share)
        table.add_row(one.measure, gap(one.gap), *cells, left)
    return table
