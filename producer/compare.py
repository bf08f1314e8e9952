"""Makes a Comparison of results. Pure: no files, network, clock or terminal.

The first side of the experiment is the reference. `basis_of` gathers the evidence, and `Basis.comparison`
says what it comes to, with these modules of `producer.verdict`:

    side_runs         what each side returned
    (`wording.alike`  each side's job in the reference's words, and its results read so)
    perturbed         whether what parts the twin is rounding that training has amplified
    rounding          how large a gap may be and still be rounding: tolerance, noise floor, float64 twin
    gaps              how far each seed's numbers lie from the reference's
    equivalence       tests over the seeds
    usefulness        whether what was trained is of any use
    misfits           what of the data and the weights has another shape
    judge             one word from all of this
    knowledge         what is known of each setting that differs
    reasons           the word in sentences; those on numbers are in `number_sentences`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from likewise.producer.job.resolve import setting_differences
from likewise.producer.runs.results import merged
from likewise.producer.verdict.equivalence import tests_over_seeds
from likewise.producer.verdict.gaps import Pairs, all_gaps, pair_gaps
from likewise.producer.verdict.judge import Evidence, judge
from likewise.producer.verdict.knowledge import Setup, weight_of
from likewise.producer.verdict.mending import mendings
from likewise.producer.verdict.misfits import misfits
from likewise.producer.verdict.models import (
    Comparison,
    FirstDivergence,
    Growth,
    ReplayFindings,
    SeedGaps,
    SideRuns,
    Verdict,
)
from likewise.producer.verdict.number_sentences import reporting_notes
from likewise.producer.verdict.perturbed import with_perturbed
from likewise.producer.verdict.reasons import reasons, written_differently
from likewise.producer.verdict.rounding import (
    epochs_before_rounding_took_over,
    growth,
    noise_floor,
    raised,
    tolerance_for,
    twin_of,
)
from likewise.producer.verdict.side_runs import side_runs
from likewise.producer.verdict.usefulness import usefulness_of
from likewise.producer.verdict.usefulness_notes import notes as usefulness_notes
from likewise.producer.wording.alike import Wording, in_one_wording, real_differences
from likewise.producer.wording.form import Facts
from likewise.shared.job import Job
from likewise.shared.job.weights import FrameworkWeights, InitializerWeights, SharedWeights
from likewise.shared.program import DrawAddresses
from likewise.shared.program.addresses import start_alike
from likewise.shared.results.run_result import RunResult
from likewise.shared.results.seed_table import Load, SeedTable
from likewise.shared.run import Dataset, Run

if TYPE_CHECKING:
    from likewise.shared.ledger.records import ExperimentRecord


@dataclass(frozen=True, kw_only=True)
class Background:
    """It holds what is known of an experiment beside its own results."""

    data_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The shape of each side's training data, (samples, *sample): what a setting does may depend on it."""
    datasets: dict[str, Dataset] = field(default_factory=dict)
    """The data of each side: whether two settings compute the same may depend on them."""
    draws: Mapping[str, DrawAddresses] = field(default_factory=dict)
    """Where the sides draw their random numbers that do not draw by their own layers' places."""
    twin: Comparison | None = None
    """The comparison of the float64 twin."""
    again: Sequence[RunResult] = ()
    """The results of the rerun."""
    perturbed: Sequence[RunResult] = ()
    """The results of the float64 twin from a start that is moved in its last place."""

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Background:
        """Return what the sides' runs say of their data and their draws."""
        return cls(
            data_shapes={run.side: run.dataset.train.x.shape for run in runs},
            datasets={run.side: run.dataset for run in runs},
            draws={run.side: run.draws for run in runs if run.draws is not None},
        )


