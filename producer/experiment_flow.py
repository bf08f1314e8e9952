"""The steps that the commands are made of: submit, follow, collect and compare, show.

Each takes what it needs as values; what a command prints goes through here, so that every command
prints it alike: the result on standard output, progress on standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from producer import trace, twin
from producer.compare import compare
from producer.job.jobfile import read_experiment
from producer.job.prepare import PreparedExperiment, prepare_experiment
from producer.live import board
from producer.queue.cancel import still_wanted
from producer.queue.collect import collect
from producer.queue.follow import follow
from producer.queue.runs import one_a_framework
from producer.queue.submit import submit
from producer.report.console import make_console, progress_console
from producer.report.json import to_json
from producer.report.terminal import render
from producer.session import Session, open_session
from producer.trace_flow import replay, traced_of
from shared.errors import LikewiseError, NoWorkerError, UsageError
from shared.run import Run
from shared.settings import Settings

if TYPE_CHECKING:
    from producer.verdict.models import Comparison
    from shared.ledger import ExperimentRecord
    from shared.result import RunResult

NOT_IN_AGREEMENT = 1
RUN_FAILED = 3


def prepare_given(spec: str, set_values: Sequence[str], seeds: str | None) -> PreparedExperiment:
    """Read a job file with its `--set` and `--seeds`, resolve it and load its data."""
    loaded = read_experiment(spec, with_seeds(set_values, seeds))
    if loaded.experiment.grid:
        raise UsageError(f"{loaded.source} has a grid of settings; likewise sweep trains it")
    prepared = prepare_experiment(loaded)
    for sentence in prepared.advice:
        progress_console().print(f"note: {sentence}")
    return prepared


def with_seeds(set_values: Sequence[str], seeds: str | None) -> list[str]:
    """The settings of `--set` and of `--seeds`. Raises UsageError."""
    return [*set_values, *([f"seeds={_seeds(seeds)}"] if seeds is not None else [])]


def open_for(frameworks: Sequence[str] = (), *, quiet: bool = False) -> Session:
    """The services; what is waited for is told on standard error."""
    console = progress_console()
    say: Callable[[str], None] = console.print
    if quiet and not console.is_terminal:
        say = _unsaid
    return open_session(Settings.from_environment(), frameworks=frameworks, say=say)


def open_to_train(prepared: PreparedExperiment, *, quiet: bool) -> Session:
    """The services for an experiment's runs.

    Raises NoWorkerError for a GPU job on the local stack, before anything is started for it.
    """
    on_gpu = [framework for framework, run in prepared.runs.items() if run.job.device == "cuda"]
    if on_gpu and Settings.from_environment().redis_url is None:
        raise NoWorkerError(
            f"device is cuda for {' and '.join(on_gpu)}, and the local stack trains on the CPU only; use "
            "device: auto, or set LIKEWISE_REDIS_URL to the Redis of workers on a GPU host"
        )
    return open_for(tuple(prepared.runs), quiet=quiet)


def submit_prepared(
    session: Session, prepared: PreparedExperiment, *, queue_anyway: bool, key: str | None
) -> ExperimentRecord:
    """Put the experiment's runs on the queue."""
    return submit(
        prepared.loaded.experiment,
        prepared.runs,
        ledger=session.ledger,
        blobs=session.blobs,
        app=session.app,
        queue_anyway=queue_anyway,
        key=key,
    )


