"""The rung of training mode: the same masks and noise in both programs, and what only training shows.

Both programs run once in training mode with NumPy's random numbers, the other one with the reference's
tensors put in place of what enters and leaves each paired module; then both train with the same masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from likewise.producer.display import both, gap
from likewise.producer.port.causes import finite, of_segment
from likewise.producer.port.draws import PairedDraws
from likewise.producer.port.evidence import ForcedPass, PairStep, forced_pass
from likewise.producer.port.exchanged import DrawSite, RecordedCall, relative_difference
from likewise.producer.port.frameworks import frameworks
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.mapping import Pair
from likewise.producer.port.models import PortFinding
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.setting_causes import together

_ENOUGH = 200
"""A mask of so many numbers shows a rate that is a twentieth off."""
_MOST_PASSES, _FEW_PASSES = 24, 4
"""The most passes that are made for that, and of a large program."""


def of_draws(pairing: Pairing) -> list[PortFinding]:
    """Return the dropouts with other rates, and the draws of one program that the other has not."""
    found = [
        _of_rate(pairing, pair.reference, pair.other)
        for pair in pairing.draws.pairs
        if pair.reference.rate is not None
        and pair.other.rate is not None
        and not np.isclose(pair.reference.rate, pair.other.rate)
    ]
    told = together(found)
    sides = (pairing.reference, pairing.other)
    told += together(_of_lonely(*sides, site) for site in pairing.draws.alone)
    told += together(_of_lonely(*sides[::-1], site) for site in pairing.draws.strangers)
    return told


def of_evaluation(pairing: Pairing) -> list[PortFinding]:
    """Return the dropouts that one program has in evaluation, too."""
    if any(one["several"] for one in pairing.described.values()):  # of which a step is run in its place
        return []
    sides = (pairing.reference, pairing.other)
    drops = [[one for one in sites if one.family == "dropout"] for sites in pairing.evaluation_draws]
    if len(drops[0]) == len(drops[1]):
        if drops[0]:
            pairing.note("both programs drop numbers in evaluation, too; dropout was off in it here")
        return []
    return [
        PortFinding(
            rung="forward",
            path=_name(site),
            setting="training",
            lines=_lines(side, site),
            text=f"{side.label} drops in evaluation, too: {_name(site)}{_at(site)}, rate {site.rate:g}",
            fix={side.label: frameworks()[side.framework]["drop_in_training"] + _at(site)},
        )
        for side, several, fewer in zip(sides, drops, drops[::-1], strict=True)
        for site in several[len(fewer) :]
    ]


class TrainingPass:
    """One pass of both programs in training mode, with the same random numbers."""

    def __init__(self, pairing: Pairing) -> None:
        """Run both. Raises RunFailedError where a program cannot run in training mode."""
        self._pairing = pairing
        self._calls = pairing.reference.forward(pairing.batch.inputs, training=True, drops=True)
        self._draws, self.forced = pairing.draws, self._run(pairing.draws)
        if any(pair.is_masks_own for pair in pairing.draws.pairs) and self._misfits(self.forced):
            self._mirror()
        self.findings = self._found()
        if not self.findings:
            self._look_again()

    @property
    def places(self) -> int:
        """Return how many draws were paired."""
        return len(self._draws.pairs)

    def _run(self, draws: PairedDraws, *, seed: int = 0) -> ForcedPass:
        pairing = self._pairing
        pairing.other.arrange(draws.arrangements(), seed=seed)
        return forced_pass(pairing.other, pairing.inputs, pairing.mapping, self._calls, training=True)

    def _look_again(self) -> None:
        """Draw again where a mask of the user's own has few numbers, such as one of stochastic depth.

        Two rates that are near each other keep mostly the same ones of six.
        """
        pairing = self._pairing
        sizes = [int(np.prod(pair.reference.shape)) for pair in self._draws.pairs if pair.is_masks_own]
        passes = -(-_ENOUGH // max(min(sizes, default=_ENOUGH), 1))
        calls, forced = self._calls, self.forced
        for seed in range(1, min(passes, _FEW_PASSES if pairing.is_large else _MOST_PASSES)):
            pairing.reference.arrange({}, seed=seed)
            self._calls = pairing.reference.forward(pairing.batch.inputs, training=True, drops=True)
            self.forced = self._run(self._draws, seed=seed)
            self.findings = self._found()
            if self.findings:
                break
        else:
            self._calls, self.forced = calls, forced
        pairing.reference.arrange({})
        pairing.other.arrange(self._draws.arrangements())

    def _misfits(self, forced: ForcedPass) -> int:
        return forced.misfits(self._pairing.tolerance)[0]

    def _mirror(self) -> None:
        """Try whether a mask of the user's own keeps the small numbers where dropout keeps the large."""
        for place, pair in enumerate(self._draws.pairs):
            if not pair.is_masks_own:
                continue
            pairs = list(self._draws.pairs)
            pairs[place] = replace(pair, mirrored=True)
            draws = replace(self._draws, pairs=tuple(pairs))
            forced = self._run(draws)
            if self._misfits(forced) < self._misfits(self.forced):
                self._draws, self.forced = draws, forced
        self._pairing.draws = self._draws
        self._pairing.other.arrange(self._draws.arrangements())

    def _found(self) -> list[PortFinding]:
        """Return what parts in training mode, of what holds in evaluation and draws what the other draws."""
        pairing, found = self._pairing, []
        for step in self.forced.steps:
            evaluated = pairing.forced.of(step.pair.reference.path)
            if evaluated is None:
                continue
            if self._parts(step.segment, evaluated.segment, step.before):
                found.append(self._of_segment(step.before, step.segment, step.pair.reference.path))
            own = tuple(
                tuple(call for call in calls if call.path == path)
                for calls, path in (
                    (self._calls, step.pair.reference.path),
                    (self.forced.calls, step.pair.other.path),
                )
            )
            if self._parts(step.local, evaluated.local, own):
                found.append(self._of_module(step))
        if self._parts(self.forced.outputs, pairing.forced.outputs, self.forced.after):
            found.append(self._of_segment(self.forced.after, self.forced.outputs, "the outputs"))
        return _by_lines(found)

    def _parts(self, trained: float, evaluated: float, calls: Sequence[Sequence[RecordedCall]]) -> bool:
        tolerance, lonely = self._pairing.tolerance, self._draws.lonely
        if trained <= tolerance or evaluated > tolerance:
            return False
        return not any(
            (side, site.key) in lonely or site.family == "unpaired"
            for side, several in enumerate(calls)
            for call in several
            for site in call.sites
        )

    def _of_segment(
        self, segment: tuple[Sequence[RecordedCall], Sequence[RecordedCall]], relative: float, end: str
    ) -> PortFinding:
        found = of_segment(self._pairing, segment, relative, end, rung="training_mode")
        more = ""
        drawn = [[call for call in calls if call.sites] for calls in segment]
        if drawn[0] and drawn[1]:
            more = _shares(drawn[0][-1], segment[1]) or ""
        return found.model_copy(update={"text": f"in training mode, {found.text}{more}"})

    def _by_steps(self, pair: Pair) -> str:
        """Say where one program normalizes each step of a sequence by itself."""
        pairing = self._pairing
        sides = (pairing.reference, pair.reference.path), (pairing.other, pair.other.path)
        around = [
            next((one for one in pairing.wrappers(side) if path.startswith(f"{one}.")), None)
            for side, path in sides
        ]
        if (around[0] is None) == (around[1] is None):
            return ""
        place = 0 if around[1] is None else 1
        (side, _), (without, _) = sides[place], sides[1 - place]
        return (
            f"; {around[place]} of {side.label}, a TimeDistributed, gives it each step by itself, with "
            f"statistics of its own, and {without.label} gives it all steps at once"
        )

    def _of_module(self, step: PairStep) -> PortFinding:
        pairing, pair = self._pairing, step.pair
        reference, other = pairing.reference, pairing.other
        text = (
            f"in training mode, fed the same, {pair.reference.path} of {reference.label} and "
            f"{pair.other.path} of {other.label} give numbers that are {gap(step.local)} apart, though not "
            "in evaluation"
        )
        fix = {}
        if pair.reference.kind == "batch_norm":
            text += self._by_steps(pair)
            rests = next((side for side in (0, 1) if self._rests(side, step)), None)
            if rests is not None:
                still, moves = (reference, other)[:: 1 if rests == 0 else -1]
                text = (
                    f"in training mode {pair.reference.path} divides by its moving statistics in "
                    f"{still.label} and by those of the batch in {moves.label}"
                )
                seen = (pair.other, pair.reference)[rests]
                fix = {moves.label: frameworks()[moves.framework]["rest_norm"].format(path=seen.path)}
        return PortFinding(
            rung="training_mode",
            path=pair.reference.path,
            paths=pairing.paths(pair),
            setting="training" if fix else None,
            lines=pairing.lines(pair),
            relative_difference=finite(step.local),
            text=text,
            fix=fix,
        )

    def _rests(self, side: int, step: PairStep) -> bool:
        """Return whether a batch norm does in training what its moving statistics say."""
        path = (step.pair.reference.path, step.pair.other.path)[side]
        call = next((one for one in (self._calls, self.forced.calls)[side] if one.path == path), None)
        if call is None or call.entered is None:
            return False
        weights = {
            name: self._pairing.weights[f"{step.pair.reference.path}.{name}"] for name in step.pair.shared
        }
        epsilon = step.pair.reference.settings["epsilon"]
        shift, variance = weights["moving_mean"], weights["moving_variance"]
        rested = (call.entered - shift) / np.sqrt(variance + epsilon)
        rested = rested * weights.get("gamma", 1.0) + weights.get("beta", 0.0)
        return relative_difference(rested, call.left) <= 100 * self._pairing.tolerance