@dataclass(frozen=True, kw_only=True)
class Basis:
    """It is what a comparison rests on, but for a replay, which adds to it and changes nothing of it."""

    record: ExperimentRecord
    jobs: Mapping[str, Job]
    evidence: Evidence
    setup: Setup
    growth: tuple[Growth, ...]

    def comparison(self, traced: ReplayFindings | None = None) -> Comparison:
        """Return the verdict and what leads to it; `traced` is what a replay found."""
        evidence, experiment = self.evidence, self.record.experiment
        verdict = judge(evidence)
        return Comparison(
            experiment_id=self.record.experiment_id,
            name=experiment.name,
            submitted_s=self.record.submitted_s,
            verdict=verdict,
            reasons=reasons(verdict, evidence, self.setup, traced=traced),
            notes=(
                *usefulness_notes(evidence.usefulness),
                *written_differently(verdict, evidence),
                *reporting_notes(evidence),
            ),
            setting_differences=tuple(evidence.declared),
            mendings=mendings([one for one in evidence.differences if one in evidence.declared], self.setup),
            first_divergences=self._first_divergences(verdict, traced),
            tolerance=evidence.tolerance,
            twin=evidence.twin,
            equivalence=() if evidence.diverged_everywhere else tuple(evidence.tests),
            growth=self.growth,
            noise_floor=tuple(evidence.noise_floor),
            gaps=tuple(evidence.pairs),
            seed_gaps=tuple(evidence.seed_gaps),
            runs=tuple(evidence.runs),
            experiment=experiment,
            jobs=dict(self.jobs),
        )

    def _first_divergences(
        self, verdict: Verdict, traced: ReplayFindings | None
    ) -> tuple[FirstDivergence, ...]:
        """Return where each other side parts: by what does not fit, or else by what a replay found."""
        if verdict == "agree":
            return traced.divergences if traced else ()
        experiment = self.record.experiment
        reference = experiment.labels[0]
        found = {one.other: one for one in traced.divergences} if traced else {}
        for one in self.evidence.misfits:
            precision = self.jobs[reference].precision
            known = one.first_divergence(seed=experiment.seed_list[0], precision=precision)
            if known is not None:
                found[one.sides[1]] = known
        return tuple(found[other] for other in experiment.labels if other in found)

    def in_one_wording(self, runs: Sequence[Run]) -> tuple[Run, ...]:
        """Return the sides' runs in one wording, so that only what they compute can differ.

        They are as declared where no wording fits all sides, and none where nothing would differ.
        """
        reference, *others = runs
        wordings = self.evidence.wordings
        if not any(wording.couples for wording in wordings.values()):
            return tuple(runs)
        if not self.evidence.differences:
            return ()
        pairs = [wordings[other.side].runs(reference, other) for other in others]
        alike = all(mine == pairs[0][0] for mine, _ in pairs)
        return (pairs[0][0], *(theirs for _, theirs in pairs)) if alike else tuple(runs)


def compare(
    record: ExperimentRecord,
    jobs: Mapping[str, Job],
    results: Sequence[RunResult],
    arrays: Load,
    *,
    background: Background | None = None,
    traced: ReplayFindings | None = None,
) -> Comparison:
    """Return the verdict over an experiment's runs.

    `jobs` has each side's resolved job. `arrays` gives the array of a reference. `traced` is what a replay
    found.
    """
    runs = side_runs(record.experiment, merged(results), arrays)
    return basis_of(record, jobs, runs, arrays, background=background or Background()).comparison(traced)


def basis_of(
    record: ExperimentRecord,
    jobs: Mapping[str, Job],
    runs: Sequence[SideRuns],
    arrays: Load,
    *,
    background: Background,
) -> Basis:
    """Return what the comparison of an experiment's runs rests on."""
    experiment = record.experiment
    tables = {run.side: run.table for run in runs}
    wordings = _wordings(experiment.labels, jobs, background.datasets, arrays)
    in_pairs = _pairs(tables, wordings)
    frameworks = {side.label: side.framework for side in experiment.side_list}
    setup = Setup.of(jobs, frameworks, background.data_shapes, background.draws)
    twin = background.twin
    twin_pairs = _pairs({run.side: run.table for run in twin.runs}, wordings) if twin else {}
    precisions = frozenset(job.precision for job in jobs.values())
    rerun, perturbed = (
        {name: SeedTable.of(one, _trained(one), arrays=arrays) for name, one in merged(results).items()}
        for results in (background.again, background.perturbed)
    )
    printed = any(job.execution == "stock" for job in jobs.values())
    floor = noise_floor(experiment.side_list, tables, rerun)
    tolerance = raised(tolerance_for(precisions, printed=printed), floor)
    gaps = _starts_known(all_gaps(in_pairs, tolerance=tolerance), setup, wordings)
    pairs = tuple(
        pair_gaps(experiment.labels[0], other, [one for one in gaps if one.other == other])
        for other in experiment.labels[1:]
    )
    known_twin = None if twin is None else twin_of(pairs, twin)
    if known_twin is not None and perturbed:
        known_twin = with_perturbed(known_twin, twin_pairs, _pairs(perturbed, wordings))
    in_float64 = twin_pairs or (in_pairs if precisions == {"float64"} else {})
    declared = setting_differences(jobs)
    evidence = Evidence(
        differences=sorted(real_differences(declared, wordings), key=weight_of),
        declared=sorted(declared, key=weight_of),
        wordings=wordings,
        seed_gaps=gaps,
        pairs=pairs,
        tolerance=tolerance,
        runs=runs,
        precisions=precisions,
        twin=known_twin,
        equal_epochs=epochs_before_rounding_took_over(in_float64) if in_float64 else None,
        tests=tests_over_seeds(
            in_pairs,
            margin=experiment.margin,
            rounding=tolerance.relative,
            same_loss=_same_loss(jobs, wordings),
            rounded={other for reference, other in in_pairs if _rounded_start(jobs, reference, other)},
        ),
        noise_floor=floor,
        usefulness={
            side: usefulness_of(table, jobs[side], background.datasets.get(side), arrays)
            for side, table in tables.items()
            if side in jobs
        },
        misfits=[
            misfits(
                background.datasets | wording.datasets, setup.programs | wording.programs, sides=wording.names
            )
            for wording in wordings.values()
        ],
    )
    return Basis(
        record=record,
        jobs=jobs,
        evidence=evidence,
        setup=setup,
        growth=growth(in_pairs, twin_pairs),
    )


