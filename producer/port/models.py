"""What a check of two programs comes to (rungs, the mapping, what differs), and what their trainings do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ConfigDict

from likewise.producer.verdict.models import Verdict
from likewise.shared.frozen import Frozen

RungName = Literal[
    "settings", "mapping", "forward", "loss", "gradients", "update", "updates", "training_mode", "data"
]
RUNGS: tuple[RungName, ...] = (
    *("settings", "mapping", "forward", "loss", "gradients"),
    *("update", "updates", "training_mode", "data"),
)
"""The rungs, from the bottom up. Each is fed the reference's tensors, so that one can hold above one
that fails.
"""
Status = Literal["holds", "fails", "skipped"]
Proof = Literal["proved", "shape_only", "by_hand", "unused"]


class PortFinding(Frozen):
    """One thing that differs, with its cause where that is known."""

    rung: RungName
    path: str
    """What differs: a module, a weight or a setting, by the reference's name where it has one."""
    paths: Mapping[str, str] = {}
    """Each side's own name of it."""
    setting: str | None = None
    values: Mapping[str, Any] = {}
    """The setting's value by side, in Keras's convention."""
    lines: Mapping[str, str] = {}
    """Where it is made or called in each side's code, as `file.py:12`."""
    relative_difference: float | None = None
    also: tuple[str, ...] = ()
    """Other modules of the reference with the same difference."""
    text: str
    """What differs, as a sentence."""
    fix: Mapping[str, str] = {}
    """The edit that makes a side like the other, by side."""


class Rung(Frozen):
    """One rung: whether it holds, how far apart the sides are there, and the first cause."""

    name: RungName
    status: Status
    relative_difference: float | None = None
    first_cause: PortFinding | None = None
    text: str
    """What was compared and what came of it, or why it was skipped."""


class WeightRow(Frozen):
    """One weight of the reference and the other side's, or one that has no counterpart."""

    names: Mapping[str, str]
    """The weight's name on each side; a side that has none is missing."""
    shapes: Mapping[str, tuple[int, ...]]
    """The shapes in Keras's layout, by side."""
    transform: str
    """How the other side's own array becomes the reference's."""
    status: Proof
    why: str = ""


class ModuleRow(Frozen):
    """One module of the reference with its counterpart, or one of either side that has none."""

    paths: Mapping[str, str]
    """This is its name on each side; a side that has none is missing."""
    types: Mapping[str, str]
    """The name of its class, by side."""
    lines: Mapping[str, str] = {}
    """Where it is made or called in each side's code, as `file.py:12`."""
    shapes: Mapping[str, Mapping[str, tuple[int, ...]]] = {}
    """These are the shapes of its weights by side, in Keras's layout."""
    status: Literal["same", "differs", "unproved", "alone", "weightless"]
    """Fed the same, with the same weights, both give the same; or there is a finding; or it was not seen at
    work; or it has no counterpart, or no weights by which to have one: what it does is judged with what
    stands around it."""
    relative_difference: float | None = None
    """How far apart what leaves both is, where both were fed the same."""
    findings: tuple[int, ...] = ()
    """The findings about it, by their places in `findings`."""


class PortCheck(Frozen):
    """It is the whole answer to a check."""

    name: str
    sides: tuple[str, str]
    """The reference, and the other."""
    versions: Mapping[str, str]
    files: Mapping[str, str]
    tolerance: float
    rungs: tuple[Rung, ...]
    mapping: tuple[WeightRow, ...]
    findings: tuple[PortFinding, ...]
    modules: tuple[ModuleRow, ...] = ()
    """Both programs' modules in the reference's order."""
    notes: tuple[str, ...] = ()

    @property
    def agrees(self) -> bool:
        """Return whether no rung fails."""
        return all(rung.status != "fails" for rung in self.rungs)

    @property
    def next(self) -> str:
        """Return what to do next, in one sentence."""
        first = next((rung for rung in self.rungs if rung.status == "fails"), None)
        if first is None:
            skipped = [rung for rung in self.rungs if rung.status == "skipped" and "define" in rung.text]
            if skipped:
                return f"every rung that was climbed holds; to climb {skipped[0].name}: {skipped[0].text}"
            return "every rung that was climbed holds"
        cause = first.first_cause
        if cause is None:
            return f"look at the rung {first.name}: {first.text}"
        edit = next(iter(cause.fix.values()), None)
        return f"{cause.text}{f'; {edit}' if edit else ''}"


class _Measured(Frozen):
    """The base of what was measured: a training that diverges has numbers that are infinite or none."""

    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="constants")


class SideTraining(_Measured):
    """What one program's training from one seed came to."""

    seed: int
    losses: tuple[float, ...]
    """These are its losses, update by update: of several those of the first that the program names."""
    diverged: bool
    """Whether a loss is no number at some update."""
    train_s: float


class SeedGap(_Measured):
    """How far apart both sides are after the training from one seed."""

    seed: int
    losses: float
    weights: float
    outputs: float
    worst_weight: str | None
    first_update: int | None
    """The first update whose loss is further apart than it may be, from 1."""

    @property
    def largest(self) -> float:
        """Return the largest of the gaps."""
        return max(self.losses, self.weights, self.outputs)


class PortTraining(_Measured):
    """What the trainings of a port say."""

    name: str
    sides: tuple[str, str]
    versions: Mapping[str, str]
    files: Mapping[str, str]
    hosts: Mapping[str, str]
    updates: int
    batch: int
    """How many rows an update takes."""
    runs: Mapping[str, tuple[SideTraining, ...]]
    gaps: tuple[SeedGap, ...]
    tolerance: float
    noise: float
    """How far a start that is moved by rounding carries the reference."""
    verdict: Verdict
    reasons: tuple[str, ...]
    check: PortCheck | None
    """The ladder, which names the cause, where the sides differ."""
    notes: tuple[str, ...]
