"""Two users' own `step(model, optimizer, batch)`: their losses, the gradients that reach their optimizers,
and how they move the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likewise.producer.display import both, count, gap
from likewise.producer.port.causes import finite
from likewise.producer.port.exchanged import Arrays, FreeTraining, relative_difference
from likewise.producer.port.models import PortFinding, Rung
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.setting_causes import numbers_of_reference
from likewise.producer.port.step_stages import StepStages
from likewise.producer.port.updates import Updates, losses_apart, names_of_losses, under_names

_LEAST_GRADIENT = 1e-6
"""Gradients are compared by their own size, or by this part of the largest where they are smaller."""


class StepUpdates(Updates):
    """Two programs whose updates are those of their own steps."""

    def __init__(self, pairing: Pairing) -> None:
        """Run one step of each."""
        self._mine, self._theirs = _one_step(pairing)
        self._worst_gradient = 0.0
        self._stages: StepStages | None = None
        super().__init__(
            pairing, {name: one for applied in self._mine.applied for name, one in applied.items()}
        )
        self._note_names()

    def _note_names(self) -> None:
        """Note which of several losses were taken for each other, where they have other names."""
        own = names_of_losses(self._mine.losses, self._theirs.losses) or {}
        told = [f"{theirs} for {name}" for name, theirs in own.items() if theirs != name]
        if len(own) > 1 and told:
            self._pairing.note(
                f"{self._pairing.other.label} has other names for the losses of its step(): by their values "
                f"{both(told)} was taken"
            )

    def gradients(self, findings: Sequence[PortFinding] = ()) -> tuple[Rung, list[PortFinding]]:
        """Compare the gradients that reach the optimizers in the first step, update by update.

        Where `findings` say that the forward pass differs, so do they: a cause of its own is then only what
        differs although the backward passes are given the same.
        """
        pairing, (mine, theirs) = self._pairing, (self._mine, self._theirs)
        if not mine.applied or not theirs.applied:
            text = "no framework's optimizer stepped in step(), so that its gradients were not seen"
            return Rung(name="gradients", status="skipped", text=text), []
        if len(mine.applied) != len(theirs.applied):
            finding = PortFinding(
                rung="gradients",
                path="step",
                lines=pairing.lines_of("step"),
                values=pairing.values(len(mine.applied), len(theirs.applied)),
                text=f"a step updates {count(len(mine.applied), 'time')} in {pairing.reference.label} and "
                f"{count(len(theirs.applied), 'time')} in {pairing.other.label}",
            )
            return _failed(finding), [finding]
        parted = self._parted()
        if parted is not None and pairing.frameworks_differ:
            # What an update before has moved by another rule of the framework's is not the program's.
            self._mine, self._theirs = _one_step(pairing, common=True)
            parted = self._parted()
            self._mine, self._theirs = mine, theirs
        cause = next((one for one in findings if one.rung == "forward"), None)
        if parted is not None:
            self._stages = StepStages(pairing, limit=self._limit, find=self._gradient_finding)
            found = self._stages.causes(forward_parts=cause is not None)
            if cause is not None:
                return _failed(parted).model_copy(update={"first_cause": cause}), found
            found = found or [parted]
            return _failed(found[0]), found
        weights = sum(len(one) for one in mine.applied)
        text = f"{count(weights, 'gradient')} that reach the optimizers in the first step are the same"
        return Rung(name="gradients", status="holds", relative_difference=self._worst_gradient, text=text), []

    def _parted(self) -> PortFinding | None:
        """Return the first difference of gradients that reach the optimizers, update by update."""
        self._worst_gradient = 0.0
        pairs = zip(self._mine.applied, self._theirs.applied, strict=True)
        for place, (one, two) in enumerate(pairs, start=1):
            back = self._pairing.mapping.to_reference(two)
            parted = self._gradient_finding(place, one, back)
            if parted is not None:
                return parted
            apart = (_apart(one, back, name) for name in one if name in back)
            self._worst_gradient = max([self._worst_gradient, *apart])
        return None

    def _gradient_finding(self, place: int, mine: Arrays, theirs: Arrays) -> PortFinding | None:
        """Return the first difference of one update's gradients: those of the last module come first."""
        pairing = self._pairing
        which = f"update {place} of a step" if len(self._mine.applied) > 1 else "a step"
        sides = (pairing.reference, pairing.other)
        mapped = {
            name
            for name in [*mine, *theirs]
            if name in pairing.mapping.to_reference(pairing.mapping.to_other({name: pairing.weights[name]}))
        }
        for having, lacking, label, other in (
            (mine, theirs, sides[0].label, sides[1].label),
            (theirs, mine, sides[1].label, sides[0].label),
        ):
            names = [name for name in having if name in mapped and name not in lacking]
            if names:
                return PortFinding(
                    rung="gradients",
                    path=names[0],
                    setting="trainable",
                    lines=pairing.lines_of("optimizer"),
                    text=f"{which} moves {both(names[:4])} in {label} and not in {other}",
                )
        worst = next(
            (name for name in reversed(mine) if name in theirs and self._parts(mine, theirs, name)), None
        )
        if worst is None:
            return None
        largest = max((float(np.max(np.abs(one), initial=0.0)) for one in mine.values()), default=0.0)
        told = [
            one for one in mine if one in theirs and np.max(np.abs(mine[one])) > _LEAST_GRADIENT * largest
        ]
        factors = {_factor(mine[name], theirs[name]) for name in told}
        why = ""
        if len(factors) == 1 and (factor := next(iter(factors))) is not None:
            why = (
                f": all are {factor:.6g} times as large, as where one side sums, accumulates or "
                "clips otherwise"
            )
        return PortFinding(
            rung="gradients",
            path=worst,
            lines=pairing.lines_of("step"),
            relative_difference=finite(_apart(mine, theirs, worst)),
            text=f"in {which} the gradient of {worst} that reaches the optimizer is "
            f"{gap(_apart(mine, theirs, worst))} apart, the first on the way back{why}",
        )

    def _parts(self, mine: Arrays, theirs: Arrays, name: str) -> bool:
        return _apart(mine, theirs, name) > self._limit

    def once(self, findings: Sequence[PortFinding]) -> tuple[Rung, list[PortFinding]]:
        """Compare the losses and the weights after one step of each."""
        mine, theirs = self._mine, self._theirs
        if losses_apart(mine.losses, theirs.losses) > self._limit:
            return self._losses(findings, mine, theirs)
        moved = self._moved(mine, theirs)
        if max(moved.values(), default=0.0) > self._limit and self._pairing.frameworks_differ:
            mine, theirs = _one_step(self._pairing, common=True)
            followed = self._moved(mine, theirs)
            if max(followed.values(), default=0.0) <= self._limit:
                self._common = True
                self._note_rules(max(moved.values()))
            if sum(one > self._limit for one in followed.values()) < sum(
                one > self._limit for one in moved.values()
            ):
                moved = followed
        worst = max(moved.values(), default=0.0)
        if worst <= self._limit:
            losses = count(len(mine.losses), "loss", "losses")
            text = f"one step gives the same {losses} and moves {len(moved)} weights alike"
            return Rung(name="update", status="holds", relative_difference=worst, text=text), []
        name = next(name for name in moved if moved[name] > self._limit)
        cause = next((one for one in findings if one.path.startswith("optimizer.")), None)
        cause = cause or next((one for one in findings if one.rung == "gradients"), None)
        finding = self._of_weights(moved, name)
        rung = Rung(
            name="update",
            status="fails",
            relative_difference=finite(worst),
            first_cause=cause or finding,
            text=f"after one step {name} is {gap(moved[name])} of its way apart",
        )
        return rung, self._beside(findings) if cause else [finding]

    def _losses(
        self, findings: Sequence[PortFinding], mine: FreeTraining, theirs: FreeTraining
    ) -> tuple[Rung, list[PortFinding]]:
        """Return that a step's losses differ, or have other names."""
        pairing = self._pairing
        labels = pairing.reference.label, pairing.other.label
        other = under_names(mine.losses, theirs.losses)
        if set(mine.losses) != set(other):
            returned = [both(list(one.losses)) for one in (mine, theirs)]
            text = f"a step returns {returned[0]} in {labels[0]} and {returned[1]} in {labels[1]}"
            finding = PortFinding(rung="update", path="step", lines=pairing.lines_of("step"), text=text)
        else:
            name = next(
                name
                for name in mine.losses
                if relative_difference(np.array(mine.losses[name]), np.array(other[name])) > self._limit
            )
            one, two = mine.losses[name][0], other[name][0]
            finding = PortFinding(
                rung="update",
                path=name,
                lines=pairing.lines_of("step"),
                values=pairing.values(one, two),
                relative_difference=finite(relative_difference(np.array(one), np.array(two))),
                text=f"in the first step {name} is {one:.6g} in {labels[0]} and {two:.6g} in {labels[1]}",
            )
        cause = next((one for one in findings if one.rung in ("forward", "gradients")), None)
        rung = Rung(
            name="update",
            status="fails",
            relative_difference=finding.relative_difference,
            first_cause=cause or finding,
            text=finding.text,
        )
        if cause is None:
            return rung, [finding, *self._weights_beside([])]
        return rung, self._beside(findings, finding)

    def _beside(
        self, findings: Sequence[PortFinding], losses: PortFinding | None = None
    ) -> list[PortFinding]:
        """Return what differs in a step beside the causes of the rungs below: its losses, and what it does
        with the weights.
        """
        parts = any(one.rung == "forward" for one in findings)
        told = []
        if losses is not None and not parts and self._stages is not None and not self._stages.passes_part:
            told = [losses]
        return [*told, *self._weights_beside(findings)]

    def _weights_beside(self, findings: Sequence[PortFinding]) -> list[PortFinding]:
        """Return the first weight that a step moves otherwise with the same gradients at every update.

        Where optimizers differ they are made alike first. What stays different of the weights that they move
        is of their rules, and hides the rest.
        """
        if len(self._mine.applied) != len(self._theirs.applied):
            return []
        numbers = numbers_of_reference(self._pairing, findings)
        if numbers is None:
            return []
        stages = self._stages
        if numbers or stages is None:
            self._pairing.other.override(numbers)
            try:
                stages = StepStages(self._pairing, limit=self._limit, find=self._gradient_finding)
            finally:
                self._pairing.other.override({})
        moved = self._moved(stages.mine, stages.theirs)
        if any(one.rung == "forward" for one in findings):
            moved = {name: one for name, one in moved.items() if ".moving_" not in name}
        parted = [name for name in moved if moved[name] > self._limit]
        if numbers and any(name in applied for name in parted for applied in stages.mine.applied):
            return []
        return [self._of_weights(moved, name) for name in parted[:1]]

    def _of_weights(self, moved: dict[str, float], name: str) -> PortFinding:
        return PortFinding(
            rung="update",
            path=name,
            lines=self._pairing.lines_of("step"),
            relative_difference=finite(moved[name]),
            text=f"after one step {name} is {gap(moved[name])} of its way apart, though the gradients that "
            "reach the optimizers are the same: look at what the step does with the weights themselves",
        )

    def _moved(self, mine: FreeTraining, theirs: FreeTraining) -> dict[str, float]:
        """Return how far apart each weight is after a step, by the way that the reference moves it."""
        pairing = self._pairing
        back = pairing.mapping.to_reference(theirs.weights)
        found = {}
        for name, one in mine.weights.items():
            if name not in back or name.endswith(".moving_variance"):
                continue
            way = float(np.max(np.abs(one - pairing.weights[name]), initial=0.0))
            apart = float(np.max(np.abs(one - back[name]), initial=0.0))
            found[name] = apart / way if way else apart
        idle = self._idle(found)
        return {name: apart for name, apart in found.items() if name not in idle}


