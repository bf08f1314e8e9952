"""The steps of a traced replay: submit, follow, read the traces.

`producer.trace` decides what is replayed, `producer.verdict.divergence` what the traces mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from producer import trace
from producer.queue.collect import collect
from producer.verdict.divergence import Replays, traced
from producer.verdict.first_divergence import STAGES, Parting, first_parting
from producer.verdict.models import Comparison, Traced
from producer.verdict.tolerance import tolerance_for
from shared.trace import Trace, TraceRequest

if TYPE_CHECKING:
    from producer.session import Session
    from shared.ledger.records import ExperimentRecord
    from shared.run import Run
    from shared.store.arrays import ArrayRef

Follow = Callable[["ExperimentRecord"], None]
"""Shows an experiment's progress until it is done."""


@dataclass(kw_only=True)
class _Traces:
    """The traces that the replays of an experiment returned so far, by side."""

    steps: dict[str, Trace] = field(default_factory=dict)
    """With fingerprints of many updates."""
    kept: dict[str, Trace] = field(default_factory=dict)
    """With whole tensors of one update."""
    runs: dict[str, Run] = field(default_factory=dict)
    """The replays' runs."""


def replay(  # noqa: PLR0913 - all that it goes by, once
    session: Session,
    record: ExperimentRecord,
    runs: Sequence[Run],
    *,
    comparison: Comparison,
    twin: Comparison | None,
    follow: Follow,
) -> None:
    """Replay the first seed that parts, to find where; the ledger keeps the traces for `traced_of`.

    Ends early and without a message where a replay fails: the comparison stands without it.
    """
    seed = trace.parting_seed(comparison, twin)
    if seed is None:
        return
    traces = _Traces()

    def submit(relation: str, requests: Mapping[str, TraceRequest]) -> None:
        submitted = trace.submit_replays(
            relation,
            record,
            requests,
            runs=runs,
            seed=seed,
            ledger=session.ledger,
            app=session.app,
        )
        follow(submitted)
        _read(session, submitted, traces)

    reference, *others = record.experiment.labels
    skip, steps = trace.updates_to_observe(twin or comparison, runs, seed)
    asked = TraceRequest(skip=skip, steps=steps, seconds=trace.MOST_S)
    start: dict[str, ArrayRef] | None = None
    if trace.same_start(comparison, seed):
        submit(trace.RELATIONS[0], dict.fromkeys(record.experiment.labels, asked))
    else:
        asked = asked.model_copy(update={"keep_start": True, "seconds": trace.OTHER_START_S})
        submit(trace.RELATIONS[0], {reference: asked})
        if reference not in traces.steps:
            return
        weights = traces.steps[reference].start_weights
        start = weights if all(trace.fits(weights, run) for run in runs) else None
        submit(trace.RELATIONS[1], dict.fromkeys(others, asked.model_copy(update={"start": start})))
    found = _earliest(session, traces, reference)
    if found is None:
        return
    other, parting = found
    if parting.problem is not None and parting.step > 0:  # whole tensors would say no more
        return
    step = TraceRequest(skip=max(0, parting.step - 1), steps=1, seconds=trace.MOST_S, keep=True)
    submit(trace.RELATIONS[2], {reference: step})
    if reference not in traces.kept:
        return
    fed = trace.refeed(traces.kept[reference], (traces.runs[reference], traces.runs[other]))
    submit(trace.RELATIONS[3], {other: step.model_copy(update={"refeed": fed, "start": start})})


def traced_of(session: Session, record: ExperimentRecord) -> Traced | None:
    """What the replays of an experiment show; None where there were none, or one of them failed."""
    traces = _Traces()
    for relation in trace.RELATIONS:
        related = record.related.get(relation)
        replayed = session.ledger.experiment(related) if related else None
        if replayed is not None:
            _read(session, replayed, traces)
    reference = record.experiment.labels[0]
    if reference not in traces.steps or len(traces.steps) < 2:
        return None
    found = _earliest(session, traces, reference)
    others = [name for name in traces.steps if name != reference]
    other = found[0] if found else others[0]
    jobs = {name: run.job for name, run in traces.runs.items()}
    replays = Replays(
        seed=traces.runs[reference].seeds[0],
        reference=reference,
        other=other,
        steps=traces.steps,
        kept=traces.kept,
        precision=traces.runs[reference].job.precision,
    )
    return traced(
        replays,
        jobs=jobs,
        arrays=session.blobs.get,
        tolerance=_tolerance(traces),
        alike=tolerance_for({job.precision for job in jobs.values()}).relative,
    )


def _read(session: Session, replayed: ExperimentRecord, traces: _Traces) -> None:
    """Add the traces of an experiment's finished runs to those that are known."""
    for result in collect(replayed, ledger=session.ledger):
        run = session.ledger.run(result.run_id)
        if result.trace is None or run.trace is None:
            continue
        (traces.kept if run.trace.keep else traces.steps)[run.side] = result.trace
        traces.runs.setdefault(run.side, run)


def _earliest(session: Session, traces: _Traces, reference: str) -> tuple[str, Parting] | None:
    """The framework that parts first from the reference, and where."""
    found = []
    for other, steps in traces.steps.items():
        if other != reference:
            parting = first_parting(
                traces.steps[reference],
                steps,
                names=(reference, other),
                arrays=session.blobs.get,
                tolerance=_tolerance(traces),
            )
            if parting is not None:
                found.append((other, parting))
    return min(found, key=lambda one: (one[1].step, STAGES.index(one[1].stage)), default=None)


def _tolerance(traces: _Traces) -> float:
    """The tolerance of fingerprints.

    Replays are in float64, except where the sides were declared in different precisions; what differs
    between precisions is wanted then, so that float64's tolerance serves there, too.
    """
    precisions = {run.job.precision for run in traces.runs.values()}
    return tolerance_for(["float64"] if len(precisions) > 1 else precisions).relative
