"""Judges an experiment by what its runs and its follow-ups returned. Pure.

The twin and the rerun change what a comparison rests on; a replay, and what several settings do each, add to
it and change nothing of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from likewise.producer.compare import Background, Basis, basis_of
from likewise.producer.follow_ups import CAUSES, PERTURBED, RERUN, TWIN, Finished, Judged
from likewise.producer.replay import RELATIONS
from likewise.producer.runs.results import FinishedRuns, merged, one_a_side
from likewise.producer.traces import maps_of, traced_of
from likewise.producer.verdict.side_runs import side_runs

if TYPE_CHECKING:
    from likewise.producer.verdict.divergence_map import DivergenceMap
    from likewise.producer.verdict.models import ReplayFindings, SideRuns
    from likewise.shared.ledger.records import ExperimentRecord
    from likewise.shared.results.run_result import RunResult
    from likewise.shared.results.seed_table import Load
    from likewise.shared.run import Run

FOLLOW_UPS = (TWIN, RERUN, PERTURBED, *RELATIONS, CAUSES)
"""The relations of the follow-ups that a comparison takes in."""


def judged(own: FinishedRuns, runs: Sequence[Run], finished: Finished, arrays: Load) -> Judged:
    """Return what comes of an experiment.

    `own` has its finished runs, `runs` are all of its runs, and `finished` has its follow-ups. `arrays` gives
    the array of a reference.
    """
    sides = side_runs(own.record.experiment, merged(own.results), arrays)
    whole = one_a_side(runs)
    basis, twin = _basis(own.record, sides, whole, finished, arrays)
    outcome = Judged(
        record=own.record,
        comparison=basis.comparison(_traced(own.record, finished, arrays)),
        basis=basis,
        runs=whole,
        ended=len(own.runs) == len(runs),
        arrays=arrays,
        finished=finished,
        twin=twin,
    )
    return _caused(outcome)


def judged_again(known: Judged, record: ExperimentRecord, finished: Finished) -> Judged:
    """Return what comes of an experiment with further follow-ups; only what they change is computed anew.

    `record` is the experiment's as it stands now.
    """
    every = {**known.finished, **finished}
    basis, twin = known.basis, known.twin
    if finished.keys() & {TWIN, RERUN, PERTURBED}:
        basis, twin = _basis(record, known.comparison.runs, known.runs, every, known.arrays)
    comparison = basis.comparison(_traced(record, every, known.arrays))
    again = replace(known, record=record, comparison=comparison, basis=basis, finished=every, twin=twin)
    return _caused(again)


def _caused(outcome: Judged) -> Judged:
    """Return the outcome with the share of each of several causes, where these were trained."""
    if CAUSES not in outcome.finished:
        return outcome
    from likewise.producer.blame.causes import with_causes

    return replace(outcome, comparison=with_causes(outcome, outcome.finished[CAUSES]))


def _basis(
    record: ExperimentRecord,
    sides: Sequence[SideRuns],
    runs: Sequence[Run],
    finished: Finished,
    arrays: Load,
) -> tuple[Basis, Judged | None]:
    """Return what the comparison rests on, and what comes of the float64 twin where there is one."""
    twin = None
    if TWIN in finished:
        own = finished[TWIN]
        twin = judged(own, [run for run, _ in own.runs], {}, arrays)
    background = replace(
        Background.of(runs),
        twin=twin.comparison if twin else None,
        again=finished[RERUN].results if RERUN in finished else (),
        perturbed=finished[PERTURBED].results if PERTURBED in finished else (),
    )
    jobs = {run.side: run.job for run in runs}
    return basis_of(record, jobs, sides, arrays, background=background), twin


def divergence_maps(outcome: Judged) -> list[DivergenceMap]:
    """Return how far the replays are apart, tensor by tensor, for each other side that was replayed."""
    return maps_of(outcome.record.experiment, _replayed(outcome.finished), outcome.arrays)


def _traced(record: ExperimentRecord, finished: Finished, arrays: Load) -> ReplayFindings | None:
    """Return what the replays show, taken in the order they were trained."""
    return traced_of(record.experiment, _replayed(finished), arrays)


def _replayed(finished: Finished) -> list[tuple[Run, RunResult]]:
    return [one for relation in RELATIONS if relation in finished for one in finished[relation].runs]
