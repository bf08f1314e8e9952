"""The rungs on which optimizers step: one update with given gradients, then some with their own.

Some rules of the frameworks differ by design, whatever a program says. Where two programs part, they are
compared once more with those rules made the same (`common`, see `worker.port.contract`); if they agree
then, the
rule is told as a note.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.display import both, gap
from likewise.producer.port.causes import finite
from likewise.producer.port.exchanged import Arrays, relative_difference
from likewise.producer.port.models import PortFinding, Rung
from likewise.producer.port.pairing import Pairing

FACTORS = (1.0, 0.5, 2.0)
"""The gradients are multiplied by these, one update each, where they are given."""
_NO_GRADIENT = 1e-10
"""A gradient so much smaller than the largest is rounding."""
_GROWTH = 100
"""How much larger than a tensor's rounding that of a weight's way may be, after some updates."""
_MOST_NAMES = 5
"""Losses with other names are paired by their values where there are no more than these."""
UNBIASED = (
    "PyTorch's batch norm moves its variance by the unbiased estimate (n − 1 in the denominator), Keras's by "
    "the biased one: by design, and small where a batch is large"
)


class Updates:
    """Two programs whose forward pass, loss and gradients were compared already."""

    def __init__(self, pairing: Pairing, gradients: Arrays) -> None:
        """Take the reference's gradients, by its names."""
        self._pairing = pairing
        self._gradients = gradients
        self._limit = _GROWTH * pairing.tolerance
        self._common = False
        self._rates: tuple[list[float], list[float]] = [], []
        """The learning rates of the updates that were compared last."""

    # ---- with given gradients

    def once(self, findings: Sequence[PortFinding]) -> tuple[Rung, list[PortFinding]]:
        """PairStep three times with the same gradients; `findings` are those of the rungs below."""
        moved = self._moved_apart(self._gradients, common=False)
        if _worst(moved) > self._limit and self._pairing.frameworks_differ:
            followed = self._moved_apart(self._gradients, common=True)
            if _worst(followed) <= self._limit:
                self._common = True
                self._note_rules(_worst(moved))
                moved = followed
        worst = _worst(moved)
        if worst <= self._limit:
            text = f"three updates with the same gradients move {len(moved)} weights alike"
            return Rung(name="update", status="holds", relative_difference=worst, text=text), []
        name = max(moved, key=lambda one: moved[one])
        cause = next((one for one in findings if one.path.startswith("optimizer.")), None)
        found = [] if cause is not None else [self._rule(name, worst)]
        rung = Rung(
            name="update",
            status="fails",
            relative_difference=finite(worst),
            first_cause=cause or found[0],
            text=f"with the same gradients, {name} moves {gap(worst)} of its way apart",
        )
        return rung, found

    def _moved_apart(self, gradients: Arrays, *, common: bool) -> dict[str, float]:
        """Return how far apart the optimizers move each weight, by the way that the reference moves it."""
        pairing = self._pairing
        mine = pairing.reference.update(gradients, FACTORS, common=common)
        given = pairing.mapping.to_other(gradients)
        theirs = pairing.mapping.to_reference(pairing.other.update(given, FACTORS, common=common))
        found = {}
        for name in self._gradients:
            if name in theirs:
                way = float(np.max(np.abs(mine[name] - pairing.weights[name]), initial=0.0))
                found[name] = float(np.max(np.abs(mine[name] - theirs[name]), initial=0.0)) / (way or 1.0)
        return found

    def _rule(self, name: str, relative: float) -> PortFinding:
        """Return that optimizers with the same numbers move weights differently, and what it may be."""
        large = {key: 1e6 * np.sign(one + 0.5) for key, one in self._gradients.items()}
        why = "their rules differ, such as what decay or momentum is applied to"
        if _worst(self._moved_apart(large, common=self._pairing.frameworks_differ)) <= self._limit:
            why = (
                "with large gradients they agree, so that it is epsilon: where it is added (in "
                "Keras's RMSprop "
                "under the root, in PyTorch's after it)"
            )
        return PortFinding(
            rung="update",
            path=name,
            lines=self._pairing.lines_of("optimizer"),
            relative_difference=finite(relative),
            text=f"with the same gradients and numbers the optimizers move {name} {gap(relative)} of its way "
            "apart; "
            f"{why}",
        )

    # ---- with their own

    def freely(
        self, lower: PortFinding | None, findings: Sequence[PortFinding]
    ) -> tuple[Rung, list[PortFinding]]:
        """Train some updates on the batch; `lower` is the first cause of the rungs below, with `findings`."""
        pairing = self._pairing
        pairing.as_written()
        drops = any(pair.is_masks_own for pair in pairing.draws.pairs)  # which cannot be switched off
        parted = self._trained_apart(common=self._common, drops=drops)
        if _worst(parted) > self._limit and pairing.frameworks_differ and not self._common:
            followed = self._trained_apart(common=True, drops=drops)
            if _worst(followed) <= self._limit:
                self._common = True
                self._note_rules(_worst(parted))
                parted = followed
        pairing.as_reference()
        worst = _worst(parted)
        if worst <= self._limit:
            text = f"{self._pairing.updates} updates in training mode give the same losses and weights"
            return Rung(name="updates", status="holds", relative_difference=worst, text=text), []
        name = max((one for one in parted if one != "losses"), key=lambda key: parted[key], default="losses")
        found = []
        if (rates := self._of_rates([*findings, *([] if lower is None else [lower])])) is not None:
            found = [rates]
        elif lower is None:
            found = [
                PortFinding(
                    rung="updates",
                    path=name,
                    relative_difference=finite(parted[name]),
                    text=f"{name} parts by {gap(parted[name])} within {self._pairing.updates} updates, "
                    "though every rung below holds: look at what only training mode does",
                )
            ]
        rung = Rung(
            name="updates",
            status="fails",
            relative_difference=finite(worst),
            first_cause=lower or found[0],
            text=f"after {self._pairing.updates} updates the losses are {gap(parted['losses'])} apart and "
            f"{name} {gap(parted[name])}",
        )
        return rung, found

    def _of_rates(self, findings: Sequence[PortFinding]) -> PortFinding | None:
        """Return that the learning rate of some update is another one, the first such update.

        Beside other findings it is told where none is of an optimizer's numbers and both update as often.
        """
        pairing, (mine, theirs) = self._pairing, self._rates
        if any(one.path.startswith("optimizer.") for one in findings):
            return None
        if findings and len(mine) != len(theirs):
            return None
        for number, (one, two) in enumerate(zip(mine, theirs, strict=False), start=1):
            if not np.isclose(one, two, rtol=1e-6):
                return PortFinding(
                    rung="updates",
                    path="optimizer.schedule",
                    setting="learning_rate",
                    lines=pairing.lines_of("step") or pairing.lines_of("optimizer"),
                    values=pairing.values(one, two),
                    text=f"the learning rate of update {number} is {one:.6g} in "
                    f"{pairing.reference.label} and {two:.6g} in {pairing.other.label}",
                )
        return None

    def with_masks(self, same: str) -> Rung:
        """Train both with the same masks and noise; `same` says what holds already."""
        parted = self._trained_apart(common=self._common, drops=True)
        worst = _worst(parted)
        if worst <= self._limit:
            text = f"{same}, and so are {self._pairing.updates} updates"
            return Rung(name="training_mode", status="holds", relative_difference=worst, text=text)
        name = max((one for one in parted if one != "losses"), key=lambda key: parted[key], default="losses")
        finding = PortFinding(
            rung="training_mode",
            path=name,
            relative_difference=finite(parted[name]),
            text=f"with the same masks, {name} parts by {gap(parted[name])} within {self._pairing.updates} "
            "updates, though not without: look at what draws other numbers with each update",
        )
        return Rung(
            name="training_mode",
            status="fails",
            relative_difference=finite(worst),
            first_cause=finding,
            text=finding.text,
        )

    def _trained_apart(self, *, common: bool, drops: bool = False) -> dict[str, float]:
        """Train both; return how far apart `losses` and each weight are, but for what is by design."""
        pairing = self._pairing
        one, two = (
            side.train(batch.inputs, batch.targets, steps=pairing.updates, common=common, drops=drops)
            for side, batch in (
                (pairing.reference, pairing.batch),
                (pairing.other, pairing.others_batch),
            )
        )
        self._rates = one.rates, two.rates
        mine, back = one.weights, pairing.mapping.to_reference(two.weights)
        parted = {name: relative_difference(mine[name], back[name]) for name in mine if name in back}
        left_out = self._unbiased(parted, mine, back) + self._idle(parted)
        return {
            "losses": losses_apart(one.losses, two.losses),
            **{name: apart for name, apart in parted.items() if name not in left_out},
        }

    def _idle(self, parted: Mapping[str, float]) -> list[str]:
        """Return the weights that parted and whose gradient is nothing but rounding."""
        largest = max((_size(one) for one in self._gradients.values()), default=0.0)
        idle = [
            name
            for name, apart in parted.items()
            if apart > self._limit
            and name in self._gradients
            and _size(self._gradients[name]) < _NO_GRADIENT * largest
        ]
        if idle:
            self._pairing.note(
                f"the gradient of {both(idle)} is 0 but for rounding, which an optimizer that divides "
                "by its size "
                "turns into steps; left out of the comparison of the updates"
            )
        return idle

    def _unbiased(self, parted: Mapping[str, float], mine: Arrays, theirs: Arrays) -> list[str]:
        """Return the moving variances that parted by the two frameworks' estimates alone."""
        moving = [
            name
            for name, apart in parted.items()
            if name.endswith(".moving_variance") and apart > self._limit
        ]
        if not moving or not self._pairing.frameworks_differ:
            return []
        if not all(self._is_unbiased(name, mine[name], theirs[name]) for name in moving):
            return []
        self._pairing.note(UNBIASED)
        return moving

    def _is_unbiased(self, name: str, mine: NDArray[Any], theirs: NDArray[Any]) -> bool:
        """Return whether one moving variance is the other with n / (n − 1) in each batch's part.

        After k updates with momentum m a moving variance is mᵏ times its start, and the batches' part.
        """
        pairing = self._pairing
        path = name.rpartition(".")[0]
        momentum = pairing.seen[pairing.reference.label][path].settings.get("momentum")
        call = next((one for one in pairing.calls if one.path == path and one.entered is not None), None)
        if call is None or call.entered is None or momentum is None:
            return False
        samples = call.entered[..., 0].size
        passes = sum(one.path == path for one in pairing.calls)  # of one step
        start = pairing.weights[name] * momentum ** (pairing.updates * passes)
        unbiased = samples / (samples - 1)
        return any(
            relative_difference(start + factor * (mine - start), theirs) <= self._limit
            for factor in (unbiased, 1 / unbiased)
        )

    def _note_rules(self, relative: float) -> None:
        """Note where the frameworks' rules differ by design, for programs that are alike otherwise."""
        pairing = self._pairing
        kinds = {
            one["type"]
            for described in pairing.described.values()
            for one in (described["optimizers"] or {}).values()
        }
        modules = [one for seen in pairing.seen.values() for one in seen.values()]
        if any(name.endswith(".moving_variance") for name in pairing.weights):
            pairing.note(UNBIASED)
        if kinds <= {"adam", "adamw", "rmsprop", "adagrad"} and any(
            one.kind == "embedding" for one in modules
        ):
            pairing.note(
                "Keras's optimizers square the gradient of each occurrence of a word by itself, and clip by "
                "the norm of all of them, PyTorch's those of the whole row: where a word occurs twice in a "
                "batch the embeddings part; the updates were compared with whole rows on both sides"
            )
        if kinds <= {"adam", "adamw"}:
            pairing.note(
                "Keras adds Adam's epsilon before the bias correction and PyTorch after it: with "
                "gradients as small "
                f"as epsilon this moves weights up to {gap(relative)} of their way apart; the updates "
                "were compared "
                "with Keras's rule on both sides"
            )
        if kinds == {"sgd"} and any(len(set(rates)) > 1 for rates in self._rates):
            pairing.note(
                "Keras's momentum holds steps, so that a new learning rate does not reach those it has; "
                "PyTorch's holds gradients, which a new rate scales: the updates were compared with Keras's "
                "rule on both sides"
            )
        if any(" + " in slot["own"] for one in modules for slot in one.slots.values()):
            pairing.note(
                "PyTorch keeps two biases in a recurrent layer, and each is updated, so that their "
                "sum moves twice as "
                "far as Keras's one; the updates were compared with the second one at rest (to have it so: "
                "requires_grad_(False) on bias_hh_l0)"
            )


