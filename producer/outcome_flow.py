"""The steps of a command from finished trainings on: collect and compare, train once more, show.

Every command prints through this module, so that all print alike: the result on standard output, messages on
the way on standard error.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from producer import trace, twin
from producer.compare import compare
from producer.experiment_flow import RUN_FAILED, follow_to_end, say
from producer.queue.cancel import still_wanted
from producer.queue.collect import collect
from producer.queue.runs import one_a_side
from producer.report.console import make_console
from producer.report.json import to_json
from producer.report.terminal import render
from producer.session import Session
from producer.trace_flow import replay, traced_of
from shared.errors import LikewiseError, UsageError
from shared.run import Run

if TYPE_CHECKING:
    from producer.verdict.models import Comparison
    from shared.ledger.records import ExperimentRecord
    from shared.result import RunResult

NOT_IN_AGREEMENT = 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A comparison, that of its float64 twin, and each side's run, in the experiment's order.

    A run has all of its framework's seeds, however they were spread over workers.
    """

    comparison: Comparison
    runs: tuple[Run, ...]
    twin: Comparison | None = None


def get_ready(record: ExperimentRecord) -> None:
    """Import what else the verdict will need, while the runs train and it costs no time."""
    if len(record.experiment.seed_list) > 1:
        import scipy.special  # noqa: F401


def with_twin(  # noqa: PLR0913 - what is trained, and how it is told
    session: Session,
    record: ExperimentRecord,
    outcome: Outcome,
    *,
    quiet: bool,
    full: bool = False,
    rerun: bool = False,
) -> Outcome:
    """The outcome with what the float64 twin says and, with `rerun`, each side's own rerun.

    Each is trained where it can add something; both train at the same time.
    """
    tell = _unsaid if quiet else say
    seconds, left_s = twin.cost_s(outcome.comparison), twin.BUDGET_S
    submitted = []
    if outcome.comparison.twin is None and twin.tells_more(outcome.comparison):
        if seconds > left_s:
            tell(f"the float64 twin is left out: it would train for about {seconds:,.0f} s more")
        else:
            tell("once more in float64, to tell rounding from a real difference")
            submitted.append(twin.submit_twin(record, outcome.runs, ledger=session.ledger, app=session.app))
            left_s -= seconds
    if rerun and not outcome.comparison.noise_floor and twin.rerun_tells_more(outcome.comparison):
        if seconds > left_s:
            tell(f"the rerun is left out: it would train for about {seconds:,.0f} s more")
        else:
            tell("once more as it was, to see how far a framework's own numbers move")
            submitted.append(twin.submit_rerun(record, outcome.runs, ledger=session.ledger, app=session.app))
    if not submitted:
        return outcome
    for other in submitted:
        follow_to_end(session, other, quiet=quiet)
    return outcome_of(session, still_wanted(record, ledger=session.ledger), full=full)


def with_trace(
    session: Session, record: ExperimentRecord, outcome: Outcome, *, quiet: bool, full: bool = False
) -> Outcome:
    """The outcome with where the sides part, found by a traced replay where that can add something."""
    if not trace.tells_more(outcome.comparison):
        return outcome
    tell = _unsaid if quiet else say
    tell("replaying step by step, to find where they part")
    replay(
        session,
        record,
        outcome.runs,
        comparison=outcome.comparison,
        twin=outcome.twin,
        follow=lambda replayed: follow_to_end(session, replayed, quiet=quiet),
    )
    return outcome_of(session, still_wanted(record, ledger=session.ledger), full=full)


def outcome_of(session: Session, record: ExperimentRecord, *, full: bool = False) -> Outcome:
    """Collect what is finished, also of the float64 twin, the rerun and the replays, and compare it.

    Of many seeds only one is listed with its curves and arrays, unless `full`.
    """
    twin_id = record.related.get("twin")
    other = session.ledger.experiment(twin_id) if twin_id else None
    twin_comparison = outcome_of(session, other).comparison if other else None
    runs = one_a_side(session.ledger.runs(record.run_ids))
    results = collect(record, ledger=session.ledger)
    comparison = compare(
        record,
        {run.side: run.job for run in runs},
        results,
        session.blobs.get,
        training_samples=runs[0].dataset.train.x.shape[0],
        twin=twin_comparison,
        again=_results(session, record.related.get("rerun")),
        traced=traced_of(session, record),
        full=full,
    )
    if len(results) == len(record.run_ids):
        session.ledger.keep_verdict(record.experiment_id, comparison.verdict)
    return Outcome(comparison=comparison, runs=runs, twin=twin_comparison)


def _results(session: Session, experiment_id: str | None) -> list[RunResult]:
    """The finished results of an experiment that belongs to another; none without an id."""
    record = session.ledger.experiment(experiment_id) if experiment_id else None
    return collect(record, ledger=session.ledger) if record else []


def finish(
    session: Session, outcome: Outcome, *, as_json: bool, page: Path | None = None, full: bool = False
) -> Comparison:
    """Write the page, where one is wanted, and print the comparison."""
    if page is not None:
        write_page(session, outcome, page)
    print_comparison(outcome.comparison, as_json=as_json, full=full)
    return outcome.comparison


def print_comparison(comparison: Comparison, *, as_json: bool, full: bool = False) -> None:
    """The result, on standard output."""
    if as_json:
        make_console().file.write(f"{to_json(comparison, full=full)}\n")
    else:
        render(comparison, make_console())


def write_page(session: Session, outcome: Outcome, path: Path) -> None:
    """Write the page; raises UsageError where the file cannot be written."""
    from producer.report.html import to_html
    from producer.report.truth import truth_of

    text = to_html(outcome.comparison, truth_of(outcome.runs, outcome.comparison, session.blobs.get))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def exit_status(comparison: Comparison, *, check: bool) -> int:
    """The exit status of the command."""
    if comparison.failed:
        return RUN_FAILED
    return NOT_IN_AGREEMENT if check and comparison.verdict != "agree" else 0


def verdict_word(session: Session, record: ExperimentRecord) -> str | None:
    """The verdict of a finished experiment: the one that was kept, or else made now.

    None for a sweep, which has a verdict for each point, and where the results cannot be read any more.
    """
    if record.verdict is not None or record.experiment.grid:
        return record.verdict
    with suppress(LikewiseError):
        return outcome_of(session, record).comparison.verdict
    return None


def _unsaid(_: str) -> None:
    pass