def _by_lines(found: Sequence[PortFinding]) -> list[PortFinding]:
    """Tell once what the same two lines do in several places, such as a stochastic depth of one's own."""
    groups: dict[str, list[PortFinding]] = {}
    for one in found:
        lines = sorted(one.lines.items())
        several = one.setting is None and len(lines) > 1
        groups.setdefault(repr(lines) if several else one.text, []).append(one)
    return [
        first.model_copy(
            update={
                "also": tuple(
                    dict.fromkeys([*first.also, *(one.path for one in others if one.path != first.path)])
                )
            }
        )
        for first, *others in groups.values()
    ]


def note_unpairable(pairing: Pairing) -> None:
    """Note the draws that cannot be made the same."""
    sides = (pairing.reference, pairing.other)
    listed = [f"{site.function}{_at(site)} in {sides[side].label}" for side, site in pairing.draws.unpairable]
    if listed:
        pairing.note(
            f"the draws of {both(listed)} cannot be made the same in both programs; compare them over "
            "several seeds"
        )


def _of_rate(pairing: Pairing, one: DrawSite, two: DrawSite) -> PortFinding:
    reference, other = pairing.reference, pairing.other
    spelled = [
        frameworks()[side.framework]["rate"].format(rate=f"{rate:g}")
        for side, rate in ((other, one.rate), (reference, two.rate))
    ]
    return PortFinding(
        rung="settings",
        path=_name(one),
        paths={reference.label: _name(one), other.label: _name(two)},
        setting="rate",
        values=pairing.values(one.rate, two.rate),
        lines={**_lines(reference, one), **_lines(other, two)},
        text=f"the rate of {_name(one)} is {one.rate:g} in {reference.label} and {two.rate:g} in "
        f"{other.label}; only training shows it",
        fix={
            other.label: f"write {spelled[0]}{_at(two)}",
            reference.label: f"write {spelled[1]}{_at(one)}",
        },
    )