def losses_apart(mine: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]) -> float:
    """Return how far apart named losses are, step by step; infinitely where they are not as many."""
    theirs = under_names(mine, theirs)
    if set(mine) != set(theirs):
        return float("inf")
    return max(
        (relative_difference(np.array(one), np.array(theirs[name])) for name, one in mine.items()),
        default=0.0,
    )


def under_names(
    mine: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]
) -> Mapping[str, Sequence[float]]:
    """Return the other program's losses by the reference's names; as they are where they are not as many."""
    own = names_of_losses(mine, theirs)
    return theirs if own is None else {name: theirs[own[name]] for name in mine}


def names_of_losses(
    mine: Mapping[str, Sequence[float]], theirs: Mapping[str, Sequence[float]]
) -> dict[str, str] | None:
    """Return what the other program calls each loss: the same, or that which is nearest in the first step.

    None where they are not as many.
    """
    alone = [name for name in mine if name not in theirs]
    others = [name for name in theirs if name not in mine]
    if len(alone) != len(others) or len(alone) > _MOST_NAMES:
        return None
    found = min(
        permutations(others),
        key=lambda order: sum(
            relative_difference(np.array(mine[one][:1]), np.array(theirs[two][:1]))
            for one, two in zip(alone, order, strict=True)
        ),
    )
    return {name: name for name in mine} | dict(zip(alone, found, strict=True))


def _size(array: NDArray[Any]) -> float:
    return float(np.max(np.abs(array), initial=0.0))


def _worst(apart: Mapping[str, float]) -> float:
    return max(apart.values(), default=0.0)
