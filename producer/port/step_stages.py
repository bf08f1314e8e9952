"""Every cause within two users' own steps, by giving each stage of one what the other's gives the next.

A step has stages: backward passes give gradients, something may be done with those, they reach an
optimizer, and something may be done with the weights themselves. The other program's step is run once more
with the reference's gradients at every update, and again with them after every backward pass, too. What
differs then is no consequence of what differs before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from likewise.producer.display import gap
from likewise.producer.port.causes import finite
from likewise.producer.port.exchanged import Arrays, FreeTraining, StepGradients, relative_difference
from likewise.producer.port.models import PortFinding
from likewise.producer.port.pairing import Pairing

Finder = Callable[[int, Arrays, Arrays], PortFinding | None]
"""It finds the first difference of an update's gradients: of its number, the reference's and the other's."""


class StepStages:
    """One step of the reference, and the other's with its gradients. Both update as often."""

    def __init__(self, pairing: Pairing, *, limit: float, find: Finder) -> None:
        """Run each step; a difference is one above `limit`, and `find` finds those of updates."""
        self._pairing, self._limit, self._find = pairing, limit, find
        self.mine = _stepped(pairing, StepGradients())
        applied = [pairing.mapping.to_other(one) for one in self.mine.applied]
        self._updates_given = _stepped(pairing, StepGradients(applied=applied), other=True)
        self._all_given: FreeTraining | None = None
        if self.mine.passes and len(self.mine.passes) == len(self._updates_given.passes):
            passes = [pairing.mapping.to_other(one) for one in self.mine.passes]
            self._all_given = _stepped(pairing, StepGradients(passes=passes, applied=applied), other=True)
        self.passes_part = False
        """Whether a backward pass gives other gradients."""

    @property
    def theirs(self) -> FreeTraining:
        """Return the other's step with the reference's gradients at every update."""
        return self._all_given or self._updates_given

    def causes(self, *, forward_parts: bool) -> list[PortFinding]:
        """Return each cause between the losses and the optimizers.

        Where the forward pass parts, what backward passes give is its consequence. Updates of the same
        weights are of one cause.
        """
        found: list[PortFinding] = []
        told: set[frozenset[str]] = set()
        for number, mine in enumerate(self.mine.applied, start=1):
            weights = frozenset(mine)
            if weights in told:
                continue
            of_update = list(self._of_update(number, forward_parts=forward_parts))
            if of_update:
                told.add(weights)
            found += of_update
        return found

    def _of_update(self, number: int, *, forward_parts: bool) -> Iterator[PortFinding]:
        """Yield the causes of one update: its backward passes, and what is done with their gradients."""
        whole = self._parted(number, self._updates_given)
        behind = None
        if self._all_given is not None and self._are_passed(number):
            behind = self._parted(number, self._all_given)
        if forward_parts:
            whole = None if behind is None else whole
        if whole is None:
            return
        passed = self._of_passes(number)
        self.passes_part = self.passes_part or passed is not None
        if passed is None or forward_parts or behind is None:
            yield behind if forward_parts and behind is not None else whole
            return
        yield passed
        yield behind.model_copy(
            update={
                "text": f"{behind.text}; the backward passes were given the same, so that it is done between "
                "them and the optimizer"
            }
        )

    def _parted(self, number: int, theirs: FreeTraining) -> PortFinding | None:
        if number > len(theirs.applied):
            return None
        back = self._pairing.mapping.to_reference(theirs.applied[number - 1])
        return self._find(number, self.mine.applied[number - 1], back)

    def _are_passed(self, number: int) -> bool:
        """Return whether backward passes of both give the gradients of all weights of an update."""
        back = self._pairing.mapping.to_reference
        passed = {name for one in self.mine.passes for name in one}
        passed &= {name for one in self._updates_given.passes for name in back(one)}
        return set(self.mine.applied[number - 1]) <= passed

    def _of_passes(self, number: int) -> PortFinding | None:
        """Return the first backward pass that gives weights of an update another gradient."""
        pairing, weights = self._pairing, self.mine.applied[number - 1]
        several = len(self.mine.passes) > 1
        pairs = zip(self.mine.passes, self._updates_given.passes, strict=False)
        for place, (mine, theirs) in enumerate(pairs, start=1):
            back = pairing.mapping.to_reference(theirs)
            largest = max((float(np.max(np.abs(one), initial=0.0)) for one in mine.values()), default=0.0)
            for name in reversed([name for name in mine if name in back and name in weights]):
                apart = relative_difference(mine[name], back[name], least=1e-6 * largest)
                if apart > self._limit:
                    which = f"backward pass {place} of a step" if several else "the backward pass of a step"
                    return PortFinding(
                        rung="gradients",
                        path=name,
                        lines=pairing.lines_of("step"),
                        relative_difference=finite(apart),
                        text=f"{which} gives {name} a gradient that is {gap(apart)} apart, the first on the "
                        "way back: look at the loss that it derives",
                    )
        return None


def _stepped(pairing: Pairing, given: StepGradients, *, other: bool = False) -> FreeTraining:
    """Run one step of a program with what is given, by rules that the frameworks share."""
    sides = (pairing.reference, pairing.batch), (pairing.other, pairing.others_batch)
    side, batch = sides[other]
    return side.step(batch, given, common=pairing.frameworks_differ)
