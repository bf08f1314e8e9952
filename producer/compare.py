"""Results in, Comparison out. Pure: no files, network, clock or terminal.

The first framework of the experiment is the reference. What the words mean is in
`producer.verdict.judge`, how gaps are measured in `producer.verdict.gaps`, and the tolerance with its
reason in `producer.verdict.tolerance`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from producer.job.resolve import setting_differences
from producer.queue.merge import merged
from producer.verdict.gaps import Load
from producer.verdict.growth import epochs_before_rounding_took_over, growth
from producer.verdict.judge import Evidence, judge
from producer.verdict.knowledge import Scale, weight_of
from producer.verdict.models import (
    ArrayValue,
    Comparison,
    FrameworkRuns,
    SeedRun,
    Traced,
)
from producer.verdict.noise import noise_floor, raised
from producer.verdict.over_seeds import tests_over_seeds
from producer.verdict.pairs import all_gaps, pair_gaps
from producer.verdict.reasons import reasons
from producer.verdict.seed_table import SeedTable, untrained
from producer.verdict.spread import final_losses, metric_spreads, spread
from producer.verdict.tolerance import tolerance_for
from producer.verdict.twin import twin_of
from shared.arrays import ArrayRef
from shared.result import RunResult, SeedResult
from shared.spec import Job

if TYPE_CHECKING:
    from shared.ledger import ExperimentRecord

MAX_LISTED = 10_000
"""Arrays up to this many elements are listed in the Comparison; larger ones stay references."""


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

    `jobs` has each framework's resolved job, `arrays` gives the array of a reference, and
    `training_samples`, where known, lets a reason say how much larger a sum is than a mean. `twin` is the
    comparison of the float64 twin, `again` has the results of the rerun, `traced` what a traced replay
    told. Of more than `MOST_LISTED_SEEDS` seeds only one is told with its curves and arrays, unless `full`.
    """
    experiment = record.experiment
    by_framework = merged(results)
    tables = {
        framework: SeedTable(result.arrays, experiment.seed_list, failure=result.failure, arrays=arrays)
        for framework, result in by_framework.items()
        if result.arrays
    }
    listed = range(len(experiment.seed_list)) if full else _example(tables)
    runs = [
        _many_seeds(framework, by_framework[framework], tables[framework], listed=listed)
        if framework in tables
        else _framework_runs(framework, by_framework.get(framework), experiment.seed_list, arrays=arrays)
        for framework in experiment.frameworks
    ]
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
            runs, gaps, margin=experiment.margin, rounding=tolerance.relative, same_loss=_same_loss(jobs)
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


def _framework_runs(
    framework: str, result: RunResult | None, seeds: Sequence[int], *, arrays: Load
) -> FrameworkRuns:
    trained = {one.seed: one for one in result.seeds} if result else {}
    whole = result.failure if result else None
    told = tuple(
        _seed_run(trained[seed], arrays=arrays) if seed in trained else untrained(seed, whole)
        for seed in seeds
    )
    train_s = [one.timings.train_s + one.timings.compile_s for one in told if one.timings]
    return FrameworkRuns(
        framework=framework,
        run_id=result.run_id if result else None,
        failure=whole,
        environment=result.environment if result else None,
        worker=result.worker if result else None,
        attempt=result.attempt if result else None,
        notes=result.notes if result else (),
        seeds=told,
        final_loss=spread(final_losses(told)),
        metrics=metric_spreads(told),
        train_s=spread(train_s),
        total_train_s=math.fsum(train_s) if train_s else None,
    )


def _many_seeds(
    framework: str, result: RunResult, table: SeedTable, *, listed: Sequence[int]
) -> FrameworkRuns:
    told = table.runs(listed=listed)
    train_s = table.train_s[np.isfinite(table.train_s)].tolist()
    return FrameworkRuns(
        framework=framework,
        run_id=result.run_id,
        failure=result.failure,
        environment=result.environment,
        worker=result.worker,
        attempt=result.attempt,
        notes=result.notes,
        seeds=told,
        curves=table.curves(),
        final_loss=spread(final_losses(told)),
        metrics=metric_spreads(told),
        train_s=spread(train_s),
        total_train_s=math.fsum(train_s) if train_s else None,
    )


def _example(tables: Mapping[str, SeedTable]) -> Sequence[int]:
    """The place of the first seed that succeeded in every framework, or else in one."""
    succeeded = [table.succeeded for table in tables.values()]
    if not succeeded:
        return ()
    everywhere, somewhere = np.all(succeeded, axis=0), np.any(succeeded, axis=0)
    found = np.flatnonzero(everywhere) if everywhere.any() else np.flatnonzero(somewhere)
    return [int(place) for place in found[:1]]


def _seed_run(result: SeedResult, *, arrays: Load) -> SeedRun:
    same = ("failure", "epochs", "losses", "validation_losses", "final_loss", "stopped_early", "metrics",
            "outputs_of", "hashes", "timings", "peak_bytes", "device_peak_bytes")  # fmt: skip
    return SeedRun(
        seed=result.seed,
        status=result.status,
        predictions=_listed(result.predictions, arrays),
        outputs=_listed(result.outputs, arrays),
        weights={name: _listed(ref, arrays) for name, ref in result.weights.items()},
        **{name: getattr(result, name) for name in same},
    )


def _listed(ref: ArrayRef | None, arrays: Load) -> Any:
    if ref is None:
        return None
    if math.prod(ref.shape) > MAX_LISTED:
        return ref
    return _finite(arrays(ref))


def _finite(array: NDArray[Any]) -> ArrayValue:
    """Nested lists, with None for what is not finite: JSON has no NaN."""
    if np.isfinite(array).all():
        listed: ArrayValue = array.tolist()
        return listed
    plain = array.astype(object)
    plain[~np.isfinite(array)] = None
    gapped: ArrayValue = plain.tolist()
    return gapped


def _outputs(results: Sequence[RunResult]) -> int | None:
    """Outputs a sample, as the results have them."""
    refs = [
        *(one.outputs for result in results for one in result.seeds),
        *(one.outputs for result in results for one in result.arrays),
    ]
    return next((ref.shape[-1] for ref in refs if ref is not None and len(ref.shape) > 1), None)
