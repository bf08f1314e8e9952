"""Every setting of a resolved experiment with where each framework's value came from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from producer.job.native import NativeDefault
from producer.job.resolve import Resolved, is_in, leaves
from shared.job import Job

Kind = Literal["written", "override", "shared", "native", "stored"]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where one value came from. `native` is None unless a framework's own default had a part in it."""

    kind: Kind
    """`stored` is a value that this version would resolve to another: the experiment is an older one's."""
    native: NativeDefault | None = None


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting, by framework; a framework that has no such setting is missing in both."""

    path: str
    values: Mapping[str, Any]
    """JSON values."""
    origins: Mapping[str, Origin]

    def differs(self, frameworks: Sequence[str]) -> bool:
        """Whether some framework has another value, or lacks the setting."""
        return len({repr(self.values.get(name)) for name in frameworks}) > 1


def settings_of(resolved: Mapping[str, Resolved], jobs: Mapping[str, Job] | None = None) -> list[Setting]:
    """Every setting in the job file's order.

    `jobs` are those of a stored experiment; without them the ones that were just resolved are shown.
    """
    now = {name: dict(leaves(one.job.model_dump(mode="json"))) for name, one in resolved.items()}
    shown = now
    if jobs is not None:
        shown = {name: dict(leaves(job.model_dump(mode="json"))) for name, job in jobs.items()}
    paths = dict.fromkeys(path for values in shown.values() for path in values)
    found = []
    for path in paths:
        holders = [name for name, values in shown.items() if path in values]
        origins = {
            name: _origin(path, resolved[name])
            if name in now and now[name].get(path) == shown[name][path]
            else Origin(kind="stored")
            for name in holders
        }
        found.append(
            Setting(path=path, values={name: shown[name][path] for name in holders}, origins=origins)
        )
    return found


def _origin(path: str, one: Resolved) -> Origin:
    # a row of a whole mapping, or of a part of what is one setting, such as a written initializer's
    row = next(
        (row for place, row in one.native.items() if is_in(path, (place,)) or is_in(place, (path,))), None
    )
    if path in one.overridden:
        return Origin(kind="override", native=row)
    if path in one.written:
        return Origin(kind="written", native=row)
    return Origin(kind="shared") if row is None else Origin(kind="native", native=row)
