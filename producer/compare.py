"""Results in, Comparison out. Pure: no files, network, clock or terminal.

The first framework of the experiment is the reference. `compare` gathers the evidence from `producer.verdict`
in this order:

    framework_runs   what each framework returned
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
from producer.verdict.framework_runs import framework_runs
from producer.verdict.gaps import Load
from producer.verdict.growth import epochs_before_rounding_took_over, growth
from producer.verdict.judge import Evidence, judge
from producer.verdict.knowledge import Scale, weight_of
from producer.verdict.models import Comparison, Traced
from producer.verdict.noise import noise_floor, raised
from producer.verdict.over_seeds import predictions_by_seed, tests_over_seeds
from producer.verdict.pairs import all_gaps, pair_gaps
from producer.verdict.reasons import reasons
from producer.verdict.seed_table import SeedTable
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

    `jobs` has each framework's resolved job. `arrays` gives the array of a reference. `training_samples`,
    where known, lets a reason say how much larger a sum is than a mean. `twin` is the comparison of the
    float64 twin, `again` has the results of the rerun, and `traced` is what a traced replay found. Of more
    than `MOST_LISTED_SEEDS` seeds only one is listed with its curves and arrays, unless `full`.
    """
    experiment = record.experiment
    by_framework = merged(results)
    tables = {
        framework: SeedTable(result.arrays, experiment.seed_list, failure=result.failure, arrays=arrays)
        for framework, result in by_framework.items()
        if result.arrays
    }
    runs = framework_runs(experiment, by_framework, tables, arrays=arrays, full=full)
    precisions = frozenset(job.precision for job in jobs.values())
    floor = noise_floor(by_framework, merged(again), arrays=arrays)
    tolerance = raised(tolerance_for(precisions), floor)
    gaps = all_gaps(experiment.frameworks, by_framework, tables, tolerance=tolerance, arrays=arrays)
    pairs = tuple(
        pair_gaps(experiment.frameworks[0], other, [one for one in gaps if one.other == other])
        for other in experiment.frameworks[1:]
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
            predictions=predictions_by_seed(by_framework, tables, experiment.seed_list, arrays=arrays),
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


def _same_loss(jobs: Mapping[str, Job]) -> bool:
    return len({job.loss.model_dump_json() for job in jobs.values()}) == 1


def _outputs(results: Sequence[RunResult]) -> int | None:
    """How many outputs a sample has, by the results; None where no result has any."""
    refs = [
        *(one.outputs for result in results for one in result.seeds),
        *(one.outputs for result in results for one in result.arrays),
    ]
    return next((ref.shape[-1] for ref in refs if ref is not None and len(ref.shape) > 1), None)
