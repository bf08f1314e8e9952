"""Explains why two programs train apart: settings are switched on the live objects, and both train.

The other program's modules and optimizers are given the reference's settings, alone and together, and trained
from the same weights on the same batches. What each setting closes of the gap is its share, by Shapley's
value, as for declared jobs (`producer.blame.shares`). What is no setting, such as another activation, stays
unexplained: it is listed as a check of both programs names it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.producer.blame.explanation import Contribution, Explanation, MeasureShares, ranking
from likewise.producer.blame.shares import Design, Estimate, Mixture, design, parts, share
from likewise.producer.display import both, count, gap, seconds
from likewise.producer.port.file import Port
from likewise.producer.port.flow import OpenPort, opened
from likewise.producer.port.ladder import climb
from likewise.producer.port.models import PortFinding, SeedGap
from likewise.producer.port.pairing import Pairing
from likewise.producer.port.switches import LiveSetting, Switches
from likewise.producer.port.trainings import PortTrainer, TrainedProgram
from likewise.producer.verdict.models import Verdict

MEASURES = ("outputs", "losses", "weights")
"""What the gap is measured in, the main one first: fields of `SeedGap`."""
FEW_SEEDS = 3
UNSWITCHABLE = "it cannot be switched on the live program"
OF_CODE = "it is no setting of a live object: the program's own line is to be edited"
DRAWN_ALIKE = "both draw the reference's masks in these trainings, so that it does nothing here"
UNSWITCHED = "it was left out, to stay within the budget"

Gaps = Mapping[Mixture, Sequence[SeedGap]]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PortQuestion:
    """It asks how much each setting does, within a budget."""

    seeds: Sequence[int]
    most_combined: int
    """Up to so many settings every combination is trained."""
    budget_s: float
    """About how long the trainings may take."""


@dataclass(frozen=True)
class ExplainedPort:
    """An explanation, and the version that each side ran on."""

    explanation: Explanation
    verdict: Verdict
    """`agree` where nothing is left to explain."""
    versions: Mapping[str, str]


@dataclass(frozen=True)
class _Extent:
    """How much is trained."""

    seeds: Sequence[int]
    factors: int
    design: Design
    note: str | None = None


def explain_port(port: Port, question: PortQuestion, *, tell: Callable[[str], None]) -> ExplainedPort:
    """Train with the settings switched, and return what each does.

    Raises what `opened` raises, and UsageError where there is nothing to train.
    """
    with opened(port, tell=tell) as found:
        return explain_opened(port, found, question, tell=tell)


def explain_opened(
    port: Port, found: OpenPort, question: PortQuestion, *, tell: Callable[[str], None]
) -> ExplainedPort:
    """Explain two programs that are started already."""
    causes = climb(found.pair(port.precision, tell), until="training_mode", tell=tell).findings
    return _Explainer(PortTrainer(port, found, tell), port, question, tell).explain(causes)


class _Explainer:
    def __init__(
        self, trainer: PortTrainer, port: Port, question: PortQuestion, tell: Callable[[str], None]
    ) -> None:
        self._trainer, self._port, self._question, self._tell = trainer, port, question, tell
        self._references: dict[int, TrainedProgram] = {}

    @property
    def _pairing(self) -> Pairing:
        return self._trainer.pairing

    @property
    def _labels(self) -> tuple[str, str]:
        return self._pairing.reference.label, self._pairing.other.label

    @property
    def _factors(self) -> Sequence[LiveSetting]:
        return self._switches.factors

    @property
    def _others(self) -> Sequence[PortFinding]:
        return self._switches.others

    def explain(self, causes: Sequence[PortFinding]) -> ExplainedPort:
        """Find the settings, train what the budget allows, and share the gap out; `causes` are of a check."""
        self._trainer.prepare(self._question.seeds)
        self._trainer.common = self._pairing.frameworks_differ
        began = time.monotonic()
        one = self._references.setdefault(
            self._question.seeds[0], self._trainer.reference(self._question.seeds[0])
        )
        two = self._trainer.other(one.seed, one)
        first, each_s = self._trainer.gap(one, two), (time.monotonic() - began) / 2
        self._switches = Switches(self._pairing, causes=causes, rates=(one.rates, two.rates))
        known = count(len(self._factors) + len(self._others), "setting differs", "settings differ")
        taken = f"{len(self._factors)} of which the live program can be given as the reference has it"
        self._tell(f"{known}, {taken}")
        extent = self._affordable(each_s)
        gaps = self._train(extent, first)
        return self._explained(extent, gaps)

    # ---- trainings

    def _affordable(self, each_s: float) -> _Extent:
        """Return the costliest extent that fits the budget, where each training takes so long."""
        whole, *less = self._extents()
        cost_s = {id(one): each_s * len(one.seeds) * (1 + len(one.design.mixtures)) for one in (whole, *less)}
        chosen = next(
            (one for one in (whole, *less) if cost_s[id(one)] <= self._question.budget_s), [whole, *less][-1]
        )
        mixtures = count(len(chosen.design.mixtures), "mixture")
        said = f"{mixtures} of them with {count(len(chosen.seeds), 'seed')} each"
        self._tell(f"{said}, which takes about {seconds(cost_s[id(chosen)])}")
        if chosen.note is not None:
            self._tell(f"{chosen.note}: all would take about {seconds(cost_s[id(whole)])}")
        return chosen

    def _extents(self) -> Iterator[_Extent]:
        seeds, factors = self._question.seeds, len(self._factors)
        every = design(factors, most_combined=self._question.most_combined)
        ends = design(factors, most_combined=min(factors, 2) if factors < 3 else 0)
        yield _Extent(seeds, factors, every)
        yield _Extent(seeds, factors, ends, "not every combination is trained, to stay within the budget")
        for few in (FEW_SEEDS, 1):
            if few < len(seeds):
                told = f"{count(few, 'seed')} of {len(seeds)}, to stay within the budget"
                yield _Extent(seeds[:few], factors, ends, told)
        for fewer in range(factors - 1, 0, -1):
            told = f"{count(factors - fewer, 'setting')} of {factors} left out, to stay within the budget"
            yield _Extent(seeds[:1], fewer, design(fewer, most_combined=2), told)

    def _gap(self, seed: int) -> SeedGap:
        if seed not in self._references:
            self._references[seed] = self._trainer.reference(seed)
        mine = self._references[seed]
        return self._trainer.gap(mine, self._trainer.other(seed, mine))

    def _train(self, extent: _Extent, first: SeedGap) -> Gaps:
        found: dict[Mixture, list[SeedGap]] = {}
        for number, mixture in enumerate(extent.design.mixtures, start=1):
            switched = both([_path(self._factors[place].finding) for place in sorted(mixture)]) or "nothing"
            self._tell(f"mixture {number} of {len(extent.design.mixtures)}: {switched} switched")
            self._switches.switch(mixture)
            kept = [first] if not mixture else []
            found[mixture] = kept + [self._gap(seed) for seed in extent.seeds[len(kept) :]]
        self._switches.switch(frozenset())
        return found

    # ---- shares

    def _explained(self, extent: _Extent, gaps: Gaps) -> ExplainedPort:
        measures = [self._measure(extent, gaps, name) for name in MEASURES]
        main, estimates, left = measures[0]
        noise = self._trainer.noise(next(iter(self._references.values())))
        limit = self._trainer.limit(noise)
        closed = main.gap <= limit
        contributions = self._contributions(extent, estimates, closed=closed)
        reference, other = self._labels
        explanation = Explanation(
            experiment_id=None,
            name=self._port.name,
            reference=reference,
            other=other,
            seeds=tuple(extent.seeds),
            mixtures=len(gaps),
            measure=main.measure,
            gap=main.gap,
            unit=main.unit,
            contributions=tuple(contributions),
            unexplained_share=None if closed else main.unexplained_share,
            unexplained_interval=None if closed or left is None else left.interval,
            sentence=self._sentence(main, contributions, limit=limit),
            notes=tuple(self._notes(extent)),
            measures=tuple(one for one, _, _ in measures),
            budget_s=self._question.budget_s,
            left_out=tuple(_path(one.finding) for one in self._factors[extent.factors :]),
        )
        return ExplainedPort(explanation, "agree" if closed else "differ", self._trainer.versions)

    def _measure(
        self, extent: _Extent, gaps: Gaps, name: str
    ) -> tuple[MeasureShares, Sequence[Estimate | None], Estimate | None]:
        """Return the shares in one measure; the main one's with their intervals, and what stays."""
        by_mixture = {
            mixture: np.array([getattr(one, name) for one in several], np.float64)
            for mixture, several in gaps.items()
        }
        known: dict[Mixture, Float64] = {
            key: one for key, one in by_mixture.items() if np.isfinite(one).all()
        }
        found = parts(extent.design, known)
        whole = by_mixture[frozenset()]
        estimates: list[Estimate | None] = [None] * extent.factors
        left = None
        if found is not None:
            estimates = [None if one is None else share(one, found.whole) for one in found.closed]
            left = None if found.left is None else share(found.left, found.whole)
        paths = [_path(one.finding) for one in self._factors[: extent.factors]]
        return (
            MeasureShares(
                measure=name,
                gap=float(np.mean(whole)),
                unit="of the largest value",
                shares={path: _value(one) for path, one in zip(paths, estimates, strict=True)},
                unexplained_share=_value(left),
            ),
            estimates,
            left,
        )

    def _contributions(
        self, extent: _Extent, estimates: Sequence[Estimate | None], *, closed: bool
    ) -> list[Contribution]:
        nothing = "there is no gap" if closed else None
        found = [
            self._contribution(
                factor.finding,
                share=None if closed or one is None else one.value,
                interval=None if closed or one is None else one.interval,
                problem=nothing or ("a training with it switched diverged" if one is None else None),
            )
            for factor, one in zip(self._factors, estimates, strict=False)
        ]
        found += [
            self._contribution(one.finding, problem=UNSWITCHED) for one in self._factors[extent.factors :]
        ]
        found += [
            self._contribution(
                one, problem=nothing or (DRAWN_ALIKE if one.setting == "rate" else UNSWITCHABLE)
            )
            for one in self._others
        ]
        found += [self._contribution(one, problem=nothing or OF_CODE) for one in self._switches.code]
        return sorted(found, key=lambda one: (one.share is None, -(one.share or 0.0)))

    def _contribution(
        self,
        finding: PortFinding,
        *,
        problem: str | None,
        share: float | None = None,
        interval: tuple[float, float] | None = None,
    ) -> Contribution:
        lines = both([f"{label} {line}" for label, line in finding.lines.items()])
        return Contribution(
            path=_path(finding),
            values={label: finding.values.get(label) for label in self._labels},
            share=share,
            interval=interval,
            problem=problem,
            cause=f"{finding.text}{f' ({lines})' if lines else ''}",
            fixes=dict(finding.fix),
        )

    def _sentence(self, main: MeasureShares, contributions: Sequence[Contribution], *, limit: float) -> str:
        names = both(list(self._labels))
        apart = f"{gap(main.gap)} apart in the {main.measure}"
        if main.gap <= limit:
            many = count(len(contributions), "setting differs", "settings differ")
            settings = many if contributions else "no setting differs"
            return (
                f"Nothing is left to explain: {settings}, and {names} end alike, {apart}, where up to "
                f"{gap(limit)} is rounding."
            )
        if not contributions:
            return (
                f"No setting differs between {names}, and yet they end {apart}: likewise port check says why."
            )
        named = [one for one in contributions if one.share is not None and one.share > 0]
        if not named:
            return (
                f"The settings explain nothing of the difference: {names} end {apart}, and "
                "likewise port check names every cause."
            )
        return ranking(named, unexplained=main.unexplained_share)

    def _notes(self, extent: _Extent) -> Iterator[str]:
        plan, samples = self._port.training, self._trainer.samples
        rows = min(plan.batch_size or samples, samples)
        yield (
            f"The gap is that of the outputs for the whole batch, after {count(plan.updates, 'update')} of "
            f"{count(rows, 'row')} from the same weights."
        )
        unswitched = [_path(one) for one in self._others if one.setting != "rate"]
        if unswitched:
            named = both(unswitched[:4])
            yield f"{named} cannot be switched on the live program; what such settings do stays unexplained."
        if self._trainer.common:
            yield "Rules that the frameworks have otherwise by design are the same in these trainings."
        if extent.note is not None:
            yield f"{extent.note[0].upper()}{extent.note[1:]}."
        if len(extent.seeds) == 1:
            yield "One seed leaves no interval: train more with --seeds 5."
        if code := [_path(one) for one in self._switches.code]:
            are = "is" if len(code) == 1 else "are"
            named = f"{both(code[:4])} {are} code and no setting of a live object"
            yield f"{named}: what that does stays unexplained."


def _value(estimate: Estimate | None) -> float | None:
    return None if estimate is None else estimate.value


def _path(finding: PortFinding) -> str:
    """Return what a setting is called: `norm.epsilon`, or `optimizer.epsilon`."""
    if finding.path.startswith("optimizer.") or finding.setting is None:
        return finding.path
    return f"{finding.path}.{finding.setting}"