def follow_to_end(session: Session, record: ExperimentRecord, *, quiet: bool) -> None:
    """Show progress until every run is final."""
    with board(record.experiment.frameworks, progress_console(), quiet=quiet) as shown:
        for update in follow(record, ledger=session.ledger, client=session.client):
            shown.apply(update)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A comparison, that of its float64 twin, and each framework's run, in the experiment's order.

    A run has all of its framework's seeds, however they were spread over workers.
    """

    comparison: Comparison
    runs: tuple[Run, ...]
    twin: Comparison | None = None


def with_twin(  # noqa: PLR0913 - what is trained, and how it is told
    session: Session,
    record: ExperimentRecord,
    outcome: Outcome,
    *,
    quiet: bool,
    full: bool = False,
    rerun: bool = False,
) -> Outcome:
    """The outcome with what the float64 twin says and, with `rerun`, each framework's own rerun.

    Both are trained where they tell more, at once.
    """
    say: Callable[[str], None] = _unsaid if quiet else progress_console().print
    seconds, left_s = twin.cost_s(outcome.comparison), twin.BUDGET_S
    submitted = []
    if outcome.comparison.twin is None and twin.tells_more(outcome.comparison):
        if seconds > left_s:
            say(f"the float64 twin is left out: it would train for about {seconds:,.0f} s more")
        else:
            say("once more in float64, to tell rounding from a real difference")
            submitted.append(twin.submit_twin(record, outcome.runs, ledger=session.ledger, app=session.app))
            left_s -= seconds
    if rerun and not outcome.comparison.noise_floor and twin.rerun_tells_more(outcome.comparison):
        if seconds > left_s:
            say(f"the rerun is left out: it would train for about {seconds:,.0f} s more")
        else:
            say("once more as it was, to see how far a framework's own numbers move")
            submitted.append(twin.submit_rerun(record, outcome.runs, ledger=session.ledger, app=session.app))
    if not submitted:
        return outcome
    for other in submitted:
        follow_to_end(session, other, quiet=quiet)
    return outcome_of(session, still_wanted(record, ledger=session.ledger), full=full)


def with_trace(
    session: Session, record: ExperimentRecord, outcome: Outcome, *, quiet: bool, full: bool = False
) -> Outcome:
    """The outcome with where the frameworks part; replays them traced where that tells more."""
    if not trace.tells_more(outcome.comparison):
        return outcome
    say: Callable[[str], None] = _unsaid if quiet else progress_console().print
    say("replaying step by step, to find where they part")
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
    """Collect what is finished, of the float64 twin and the replays too, and compare it.

    Of many seeds only one is told with its curves and arrays, unless `full`.
    """
    twin_id = record.related.get("twin")
    other = session.ledger.experiment(twin_id) if twin_id else None
    twin_comparison = outcome_of(session, other).comparison if other else None
    runs = one_a_framework(session.ledger.runs(record.run_ids))
    results = collect(record, app=session.app, ledger=session.ledger)
    comparison = compare(
        record,
        {run.framework: run.job for run in runs},
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
    """What is finished of an experiment that belongs to another; nothing where there is none."""
    record = session.ledger.experiment(experiment_id) if experiment_id else None
    return collect(record, app=session.app, ledger=session.ledger) if record else []


def finish(
    session: Session, outcome: Outcome, *, as_json: bool, page: Path | None = None, full: bool = False
) -> Comparison:
    """Write the page where one is wanted, print."""
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


def check_page_path(path: Path | None) -> None:
    """Refuse a page that could not be written, before anything is trained."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file, such as {path / 'report.html'}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.absolute().parent}")


def exit_status(comparison: Comparison, *, check: bool) -> int:
    """What the command ends with."""
    if comparison.failed:
        return RUN_FAILED
    return NOT_IN_AGREEMENT if check and comparison.verdict != "agree" else 0


def verdict_word(session: Session, record: ExperimentRecord) -> str | None:
    """The verdict of a finished experiment, as it was kept or, for the first time, made.

    None of a sweep, which has one for each point, or where the results cannot be read any more.
    """
    if record.verdict is not None or record.experiment.grid:
        return record.verdict
    with suppress(LikewiseError):
        return outcome_of(session, record).comparison.verdict
    return None


def seed_list(given: str) -> tuple[int, ...]:
    """The seeds that `--seeds` names: a count, or a list. Raises UsageError."""
    text = _seeds(given)
    listed = tuple(map(int, text.strip("[]").split(",")))
    found = listed if text.startswith("[") else tuple(range(listed[0]))
    if not found or len(set(found)) < len(found):
        raise UsageError(f"--seeds is {given!r}: give one seed or more, each once")
    return found


def _seeds(given: str) -> str:
    """`5` or `0,1,7` as the job file has them. Raises UsageError."""
    words = [word.strip() for word in given.split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise UsageError(f"--seeds is {given!r}: give a count, such as 5, or a list, such as 0,1,7")
    return words[0] if "," not in given else f"[{', '.join(words)}]"


def _unsaid(_: str) -> None:
    pass
