"""What is known, as tables: `causes.toml`, and how a framework's code is mended, `fixes/<framework>.toml`.

A setting is looked up by the most telling key that has a row: its kind and field (`batch_norm.epsilon`),
any layer's field (`layer.epsilon`), its path, and then the paths above it. A framework without a file has
no fixes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from shared.job import Job

_KINDS = ("optimizer", "loss")
"""Sections whose fields go by the type's own name, too."""


def cause(path: str, job: Job) -> str | None:
    """What a difference in this setting does to a training, as the rest of a sentence."""
    table = _table("causes.toml")
    return next((table[key] for key in keys(path, job) if key in table), None)


def fix(path: str, value: Any, job: Job, framework: str) -> str | None:
    """How the framework's code is made to have this value; None where that is not known.

    `job` is the framework's own: it says which loss, optimizer and layer there are.
    """
    table = _table(f"fixes/{framework}.toml")
    known = table.get("fixes", {})
    found = next((known[key] for key in keys(path, job) if key in known), None)
    if isinstance(value, Mapping):
        value = value.get("type")
    if isinstance(found, Mapping):
        found = found.get(str(value).lower())
    if found is None:
        return None
    if path.endswith(".type") and path.startswith("optimizer"):
        return _filled(found, value, {"optimizer": table["names"]["optimizer"].get(value)})
    return _filled(found, value, _names(table["names"], path, job))


def keys(path: str, job: Job) -> Iterator[str]:
    """The keys a setting may stand under, the most telling first."""
    parts = path.split(".")
    if parts[:2] == ["model", "layers"] and len(parts) > 3:
        kind, field = _layer(parts, job)
        for end in range(len(field), 0, -1):
            yield f"{kind}.{'.'.join(field[:end])}"
            yield f"layer.{'.'.join(field[:end])}"
        yield "model"
        return
    if parts[0] in _KINDS and len(parts) > 1:
        yield f"{getattr(job, parts[0]).type}.{'.'.join(parts[1:])}"
    if parts[:2] == ["optimizer", "schedule"] and len(parts) > 2 and job.optimizer.schedule is not None:
        yield f"{job.optimizer.schedule.type}.{'.'.join(parts[2:])}"
    for end in range(len(parts), 0, -1):
        yield ".".join(parts[:end])


def _layer(parts: list[str], job: Job) -> tuple[str, list[str]]:
    """A layer's type and the field's path in it; of several layers (`0,2`) the first's."""
    layer: Any = job.model.layers[int(parts[2].split(",")[0])]
    field = parts[3:]
    if field[0] == "layer" and hasattr(layer, "layer"):
        return str(layer.layer.type), field[1:] or ["type"]
    return str(layer.type), field


def _names(names: Mapping[str, Mapping[str, str]], path: str, job: Job) -> dict[str, str | None]:
    """What the framework calls the job's loss, optimizer and the path's layer."""
    parts = path.split(".")
    kinds: dict[str, str] = {"loss": job.loss.type, "optimizer": job.optimizer.type}
    if parts[:2] == ["model", "layers"] and len(parts) > 3:
        kinds["layer"] = _layer(parts, job)[0]
    return {name: names.get(name, {}).get(kind) for name, kind in kinds.items()}


def _filled(text: str, value: Any, names: Mapping[str, str | None]) -> str | None:
    """The text with the value and the names in it; None where it needs a name that there is not."""
    fields: dict[str, Any] = {"value": value, **{name: known for name, known in names.items() if known}}
    if isinstance(value, int | float) and not isinstance(value, bool):
        fields["complement"] = f"{1 - value:.12g}"
    try:
        return text.format_map(fields)
    except KeyError:
        return None


@cache
def _table(name: str) -> Mapping[str, Any]:
    file = files("producer.verdict.known").joinpath(name)
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
