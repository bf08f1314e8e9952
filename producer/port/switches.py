"""Settings of a ported program that are switched while it lives, to what the reference has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from likewise.producer.blame.shares import Mixture
from likewise.producer.port.evidence import outputs_of
from likewise.producer.port.mapping import Pair
from likewise.producer.port.models import PortFinding
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.setting_causes import of_settings
from likewise.producer.port.settings import CHANGEABLE, optimizer_differences, own_zeros
from likewise.producer.port.training import of_draws
from likewise.shared.errors import RunFailedError

_SHAPING = ("strides", "dilation_rate")
"""Settings that give what leaves another shape, with which the rest of a program may not run."""
_POINTS = 3
"""A loss is a multiple of another one where it is so at as many outputs."""
_OF_PROGRAMS = ("mapping", "forward", "loss", "gradients", "update", "updates", "training_mode")
"""The rungs whose findings are of what programs compute, and not of what they are fed."""


@dataclass(frozen=True)
class LiveSetting:
    """A setting that differs and that the other program can be given as the reference has it."""

    finding: PortFinding
    pairs: Sequence[Pair] = ()
    """The modules that have it, where it is one of modules."""
    optimizer: str | None = None
    """The other program's name of the optimizer that has it, where it is one of an optimizer."""
    zeros: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    """The zeros that each module of the other adds, where it is a padding: the reference's, and its own."""
    rates: Sequence[float] = ()
    """The learning rates of the reference's updates, where it is a schedule."""
    loss_factor: float | None = None
    """The other's loss is multiplied by this, where it is the loss."""