def _of_lonely(having: Hosted, lacking: Hosted, site: DrawSite) -> PortFinding:
    """Return that one program drops or draws where the other does not."""
    does = "drops" if site.family == "dropout" else "draws random numbers"
    drawn = f"{' × '.join(map(str, site.shape))} numbers"
    fix, values = {}, {}
    if site.rate is not None:
        drawn += f", rate {site.rate:g}"
        values = {having.label: site.rate, lacking.label: None}
        of_samples = len(site.shape) > 1 and all(size == 1 for size in site.shape[1:])
        ones = ", ".join("1" for _ in site.shape[1:])
        spelled = frameworks()[lacking.framework]["dropout_of_samples" if of_samples else "dropout"]
        fix[lacking.label] = f"put {spelled.format(rate=f'{site.rate:g}', ones=ones)} there"
        does += " whole samples (stochastic depth)" if of_samples else ""
    return PortFinding(
        rung="settings",
        path=_name(site),
        paths={having.label: _name(site)},
        setting="dropout" if site.family == "dropout" else "noise",
        values=values,
        lines=_lines(having, site),
        text=f"{having.label} {does} in {_name(site)}{_at(site)} ({drawn}) and {lacking.label} has nothing "
        "that fits there; only training shows it",
        fix=fix,
    )


def _shares(drawn: RecordedCall, others: Sequence[RecordedCall]) -> str:
    """Say how the tensor behind a mask differs from another: in the part that is 0, or by a factor."""
    last = next((one for one in reversed(others) if one.left.size == drawn.left.size), None)
    if last is None:
        return ""
    zeros = [float(np.mean(one.left == 0)) for one in (drawn, last)]
    if abs(zeros[0] - zeros[1]) > 0.05:
        return f"; {100 * zeros[0]:.0f} % of the numbers are 0 in one and {100 * zeros[1]:.0f} % in the other"
    one, two = (np.sort(call.left[call.left != 0]) for call in (drawn, last))
    if one.size and one.size == two.size:
        ratio = two / one
        if np.ptp(ratio) <= 1e-6 * abs(ratio[0]) and not np.isclose(ratio[0], 1):
            return f"; what is kept is {ratio[0]:.4g} times as large in the other: another scale of the mask"
    return ""


def _name(site: DrawSite) -> str:
    return site.path or site.function


def _lines(side: Hosted, site: DrawSite) -> dict[str, str]:
    return {} if site.line is None else {side.label: site.line}


def _at(site: DrawSite) -> str:
    return f" at {site.line}" if site.line else ""