def _wordings(
    labels: Sequence[str], jobs: Mapping[str, Job], datasets: Mapping[str, Dataset], arrays: Load
) -> dict[str, Wording]:
    """Return each other side's job and the reference's in one wording."""
    reference, *others = labels
    facts = {side: Facts(dataset=datasets.get(side), arrays=arrays) for side in jobs}
    return {
        other: in_one_wording(
            (reference, other), (jobs[reference], jobs[other]), (facts[reference], facts[other])
        )
        for other in others
        if reference in jobs and other in jobs
    }


def _pairs(tables: Mapping[str, SeedTable], wordings: Mapping[str, Wording]) -> Pairs:
    """Return the reference's table with each other side's, read in one wording."""
    reference, *others = tables
    found = {}
    for other in others:
        both = tables[reference], tables[other]
        if other in wordings and wordings[other].is_read:
            both = wordings[other].read(both)
        found[reference, other] = both
    return found


def _starts_known(gaps: Sequence[SeedGaps], setup: Setup, wordings: Mapping[str, Wording]) -> list[SeedGaps]:
    """Return the gaps, silent on the start where the same weights have other hashes.

    Two precisions round them to other numbers, another wording may name, draw or count them otherwise, and so
    may another list of layers.
    """
    jobs = setup.jobs
    return [
        one
        if one.reference not in jobs
        or one.other not in jobs
        or (
            jobs[one.reference].precision == jobs[one.other].precision
            and not (one.other in wordings and wordings[one.other].other_hashes)
            and not _named_otherwise(setup, one.reference, one.other)
        )
        else one.model_copy(update={"same_initial_weights": None})
        for one in gaps
    ]


def _named_otherwise(setup: Setup, reference: str, other: str) -> bool:
    """Return whether two sides draw the same weights, and call them by other names."""
    programs = [setup.programs.get(side) for side in (reference, other)]
    starts = [setup.jobs[side].initial_weights for side in (reference, other)]
    if programs[0] is None or programs[1] is None or starts[0] != starts[1]:
        return False
    drawn = isinstance(starts[0], SharedWeights | InitializerWeights)
    names = [[weight.name for weight in program.weights] for program in programs if program]
    return drawn and names[0] != names[1] and start_alike(programs[0], programs[1])


def _rounded_start(jobs: Mapping[str, Job], reference: str, other: str) -> bool:
    """Return whether two sides start from the same weights, which their precisions round to other numbers."""
    if reference not in jobs or other not in jobs:
        return False
    mine, theirs = jobs[reference], jobs[other]
    return (
        mine.precision != theirs.precision
        and mine.model == theirs.model
        and mine.initial_weights == theirs.initial_weights
        and not isinstance(mine.initial_weights, FrameworkWeights)
    )


def _trained(result: RunResult) -> list[int]:
    """Return the seeds that a result has."""
    return [seed for piece in result.arrays for seed in piece.seeds]


def _same_loss(jobs: Mapping[str, Job], wordings: Mapping[str, Wording]) -> bool:
    """Return whether the reported losses are one function, in one wording."""
    in_words = [form.job for one in wordings.values() for form in (one.reference, one.other)]
    return len({job.loss.model_dump_json() for job in in_words or jobs.values()}) == 1
