"""What differs between two sides' jobs, as factors. Pure.

A factor is one difference that a job can be freed of by itself. A changed `type` takes along the fields
that only one of the two types has; a layer, the data and the initial weights move as a whole. One field that
differs in the same way in several layers is one convention, and one factor. Settings that do not change
the training (metrics, predict) and the device, which has to be there, are no factors.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from likewise.producer.job.resolve import SettingDifference
from likewise.producer.verdict.knowledge import convention, together, weight_of
from likewise.producer.verdict.layer_lists import in_another_order
from likewise.shared.job import Job

Path = tuple[str | int, ...]

NEVER_SWITCHED = ("schema_version", "name", "metrics", "predict", "device", "limits")
_WHOLE = ("data", "initial_weights")
"""Sections that move as one: their arrays belong together."""
_LOOSE = ("optimizer", "loss")
"""Sections whose types share fields that mean the same: these move by themselves when the type changes."""
_EXCLUSIVE = ("clip_value", "clip_norm", "global_clip_norm")
"""An optimizer has at most one of these, so that they move together where several differ."""


class _Absent:
    """Stands for a field that the other type does not have."""


ABSENT: Final = _Absent()


@dataclass(frozen=True, kw_only=True)
class Factor:
    """It is a difference between the reference's job and another's.

    `values` are for people, by side; `edits` lead the other's job to the reference's values.
    """

    path: str
    values: Mapping[str, Any]
    edits: tuple[tuple[Path, Any], ...]
    members: tuple[Factor, ...] = ()
    """The factors that it stands for together, where it does."""

    @classmethod
    def of_several(cls, members: Sequence[Factor]) -> Factor:
        """Return one factor for several that make sense together alone."""
        sides = members[0].values
        return cls(
            path=" + ".join(one.path for one in members),
            values={side: {one.path: one.values[side] for one in members} for side in sides},
            edits=tuple(edit for one in members for edit in one.edits),
            members=tuple(members),
        )

    @property
    def difference(self) -> SettingDifference:
        """The factor as `producer.verdict.knowledge` takes it."""
        return SettingDifference(path=self.path, values=self.values)


def factors(reference: tuple[str, Job], other: tuple[str, Job]) -> tuple[Factor, ...]:
    """Return the factors between two sides' jobs, what changes a training most first."""
    names = (reference[0], other[0])
    mine, theirs = (job.model_dump(mode="json") for _, job in (reference, other))
    found = [
        factor
        for section in mine
        if section not in NEVER_SWITCHED
        for factor in _section(section, mine[section], theirs[section], names)
    ]
    return tuple(sorted(_conventions(found), key=lambda factor: weight_of(factor.difference)))


def start(reference: str, other: str) -> Factor:
    """Return the factor of each side's own initial weights; switched, both start from the shared ones."""
    return Factor(
        path="initial_weights",
        values={reference: "its own default", other: "its own default"},
        edits=((("initial_weights",), {"type": "shared"}),),
    )


def switched(job: Job, chosen: Sequence[Factor]) -> Job:
    """Return the job with the reference's values for the chosen factors.

    Raises pydantic's ValidationError where the mixture is no job.
    """
    document = copy.deepcopy(job.model_dump(mode="json"))
    for factor in chosen:
        for path, value in factor.edits:
            here: Any = document
            for part in path[:-1]:
                here = here[part]
            if value is ABSENT:
                here.pop(path[-1], None)
            else:
                here[path[-1]] = copy.deepcopy(value)
    return Job.model_validate(document)


def _conventions(found: Sequence[Factor]) -> list[Factor]:
    """Return the factors, with one for a field that differs alike in several layers.

    Its path is such as `model.layers.0,2.epsilon`.
    """
    groups: dict[str, list[Factor]] = {}
    for factor in found:
        groups.setdefault(convention(factor.difference), []).append(factor)
    return [_together(group) for group in groups.values()]


def _together(group: Sequence[Factor]) -> Factor:
    shown = together([factor.difference for factor in group])
    edits = tuple(edit for factor in group for edit in factor.edits)
    return Factor(path=shown.path, values=shown.values, edits=edits)


