"""Results in, Comparison out. Pure: no files, network, clock or terminal.

The first side of the experiment is the reference. `compare` gathers the evidence from `producer.verdict`
in this order:

    side_runs   what each side returned
    noise, tolerance how large a gap may be and still be rounding
    pairs, gaps      how far each seed's numbers lie from the reference's
    twin, growth     what the same trainings in float64 say
    over_seeds       tests of equivalence over the seeds
    judge            one word from all of this
    reasons          the word in sentences
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from producer.job.resolve import setting_differences
from producer.queue.merge import merged
from producer.verdict.gaps import Load
from producer.verdict.growth import epochs_before_rounding_took_over, growth
from producer.verdict.judge import Evidence, judge
from producer.verdict.knowledge import Scale, weight_of
from producer.verdict.models import Comparison, SeedGaps, Traced
from producer.verdict.noise import noise_floor, raised
from producer.verdict.over_seeds import predictions_by_seed, tests_over_seeds
from producer.verdict.pairs import all_gaps, pair_gaps
from producer.verdict.reasons import reasons
from producer.verdict.seed_table import SeedTable
from producer.verdict.side_runs import side_runs
from producer.verdict.tolerance import tolerance_for
from producer.verdict.twin import twin_of
from shared.result import RunResult
from shared.spec import Job

if TYPE_CHECKING:
    from shared.ledger.records import ExperimentRecord


def compare(  # noqa: PLR0913 - all evidence, once
    record: ExperimentRecord,
    jobs: Mapping[str, Job],
    results: Sequence[RunResult],
    arrays: Load,
    *,
    training_samples: int | None = None,
    twin: Comparison | None = None,
    again: Sequence[RunResult] = (),
    traced: Traced | None = None,
    full: bool = False,
) -> Comparison:
    """The verdict over an experiment's runs.

    `jobs` has each side's resolved job. `arrays` gives the array of a reference. `training_samples`,
    where known, lets a reason say how much larger a sum is than a mean. `twin` is the comparison of the
    float64 twin, `again` has the results of the rerun, and `traced` is what a traced replay found. Of more
    than `MOST_LISTED_SEEDS` seeds only one is listed with its curves and arrays, unless `full`.
    """
    experiment = record.experiment
    by_side = merged(results)
    tables = {
        side: SeedTable(result.arrays, experiment.seed_list, failure=result.failure, arrays=arrays)
        for side, result in by_side.items()
        if result.arrays
    }
    runs = side_runs(experiment, by_side, tables, arrays=arrays, full=full)
    precisions = frozenset(job.precision for job in jobs.values())
    floor = noise_floor(by_side, merged(again), arrays=arrays)
    tolerance = raised(tolerance_for(precisions), floor)
    gaps = _starts_known(
        all_gaps(experiment.labels, by_side, tables, tolerance=tolerance, arrays=arrays), jobs
    )
    pairs = tuple(
        pair_gaps(experiment.labels[0], other, [one for one in gaps if one.other == other])
        for other in experiment.labels[1:]
    )
    in_float64 = twin.runs if twin else runs if precisions == {"float64"} else ()
    evidence = Evidence(
        differences=sorted(setting_differences(jobs), key=weight_of),
        seed_gaps=gaps,
        pairs=pairs,
        tolerance=tolerance,
        runs=runs,
        precisions=precisions,
        twin=None if twin is None else twin_of(pairs, twin),
        equal_epochs=epochs_before_rounding_took_over(in_float64) if in_float64 else None,
        tests=tests_over_seeds(
            runs,
            gaps,
            predictions=predictions_by_seed(by_side, tables, experiment.seed_list, arrays=arrays),
            margin=experiment.margin,
            rounding=tolerance.relative,
            same_loss=_same_loss(jobs),
        ),
        noise_floor=floor,
    )
    verdict = judge(evidence)
    return Comparison(
        experiment_id=record.experiment_id,
        name=experiment.name,
        submitted_s=record.submitted_s,
        verdict=verdict,
        reasons=reasons(
            verdict,
            evidence,
            jobs=jobs,
            traced=traced,
            scale=Scale(samples=training_samples, outputs=_outputs(results)),
        ),
        setting_differences=tuple(evidence.differences),
        first_divergence=traced.divergence if traced else None,
        tolerance=tolerance,
        twin=evidence.twin,
        equivalence=tuple(evidence.tests),
        growth=growth(runs, twin),
        noise_floor=floor,
        gaps=pairs,
        seed_gaps=tuple(gaps),
        runs=tuple(runs),
        experiment=experiment,
        jobs=dict(jobs),
    )


def _starts_known(gaps: Sequence[SeedGaps], jobs: Mapping[str, Job]) -> list[SeedGaps]:
    """The gaps without a word on the start where two precisions round the same weights to other numbers."""
    return [
        one
        if one.reference not in jobs
        or one.other not in jobs
        or jobs[one.reference].precision == jobs[one.other].precision
        else one.model_copy(update={"same_initial_weights": None})
        for one in gaps
    ]


def _same_loss(jobs: Mapping[str, Job]) -> bool:
    return len({job.loss.model_dump_json() for job in jobs.values()}) == 1


def _outputs(results: Sequence[RunResult]) -> int | None:
    """How many outputs a sample has, by the results; None where no result has any."""
    refs = [
        *(one.outputs for result in results for one in result.seeds),
        *(one.outputs for result in results for one in result.arrays),
    ]
    return next((ref.shape[-1] for ref in refs if ref is not None and len(ref.shape) > 1), None)
