"""Results of several runs of one side as if they were one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from shared.results.run_result import RunResult


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