def _section(section: str, mine: Any, theirs: Any, names: tuple[str, str]) -> Iterator[Factor]:
    if mine == theirs:
        return
    if section in _WHOLE:
        yield _whole(section, mine, theirs, names)
        return
    yield from _walk((section,), mine, theirs, names)


def _walk(path: Path, mine: Any, theirs: Any, names: tuple[str, str]) -> Iterator[Factor]:
    if mine == theirs:
        return
    if isinstance(mine, dict) and isinstance(theirs, dict):
        yield from _mappings(path, mine, theirs, names)
    elif _layers(mine) and _layers(theirs) and _stand_in_each_others_place(mine, theirs):
        for place, (one, another) in enumerate(zip(mine, theirs, strict=True)):
            yield from _walk((*path, place), one, another, names)
    else:
        shown = [_told(value) for value in (mine, theirs)]
        yield _factor(path, shown, names, [(path, mine)])


def _stand_in_each_others_place(mine: list[Any], theirs: list[Any]) -> bool:
    """Return whether layers can be switched one by one; those in another order move as a whole."""
    kinds = [[one["type"] for one in layers] for layers in (mine, theirs)]
    return len(mine) == len(theirs) and not in_another_order(*kinds)


def _mappings(path: Path, mine: Any, theirs: Any, names: tuple[str, str]) -> Iterator[Factor]:
    other_type = mine.get("type") != theirs.get("type")
    shared = [key for key in mine if key in theirs]
    if other_type:
        types = [value.get("type") for value in (mine, theirs)]
        if len(path) > 3 or (len(path) > 1 and path[0] in _LOOSE):
            yield _factor(path, [mine, theirs], names, [(path, mine)])
            return
        if path[0] not in _LOOSE:
            yield _factor((*path, "type"), types, names, [(path, mine)])
            return
        shared.remove("type")
        own = [((*path, key), ABSENT) for key in theirs if key not in mine]
        own += [((*path, key), value) for key, value in mine.items() if key not in theirs or key == "type"]
        yield _factor((*path, "type"), types, names, own)
    exclusive = [key for key in shared if key in _EXCLUSIVE and mine[key] != theirs[key]]
    if len(exclusive) > 1:
        shared = [key for key in shared if key not in exclusive]
        shown = [{key: value[key] for key in exclusive if value[key]} for value in (mine, theirs)]
        yield _factor((*path, "clip"), shown, names, [((*path, key), mine[key]) for key in exclusive])
    for key in shared:
        yield from _walk((*path, key), mine[key], theirs[key], names)


def _whole(section: str, mine: Any, theirs: Any, names: tuple[str, str]) -> Factor:
    """Return one factor for a section, named by the one field that differs where it is one."""
    leaves = [
        (path, one, another) for path, one, another in _leaves((section,), mine, theirs) if one != another
    ]
    if len(leaves) == 1:
        path, one, another = leaves[0]
        return _factor(path, [_told(one), _told(another)], names, [((section,), mine)])
    if mine.get("type") != theirs.get("type"):
        return _factor((section, "type"), [mine.get("type"), theirs.get("type")], names, [((section,), mine)])
    shown = [{_dotted(path[1:]): _told(values[side]) for path, *values in leaves} for side in (0, 1)]
    return _factor((section,), shown, names, [((section,), mine)])


def _leaves(path: Path, mine: Any, theirs: Any) -> Iterator[tuple[Path, Any, Any]]:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        for key in dict.fromkeys((*mine, *theirs)):
            yield from _leaves((*path, key), mine.get(key), theirs.get(key))
    else:
        yield path, mine, theirs


def _factor(
    path: Path, shown: Sequence[Any], names: tuple[str, str], edits: list[tuple[Path, Any]]
) -> Factor:
    return Factor(path=_dotted(path), values=dict(zip(names, shown, strict=True)), edits=tuple(edits))


def _told(value: Any) -> Any:
    """Return a list of layers by its types, and any other value as it is."""
    return [layer["type"] for layer in value] if _layers(value) else value


def _layers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) and "type" in item for item in value)
    )


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
