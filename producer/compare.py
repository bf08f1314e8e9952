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

from producer.resolve import setting_differences
from producer.verdict.gaps import Load, bitwise_equal, seed_gaps
from producer.verdict.judge import Evidence, judge
from producer.verdict.knowledge import Scale
from producer.verdict.models import (
    ArrayValue,
    Comparison,
    FrameworkRuns,
    Gap,
    PairGaps,
    SeedGaps,
    SeedRun,
    Tolerance,
)
from producer.verdict.reasons import reasons
from producer.verdict.spread import metric_spreads, spread
from producer.verdict.tolerance import tolerance_for
from producer.verdict.twin import twin_of
from shared.arrays import ArrayRef
from shared.result import Failure, RunResult, SeedResult
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
) -> Comparison:
    """The verdict over an experiment's runs.

    `jobs` has each framework's resolved job, `arrays` gives the array of a reference, and
    `training_samples`, where known, lets a reason say how much larger a sum is than a mean. `twin` is the
    comparison of the float64 twin.
    """
    experiment = record.experiment
    by_framework = {result.framework: result for result in results}
    runs = [
        _framework_runs(framework, by_framework.get(framework), experiment.seed_list, arrays=arrays)
        for framework in experiment.frameworks
    ]
    precisions = frozenset(job.precision for job in jobs.values())
    tolerance = tolerance_for(precisions)
    gaps = _all_gaps(experiment.frameworks, by_framework, tolerance=tolerance, arrays=arrays)
    pairs = tuple(
        _pair(experiment.frameworks[0], other, [one for one in gaps if one.other == other])
        for other in experiment.frameworks[1:]
    )
    evidence = Evidence(
        differences=setting_differences(jobs),
        seed_gaps=gaps,
        pairs=pairs,
        tolerance=tolerance,
        runs=runs,
        precisions=precisions,
        twin=None if twin is None else twin_of(pairs, twin),
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
            scale=Scale(samples=training_samples, outputs=_outputs(results)),
        ),
        setting_differences=tuple(evidence.differences),
        tolerance=tolerance,
        twin=evidence.twin,
        gaps=pairs,
        seed_gaps=tuple(gaps),
        runs=tuple(runs),
        experiment=experiment,
        jobs=dict(jobs),
    )


def _framework_runs(
    framework: str, result: RunResult | None, seeds: Sequence[int], *, arrays: Load
) -> FrameworkRuns:
    trained = {one.seed: one for one in result.seeds} if result else {}
    whole = result.failure if result else None
    told = tuple(
        _seed_run(trained[seed], arrays=arrays) if seed in trained else _untrained(seed, whole)
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
        seeds=told,
        final_loss=spread(one.final_loss for one in told),
        metrics=metric_spreads(told),
        train_s=spread(train_s),
        total_train_s=math.fsum(train_s) if train_s else None,
    )


def _untrained(seed: int, failure: Failure | None) -> SeedRun:
    return SeedRun(seed=seed, status="failed" if failure else "missing", failure=failure)


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


def _all_gaps(
    frameworks: Sequence[str], results: Mapping[str, RunResult], *, tolerance: Tolerance, arrays: Load
) -> list[SeedGaps]:
    """Of every seed that succeeded in the reference and in another framework."""
    reference, *others = frameworks
    finished = {
        name: {one.seed: one for one in result.seeds if one.status == "succeeded"}
        for name, result in results.items()
    }
    return [
        _compare_seed((reference, mine), (other, finished[other][seed]), tolerance=tolerance, arrays=arrays)
        for other in others
        for seed, mine in finished.get(reference, {}).items()
        if seed in finished.get(other, {})
    ]


def _compare_seed(
    reference: tuple[str, SeedResult], other: tuple[str, SeedResult], *, tolerance: Tolerance, arrays: Load
) -> SeedGaps:
    mine, theirs = reference[1], other[1]
    gaps = seed_gaps(mine, theirs, arrays=arrays)
    small = all(gap.relative is not None and gap.relative <= tolerance.relative for gap in gaps)
    hashes = mine.hashes and theirs.hashes and (mine.hashes, theirs.hashes)
    return SeedGaps(
        seed=mine.seed,
        reference=reference[0],
        other=other[0],
        gaps=gaps,
        same_initial_weights=hashes[0].initial_weights == hashes[1].initial_weights if hashes else None,
        same_batches=hashes[0].batches == hashes[1].batches if hashes else None,
        epochs=(mine.epochs, theirs.epochs),
        within_tolerance=bool(gaps) and small and mine.epochs == theirs.epochs,
        identical=bitwise_equal(mine, theirs),
    )


def _pair(reference: str, other: str, seeds: Sequence[SeedGaps]) -> PairGaps:
    largest: dict[str, tuple[Gap, int]] = {}
    for one in seeds:
        for gap in one.gaps:
            held = largest.get(gap.measure)
            if held is None or _size(gap) > _size(held[0]):
                largest[gap.measure] = (gap, one.seed)
    return PairGaps(
        reference=reference,
        other=other,
        seeds=len(seeds),
        seeds_within_tolerance=sum(one.within_tolerance for one in seeds),
        seeds_identical=sum(one.identical for one in seeds),
        largest=tuple(gap for gap, _ in largest.values()),
        largest_seeds=tuple(seed for _, seed in largest.values()),
    )


def _size(gap: Gap) -> float:
    return math.inf if gap.relative is None else gap.relative


def _outputs(results: Sequence[RunResult]) -> int | None:
    """Outputs a sample, as the results have them."""
    shapes = (one.outputs.shape for result in results for one in result.seeds if one.outputs)
    return next((shape[1] for shape in shapes if len(shape) == 2), None)
