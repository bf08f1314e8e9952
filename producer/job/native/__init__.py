"""What each framework does with a setting that its user left out: `<framework>.toml`, a row a setting.

A section is a part of the job file by what it is: `loss.mse`, `optimizer.adam`, `schedule.step`,
`layer.dense`, `initializer.orthogonal`, `training`. A row is

    field = {value = 0.9, source = "package.Class(argument=0.1)", formula = "1 - argument", ...}

in the job file's words and conventions; null is a row without `value`. `source` names where the framework
says so, with the default as it stands there, and `formula` how that becomes our value where it is not the
same; `fact` says what no signature shows. The suite's `test_native_defaults` holds every row against the
installed framework. A framework without a file here has no native defaults: it keeps the shared ones.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic import Field, JsonValue

from likewise.shared.frozen import Frozen
from likewise.shared.job import Job
from likewise.shared.job.layers.base import BaseLayer


class NativeDefault(Frozen):
    """One framework's value of a setting that nobody wrote."""

    value: JsonValue = None
    source: str
    """Where the framework says so: a signature with its default, or what was called to see it."""
    formula: str | None = None
    """The value from the source's argument, where they are not the same, as a Python expression."""
    fact: str | None = None
    """What the source means, where it does not speak for itself."""
    scaled_by: str | None = None
    """A field beside this one that multiplies an initializer's scale; 1 where that is left out."""
    when: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields beside this one that must have these values, or be on (not 0, null, false or `valid`) where
    `true` stands: without weight decay its kind says nothing. `behind: windows` is a layer whose input has
    come from convolution or pooling, where a framework's order of axes shows. `sample_weights` are the
    data's, and `clipped_by_norm` is an optimizer's clip_norm or global_clip_norm."""

    def applies(self, beside: Mapping[str, Any]) -> bool:
        """Return whether the setting means anything beside these."""
        return all(
            beside.get(field) not in (None, 0, "valid") if wanted is True else beside.get(field) == wanted
            for field, wanted in self.when.items()
        )

    def given(self, beside: Mapping[str, Any]) -> Any:
        """Return the value beside these."""
        value = copy.deepcopy(self.value)
        if self.scaled_by is not None and isinstance(value, dict):
            value["scale"] = value["scale"] * beside.get(self.scaled_by, 1)
        return value


Table = Mapping[str, Mapping[str, NativeDefault]]
"""Rows by section and field."""

_KINDS = ("loss", "optimizer", "schedule", "layer", "activation", "training")


@cache
def native_table(framework: str) -> Table:
    """Return the framework's rows; empty where it has no table."""
    file = files("likewise.producer.job.native").joinpath(f"{framework}.toml")
    if not file.is_file():
        return {}
    import tomllib

    return dict(_sections(tomllib.loads(file.read_text(encoding="utf-8")), ""))


def _sections(document: Mapping[str, Any], path: str) -> Iterator[tuple[str, dict[str, NativeDefault]]]:
    rows = {name: item for name, item in document.items() if "source" in item}
    if rows:
        yield path, {name: NativeDefault.model_validate(row) for name, row in rows.items()}
    for name, item in document.items():
        if name not in rows:
            yield from _sections(item, f"{path}.{name}" if path else name)


def filled(job: Job, framework: str) -> tuple[dict[str, Any], dict[str, NativeDefault]]:
    """Return the job's plain values with the framework's defaults wherever the job has none of its own.

    Beside them stands what was filled in, by dotted path. Initializers are left alone where no weights are
    drawn by them, and where the job says that the sides share theirs.
    """
    document = job.model_dump(mode="json", exclude_unset=True)
    table = native_table(framework)
    drawn = document.get("initial_weights", {"type": "initializers"})["type"] == "initializers"
    rows: dict[str, NativeDefault] = {}
    for path, kind, around, mapping in _parts(document, _behind_windows(job.model.layers)):
        for field, row in _in_order(table.get(_section(kind, mapping), {})):
            unused = field.endswith("_initializer") and not drawn
            if field not in mapping and row.applies(around | mapping) and not unused:
                mapping[field] = row.given(mapping)
                rows[f"{path}.{field}"] = row
    return document, rows


def own_initializers(job: Job, framework: str) -> dict[str, tuple[Any, NativeDefault]]:
    """Return the framework's own initializer of each weight, by path, with its row; empty without a table.

    That is what draws the start where `initial_weights` is framework, whatever the job's initializers are.
    """
    document = job.model_dump(mode="json")
    table = native_table(framework)
    found = {}
    for path, kind, around, mapping in _parts(document, _behind_windows(job.model.layers)):
        rows = table.get(_section(kind, mapping), {})
        for field in [name for name in mapping if name.endswith("_initializer")]:
            row = rows.get(field)
            if row is not None and row.applies(around | mapping):
                found[f"{path}.{field}"] = (row.given(mapping), row)
    return found


def _parts(
    document: dict[str, Any], behind: Sequence[bool]
) -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Yield each mapping that may have rows: its path, kind, surroundings and itself; outer ones first.

    `behind` says of each layer whether it is behind windows.
    """
    optimizer = document["optimizer"]
    around = {
        "sample_weights": document["data"].get("sample_weights"),
        "clipped_by_norm": optimizer.get("clip_norm") or optimizer.get("global_clip_norm"),
    }
    for path, kind, mapping in _mappings(document, "", ""):
        place = path.split(".")
        layer = kind == "layer" and place[:2] == ["model", "layers"]
        yield path, kind, around | {"behind": "windows" if layer and behind[int(place[2])] else None}, mapping


def _mappings(value: Any, path: str, kind: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    if isinstance(value, dict):
        if kind:
            yield path, kind, value
        for name, item in list(value.items()):
            below = "initializer" if name.endswith("_initializer") else name if name in _KINDS else ""
            yield from _mappings(item, f"{path}.{name}" if path else name, below)
    elif path == "model.layers":
        for index, layer in enumerate(value):
            yield from _mappings(layer, f"{path}.{index}", "layer")


def _behind_windows(layers: Sequence[BaseLayer]) -> list[bool]:
    """Return for each layer whether its input comes from a window layer with the axes as they were."""
    after: dict[str, bool] = {"input": False}
    last, found = False, []
    for layer in layers:
        behind = last if layer.inputs is None else any(after[name] for name in layer.inputs)
        found.append(behind)
        last = layer.slides_windows or (behind and layer.keeps_axes)
        if layer.name is not None:
            after[layer.name] = last
    return found


def _section(kind: str, mapping: Mapping[str, Any]) -> str:
    return f"{kind}.{mapping['type']}" if "type" in mapping else kind


def _in_order(rows: Mapping[str, NativeDefault]) -> list[tuple[str, NativeDefault]]:
    """Put rows with conditions last, so that the values they look at are there."""
    return sorted(rows.items(), key=lambda row: bool(row[1].when))