def _one_step(pairing: Pairing, *, common: bool = False) -> tuple[FreeTraining, FreeTraining]:
    """Run one step of each, on the same weights and random numbers, with dropout off."""
    mine, theirs = pairing.batch, pairing.others_batch
    return (
        pairing.reference.train(mine.inputs, mine.targets, steps=1, common=common),
        pairing.other.train(theirs.inputs, theirs.targets, steps=1, common=common),
    )


def _apart(mine: Arrays, theirs: Arrays, name: str) -> float:
    largest = max((float(np.max(np.abs(one), initial=0.0)) for one in mine.values()), default=0.0)
    return relative_difference(mine[name], theirs[name], least=_LEAST_GRADIENT * largest)


def _factor(one: np.ndarray, two: np.ndarray) -> float | None:
    """Return by what number one gradient must be multiplied to be another, to six digits."""
    place = np.unravel_index(int(np.argmax(np.abs(one))), one.shape) if one.size else ()
    if not one.size or one[place] == 0 or one.shape != two.shape:
        return None
    factor = float(two[place] / one[place])
    return round(factor, 6) if relative_difference(one * factor, two) <= 1e-5 else None


def _failed(finding: PortFinding) -> Rung:
    return Rung(
        name="gradients",
        status="fails",
        relative_difference=finding.relative_difference,
        first_cause=finding,
        text=finding.text,
    )
