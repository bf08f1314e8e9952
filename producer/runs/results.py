"""Fetches the results of an experiment's finished runs, and joins the parts of one side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from likewise.shared.errors import ResultError, UsageError
from likewise.shared.frozen import read_result
from likewise.shared.ledger.ledger import Ledger
from likewise.shared.ledger.records import ExperimentRecord, RunRecord
from likewise.shared.results.run_result import RunResult, StoredResult
from likewise.shared.run import Run

if TYPE_CHECKING:
    from likewise.producer.runs.submit import Services
    from likewise.shared.results.seed_table import SeedRow


@dataclass(frozen=True, kw_only=True)
class Diverged:
    """It says how many of a run's trainings diverged."""

    diverged: int
    trained: int


@dataclass(frozen=True, kw_only=True)
class FinishedRuns:
    """It holds an experiment and its finished runs, each with what it returned."""

    record: ExperimentRecord
    runs: Sequence[tuple[Run, RunResult]]

    @property
    def results(self) -> list[RunResult]:
        """Return what the runs returned, in the experiment's order."""
        return [result for _, result in self.runs]


def results_of(services: Services, record: ExperimentRecord) -> list[RunResult]:
    """Return what `collect` does, and bring the small arrays of the results in few round trips."""
    found = collect(record, ledger=services.ledger)
    services.blobs.fetch_ahead(ref for result in found for piece in result.arrays for ref in piece.refs)
    return found


def trained_of(services: Services, record: ExperimentRecord) -> FinishedRuns:
    """Return an experiment with its finished runs and their results."""
    found = results_of(services, record)
    runs = services.ledger.runs([result.run_id for result in found])
    return FinishedRuns(record=record, runs=list(zip(runs, found, strict=True)))


def untrained(side: str, row: SeedRow, experiment_id: str) -> UsageError:
    """Return the error of asking for the model of a training that has none."""
    cancelled = row.failure is not None and row.failure.reason == "cancelled"
    end = "was cancelled" if cancelled else "failed"
    return UsageError(
        f"{side} of {experiment_id} has no trained model of seed {row.seed}: that training {end}"
    )


def collect(record: ExperimentRecord, *, ledger: Ledger) -> list[RunResult]:
    """Return the results of the runs that are final, in the experiment's order.

    A run that ended without a result (cancelled in the queue, given up) becomes a failed RunResult.
    Raises ResultError for a result of another schema version, a damaged one, or one that is gone.
    """
    return list(results(record, ledger=ledger))


def results(record: ExperimentRecord, *, ledger: Ledger) -> Iterator[RunResult]:
    """Yield what `collect` returns, a group at a time: an experiment may have more runs than memory holds."""
    for run, payload in ledger.records_with_payloads(record.run_ids):
        if run.final:
            yield _result(run, payload)


def count_diverged(records: Sequence[RunRecord], *, ledger: Ledger) -> dict[str, Diverged]:
    """Return, by id, how the runs diverged that failed by that alone.

    Runs whose results cannot be read are left out.
    """
    ids = [run.run_id for run in records if run.failure is not None and run.failure.reason == "diverged"]
    found = {}
    for run, payload in ledger.records_with_payloads(ids):
        with suppress(ResultError):
            result = _result(run, payload)
            diverged = sum(len(piece.failures) for piece in result.arrays)
            trained = sum(len(piece.seeds) for piece in result.arrays)
            if trained:
                found[run.run_id] = Diverged(diverged=diverged, trained=trained)
    return found


def one_a_side(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return each side's first run with the seeds of all its runs, as if they had not been cut."""
    whole: dict[str, Run] = {}
    for run in runs:
        held = whole.get(run.side)
        seeds = run.seeds if held is None else (*held.seeds, *run.seeds)
        whole[run.side] = (held or run).model_copy(update={"seeds": seeds})
    return tuple(whole.values())


def merged(results: Sequence[RunResult]) -> dict[str, RunResult]:
    """Return one result a side: its pieces of arrays one after another, the rest of the first.

    A failure, above all one that ended a run, is told before the success of other seeds.
    """
    by_side: dict[str, list[RunResult]] = {}
    for result in results:
        by_side.setdefault(result.side, []).append(result)
    return {side: _merged(parts) for side, parts in by_side.items()}


def _merged(parts: Sequence[RunResult]) -> RunResult:
    if len(parts) == 1:
        return parts[0]
    failures = [part.failure for part in parts if part.failure]
    ended = [failure for failure in failures if failure.reason != "diverged"]
    failure = next(iter([*ended, *failures]), None)
    return parts[0].model_copy(
        update={
            "status": "failed" if failure else "succeeded",
            "failure": failure,
            "arrays": tuple(arrays for part in parts for arrays in part.arrays),
            "notes": tuple(dict.fromkeys(note for part in parts for note in part.notes)),
            "environment": next((part.environment for part in parts if part.environment), None),
        }
    )


def _result(run: RunRecord, payload: bytes | None) -> RunResult:
    if payload is None:
        if run.failure is None:
            raise ResultError(
                f"the result of the {run.side} run {run.run_id} is gone from Redis; train it again"
            )
        return RunResult.of_failure(run, run.failure, worker=run.worker, attempt=max(run.attempt, 1))
    try:
        result = read_result(StoredResult, payload).result
    except ValidationError as error:
        raise _unreadable(run, error) from None
    if result.run_id != run.run_id:
        raise ResultError(f"the result stored for run {run.run_id} is that of run {result.run_id}")
    return result


def _unreadable(run: RunRecord, error: ValidationError) -> ResultError:
    first = error.errors(include_url=False)[0]
    value = f" = {first['input']!r}" if isinstance(first["input"], int | float | str) else ""
    what = f"{'.'.join(map(str, first['loc'])) or 'document'}{value[:60]}: {first['msg'].lower()}"
    return ResultError(
        f"the result of the {run.side} run {run.run_id} cannot be read: {what} "
        "(it is damaged, or another version of Likewise wrote it); train it again"
    )