class Switches:
    """Finds what differs between two paired programs, and gives the live one what it can be given."""

    def __init__(
        self,
        pairing: Pairing,
        *,
        causes: Sequence[PortFinding],
        rates: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        """Find both, each tried once on the other program, which has its own settings then.

        `causes` are those that a check has found, `rates` the learning rates of either's updates.
        """
        self._pairing, self._rates = pairing, rates
        self._labels = pairing.reference.label, pairing.other.label
        self.factors: list[LiveSetting] = []
        self.others: list[PortFinding] = []
        """What differs and cannot be switched."""
        self.code: list[PortFinding] = []
        """What differs and is no setting."""
        self._sort()
        self._sort_causes(causes)
        self.switch(frozenset())

    def _sort(self) -> None:
        pairs = {pair.reference.path: pair for pair in self._pairing.mapping.pairs}
        for one in [*of_settings(self._pairing), *of_draws(self._pairing)]:
            factor: LiveSetting | None = None
            if one.path.startswith("optimizer."):
                factor = self._of_optimizer(one)
            elif one.setting in (*CHANGEABLE, *_SHAPING):
                factor = LiveSetting(one, [pairs[path] for path in (one.path, *one.also)])
            elif one.setting == "padding":
                factor = self._of_padding(one, [pairs[path] for path in (one.path, *one.also)])
            if factor is not None and one.setting in _SHAPING and not self._runs(factor):
                factor = None
            if factor is None:
                self.others.append(one)
            else:
                self.factors.append(factor)

    def _sort_causes(self, causes: Sequence[PortFinding]) -> None:
        """Take what differs in the loss and in the course of the learning rates as factors, where it may."""
        mine, theirs = self._rates
        scheduled = [one for one in (*self.others, *causes) if one.path == "optimizer.schedule"]
        if len(mine) == len(theirs) and not np.allclose(mine, theirs, rtol=1e-6):
            self.factors += [LiveSetting(one, rates=mine) for one in scheduled[:1]]
            of_rates = ("optimizer.schedule", "optimizer.learning_rate")
            self.others = [one for one in self.others if not scheduled or one.path not in of_rates]
        for one in causes:
            if one.rung in _OF_PROGRAMS and one.path != "optimizer.schedule":
                factor = self._of_loss(one) if one.rung == "loss" else None
                if factor is not None:
                    self.factors.append(factor)
                else:
                    self.code.append(one)

    def _runs(self, factor: LiveSetting) -> bool:
        """Return whether the other program runs with a setting switched."""
        pairing = self._pairing
        value = factor.finding.values[self._labels[0]]
        own = factor.finding.values[self._labels[1]]
        paths, setting = [pair.other.path for pair in factor.pairs], str(factor.finding.setting)
        done = sum(pairing.other.change(path, setting, value) for path in paths) == len(paths)
        try:
            pairing.other.forward(pairing.inputs, training=True)
        except RunFailedError:
            done = False
        for path in paths:
            pairing.other.change(path, setting, own)
        return done

    def _of_loss(self, finding: PortFinding) -> LiveSetting | None:
        """Return the factor of a loss that is a multiple of the reference's; None where it is another one."""
        pairing = self._pairing
        one, two = (finding.values[label] for label in self._labels)
        if not two or one == two:
            return None
        outputs, targets = outputs_of(pairing.calls), pairing.batch.targets
        for turn in range(_POINTS):  # other outputs: each row those of another one
            turned = {name: np.roll(array, turn, axis=0) for name, array in outputs.items()}
            mine, _ = pairing.reference.loss(turned, targets)
            given = pairing.forced.forms.to_other(turned)
            theirs, _ = pairing.other.loss(given, pairing.others_batch.targets)
            if abs(theirs * one / two - mine) > pairing.tolerance * abs(mine):
                return None
        return LiveSetting(finding, loss_factor=one / two)

    def _of_padding(self, finding: PortFinding, pairs: Sequence[Pair]) -> LiveSetting | None:
        """Return the factor of zeros around an input; None where a live module cannot add them."""
        zeros: dict[str, tuple[Any, Any]] = {}
        values = [finding.values[label] for label in self._labels]
        if not all(
            isinstance(one, list | tuple) for one in values
        ):  # a word, of an input whose shape is not known
            return None
        reference, other = map(np.array, values)
        for pair in pairs:
            step = self._pairing.forced.of(pair.reference.path)
            entered = None if step is None else step.entered
            own = None if entered is None else own_zeros(pair.other, entered.shape)
            if own is None or np.any((wanted := np.array(own) + reference - other) < 0):
                return None
            if not self._pairing.other.change(pair.other.path, "padding", own):
                return None
            zeros[pair.other.path] = wanted.tolist(), own
        return LiveSetting(finding, pairs, zeros=zeros)

    def _of_optimizer(self, finding: PortFinding) -> LiveSetting | None:
        """Return the factor of an optimizer's number; None where the live optimizer does not take it."""
        reference, other = self._pairing.reference, self._pairing.other
        mine, theirs = (
            self._pairing.described[side.label]["optimizers"] or {} for side in (reference, other)
        )
        twins = dict(zip(mine, mine if set(mine) == set(theirs) else theirs, strict=False))
        setting = str(finding.setting)
        name = finding.path.removeprefix("optimizer.").removesuffix(setting).rstrip(".")
        if name not in twins or finding.also or "schedule" in {**mine[name], **theirs[twins[name]]}:
            return None
        if mine[name]["type"] != theirs[twins[name]]["type"]:
            return None
        factor = LiveSetting(finding, optimizer=twins[name])
        try:
            other.override(self._overrides([factor]))
            switched = other.describe()["optimizers"][twins[name]]
        except RunFailedError:
            return None
        before = {one.name for one in optimizer_differences(mine[name], theirs[twins[name]])}
        after = {one.name for one in optimizer_differences(mine[name], switched)}
        return factor if after < before and setting not in after else None

    def _overrides(self, factors: Sequence[LiveSetting]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for one in factors:
            if one.optimizer is not None:
                value = one.finding.values[self._labels[0]]
                found.setdefault(one.optimizer, {})[str(one.finding.setting)] = (
                    0.0 if value is None else value
                )
        return found

    def switch(self, mixture: Mixture) -> None:
        """Give the other program the reference's settings of a mixture, and its own of the rest."""
        other = self._pairing.other
        for place, factor in enumerate(self.factors):
            value = factor.finding.values.get(self._labels[0 if place in mixture else 1])
            for pair in factor.pairs:
                path = pair.other.path
                given = factor.zeros[path][0 if place in mixture else 1] if factor.zeros else value
                other.change(path, str(factor.finding.setting), given)
        chosen = [self.factors[place] for place in sorted(mixture)]
        other.override(
            self._overrides(chosen),
            rates=next((one.rates for one in chosen if one.rates), ()),
            loss_factor=next((one.loss_factor for one in chosen if one.loss_factor is not None), 1.0),
        )
