"""Every setting, a column a side, with where its values came from: a text and a document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from producer.console import make_console, plain_table, write
from producer.display import both, count, printable, setting
from producer.job.native import NativeDefault
from producer.job.resolve import Origin, Setting, resolve_with_origins, settings_of
from shared.job import Experiment, Job

DIFFERS = "≠"
ABSENT = "—"
_TOP = "job"
"""The heading of settings that lie in no part of the job."""


def show(experiment: Experiment, jobs: Mapping[str, Job] | None = None, *, as_json: bool) -> None:
    """The settings on standard output; `jobs` are those of an experiment that was submitted."""
    settings = settings_of(resolve_with_origins(experiment), jobs)
    console = make_console()
    if as_json:
        document = document_of(experiment, settings)
        console.file.write(f"{json.dumps(document, indent=2, ensure_ascii=False)}\n")
    else:
        render(experiment, settings, console)


def render(experiment: Experiment, settings: Sequence[Setting], console: Console) -> None:
    """Print the settings."""
    write(console, *_parts(experiment, settings))


def document_of(experiment: Experiment, settings: Sequence[Setting]) -> dict[str, Any]:
    """The same for a program; `from` is written, override, shared, native or stored."""
    return {
        "name": experiment.name,
        "defaults": experiment.defaults,
        "frameworks": list(experiment.labels),
        "grid": {path: list(values) for path, values in experiment.grid.items()},
        "settings": [
            {
                "path": one.path,
                "differs": one.differs(experiment.labels),
                **{name: _cell(one, name) for name in experiment.labels},
            }
            for one in settings
        ],
    }


def _cell(one: Setting, side: str) -> dict[str, Any] | None:
    origin = one.origins.get(side)
    if origin is None:
        return None
    row = origin.native
    native = {} if row is None else {"source": row.source, "fact": row.fact}
    return {"value": one.values[side], "from": origin.kind, **native}


def _parts(experiment: Experiment, settings: Sequence[Setting]) -> Iterator[RenderableType]:
    sides = experiment.labels
    differing = sum(one.differs(sides) for one in settings)
    headline = Text(printable(experiment.name), style="bold")
    said = f"{both(sides)}, {experiment.defaults} defaults; {count(len(settings), 'setting')}, "
    verb = "differs" if differing == 1 else "differ"
    varied = f"; likewise sweep varies {both(list(experiment.grid))}" if experiment.grid else ""
    headline.append(f"  {said}{differing or 'none'} {verb}{printable(varied)}", style="not bold dim")
    yield headline
    yield ""
    yield _table(settings, sides)
    if sources := _sources(settings, sides):
        yield ""
        yield Text("where the native defaults stand", style="bold")
        for paths, rows in sources.items():
            yield ""
            yield Text(", ".join(map(printable, paths)), overflow="fold")
            yield Padding(_stated(dict(rows)), (0, 0, 0, 2))


def _table(settings: Sequence[Setting], sides: Sequence[str]) -> Table:
    table = plain_table()
    table.add_column("setting", no_wrap=True)
    for name in (*sides, "from"):
        table.add_column(name, overflow="fold")
    parts: dict[str, list[Setting]] = {}
    for one in settings:
        parts.setdefault(_placed(one.path)[0], []).append(one)
    for part, inside in parts.items():
        table.add_row(Text(part, style="bold"))
        for one in inside:
            table.add_row(*_cells(one, sides))
    return table


def _cells(one: Setting, sides: Sequence[str]) -> Iterator[Text]:
    differs = one.differs(sides)
    _, name = _placed(one.path)
    yield Text(f"{DIFFERS if differs else ' '} {printable(name)}", style="bold" if differs else "dim")
    for side in sides:
        said = setting(one.values[side]) if side in one.values else ABSENT
        yield Text(printable(said), style="bold" if differs else "")
    yield Text(_from(one, sides), style="dim")


def _placed(path: str) -> tuple[str, str]:
    """The part of the job that a setting lies in, and its name there."""
    words = path.split(".")
    depth = 3 if path.startswith("model.layers.") else len(words) > 1
    return ".".join(words[:depth]) or _TOP, ".".join(words[depth:])


def _from(one: Setting, sides: Sequence[str]) -> str:
    """`written`, or where the sides' values came from different places, each."""
    kinds = {name: _said(one.origins[name]) for name in sides if name in one.origins}
    if len(set(kinds.values())) == 1:
        return next(iter(kinds.values()))
    return ", ".join(f"{name} {said}" for name, said in kinds.items())


def _said(origin: Origin) -> str:
    """A written initializer may have been completed by the side's own default."""
    completed = origin.native is not None and origin.kind != "native"
    return f"{origin.kind} + native" if completed else origin.kind


def _sources(
    settings: Sequence[Setting], sides: Sequence[str]
) -> dict[tuple[str, ...], tuple[tuple[str, NativeDefault], ...]]:
    """The rows behind the native values, by the settings that have them: equal layers share one entry."""
    by_rows: dict[str, tuple[list[str], tuple[tuple[str, NativeDefault], ...]]] = {}
    for one in settings:
        rows = tuple(
            (name, row)
            for name in sides
            if name in one.origins and (row := one.origins[name].native) is not None
        )
        if rows:
            by_rows.setdefault(repr(rows), ([], rows))[0].append(one.path)
    return {tuple(paths): rows for paths, rows in by_rows.values()}


def _stated(rows: Mapping[str, NativeDefault]) -> Table:
    table = plain_table()
    table.show_header = False
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, row in rows.items():
        table.add_row(name, f"{row.source}: {row.fact}" if row.fact else row.source)
    return table
