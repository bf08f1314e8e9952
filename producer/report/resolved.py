"""Every setting of an experiment as a document: a column a side, and where each value came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table as TextTable
from rich.text import Text

from likewise.producer.console import plain_table
from likewise.producer.display import both, count, printable, setting
from likewise.producer.job.native import NativeDefault
from likewise.producer.job.resolve import Origin, Setting, resolve_with_origins, settings_of
from likewise.producer.report.document import Document, Table, Value
from likewise.shared.job import Experiment, Job

DIFFERS = "≠"
ABSENT = "—"
_TOP = "job"
"""The heading of settings that lie in no part of the job."""


@dataclass(frozen=True)
class ResolvedDocument(Document):
    """The document shows the settings of an experiment."""

    experiment: Experiment
    settings: Sequence[Setting]

    @classmethod
    def of(cls, experiment: Experiment, jobs: Mapping[str, Job] | None = None) -> ResolvedDocument:
        """Resolve the settings; `jobs` are those of an experiment that was submitted."""
        return cls(experiment, settings_of(resolve_with_origins(experiment), jobs))

    @property
    def title(self) -> str:
        """Return whose settings they are."""
        return f"{self.experiment.name}: every setting"

    @property
    def sentences(self) -> Sequence[str]:
        """Return how many there are, and how many differ."""
        return (f"{_summary(self.experiment, self.settings)}.",)

    def tables(self) -> Iterator[Table]:
        """Yield the settings, and where the native defaults stand."""
        sides = self.experiment.labels
        yield Table(
            title="Settings",
            columns=("setting", *sides, "from"),
            rows=[
                (
                    f"{one.path} {DIFFERS}" if one.differs(sides) else one.path,
                    *(_value(one, side) for side in sides),
                    _from(one, sides),
                )
                for one in self.settings
            ],
        )
        yield Table(
            title="Where the native defaults stand",
            columns=("settings", "side", "source"),
            rows=[
                (", ".join(paths), side, _stated(row))
                for paths, found in _sources(self.settings, sides).items()
                for side, row in found
            ],
        )

    def values(self) -> Iterator[Value]:
        """Yield each setting's value in each side that has it, and where it came from."""
        for one in self.settings:
            for side, value in one.values.items():
                yield Value(table="settings", row=one.path, side=side, value=value)
                yield Value(table="from", row=one.path, side=side, value=_said(one.origins[side]))

    def to_json(self) -> dict[str, Any]:
        """Return the same for a program; `from` is written, override, shared, native, framework or stored."""
        experiment = self.experiment
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
                for one in self.settings
            ],
        }

    def parts(self, console: Console) -> Iterator[RenderableType]:  # noqa: ARG002
        """Yield what a terminal shows, part by part."""
        return _parts(self.experiment, self.settings)


def _cell(one: Setting, side: str) -> dict[str, Any] | None:
    origin = one.origins.get(side)
    if origin is None:
        return None
    row = origin.native
    native = {} if row is None else {"source": row.source, "fact": row.fact}
    return {"value": one.values[side], "from": origin.kind, **native}


def _parts(experiment: Experiment, settings: Sequence[Setting]) -> Iterator[RenderableType]:
    sides = experiment.labels
    headline = Text(printable(experiment.name), style="bold")
    headline.append(f"  {printable(_summary(experiment, settings))}", style="not bold dim")
    yield headline
    yield ""
    yield _table(settings, sides)
    if sources := _sources(settings, sides):
        yield ""
        yield Text("where the native defaults stand", style="bold")
        for paths, rows in sources.items():
            yield ""
            yield Text(", ".join(map(printable, paths)), overflow="fold")
            yield Padding(_source_table(rows), (0, 0, 0, 2))


def _summary(experiment: Experiment, settings: Sequence[Setting]) -> str:
    """Return the sides, how many settings there are, how many differ, and what a sweep would vary."""
    differing = sum(one.differs(experiment.labels) for one in settings)
    said = f"{both(experiment.labels)}, {experiment.defaults} defaults; {count(len(settings), 'setting')}, "
    verb = "differs" if differing == 1 else "differ"
    varied = f"; likewise sweep varies {both(list(experiment.grid))}" if experiment.grid else ""
    return f"{said}{differing or 'none'} {verb}{varied}"


def _table(settings: Sequence[Setting], sides: Sequence[str]) -> TextTable:
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
        yield Text(printable(_value(one, side)), style="bold" if differs else "")
    yield Text(_from(one, sides), style="dim")


def _value(one: Setting, side: str) -> str:
    return setting(one.values[side]) if side in one.values else ABSENT


def _placed(path: str) -> tuple[str, str]:
    """Return the part of the job that a setting lies in, and its name there."""
    words = path.split(".")
    depth = 3 if path.startswith("model.layers.") else len(words) > 1
    return ".".join(words[:depth]) or _TOP, ".".join(words[depth:])


def _from(one: Setting, sides: Sequence[str]) -> str:
    """Return `written`, or where the sides' values came from different places, each."""
    kinds = {name: _said(one.origins[name]) for name in sides if name in one.origins}
    if len(set(kinds.values())) == 1:
        return next(iter(kinds.values()))
    return ", ".join(f"{name} {said}" for name, said in kinds.items())


def _said(origin: Origin) -> str:
    """Return where a setting is from; the side's own default may have completed what is written."""
    completed = origin.native is not None and origin.kind not in ("native", "framework")
    return f"{origin.kind} + native" if completed else origin.kind


def _sources(
    settings: Sequence[Setting], sides: Sequence[str]
) -> dict[tuple[str, ...], tuple[tuple[str, NativeDefault], ...]]:
    """Return the rows behind the native values, by the settings that have them; equal layers share one."""
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


def _source_table(rows: Sequence[tuple[str, NativeDefault]]) -> TextTable:
    table = plain_table()
    table.show_header = False
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, row in rows:
        table.add_row(name, _stated(row))
    return table


def _stated(row: NativeDefault) -> str:
    return f"{row.source}: {row.fact}" if row.fact else row.source
