"""One machine for every experiment: plan, submit, follow, judge, follow up.

    prepare_given    the job file, its settings and its data, as runs that can be queued
    open_to_train    the services for them
    submit_prepared  the runs on the queue
    follow_to_end    progress on standard error until every run is final
    judge            what came of it: the comparison
    follow_up        further trainings that the comparison asks for, and the comparison with them

What to train further is declared as data, by the plans of `producer.follow_ups` and `producer.replay`.

What a verdict needs is imported when it is needed, or by `get_ready` while the runs train: importing it takes
about as long as they do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from likewise.producer.follow_ups import FollowUpPlan, Judged
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.prepare import PreparedExperiment, prepare_experiment
from likewise.producer.runs.submit import FollowUp, submit, submit_follow_up
from likewise.producer.session import Session, open_session
from likewise.shared.errors import LikewiseError, NoWorkerError, UsageError
from likewise.shared.settings import Settings

if TYPE_CHECKING:
    from likewise.shared.ledger.records import ExperimentRecord
    from likewise.shared.results.run_result import RunResult
    from likewise.shared.run import Run

RUN_FAILED = 3
"""The exit status of a command one of whose own runs failed."""
INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended."""


def prepare_given(
    spec: str, set_values: Sequence[str], seeds: str | None, sides: str | None = None
) -> PreparedExperiment:
    """Read a job file with its `--set`, `--seeds` and `--sides`, resolve it and load its data."""
    loaded = read_experiment(spec, with_seeds(set_values, seeds), sides)
    if loaded.experiment.grid:
        raise UsageError(f"{loaded.source} has a grid of settings; likewise sweep trains it")
    prepared = prepare_experiment(loaded)
    for sentence in prepared.advice:
        say(f"note: {sentence}")
    return prepared


def with_seeds(set_values: Sequence[str], seeds: str | None) -> list[str]:
    """Return the settings of `--set` and of `--seeds`. Raises UsageError."""
    return [*set_values, *([f"seeds={_seeds(seeds)}"] if seeds is not None else [])]


def seed_list(given: str) -> tuple[int, ...]:
    """Return the seeds that `--seeds` names: a count, or a list. Raises UsageError."""
    text = _seeds(given)
    listed = tuple(map(int, text.strip("[]").split(",")))
    found = listed if text.startswith("[") else tuple(range(listed[0]))
    if not found or len(set(found)) < len(found):
        raise UsageError(f"--seeds is {given!r}: give one seed or more, each once")
    return found


def _seeds(given: str) -> str:
    """Return `5` or `0,1,7` as the job file has them; `7,` is a list of one. Raises UsageError."""
    words = [word.strip() for word in given.removesuffix(",").split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise UsageError(
            f"--seeds is {given!r}: give a count, such as 5, or a list, such as 0,1,7; 7, is seed 7 alone"
        )
    return words[0] if "," not in given else f"[{', '.join(words)}]"


def open_for(environments: Sequence[str] = (), *, quiet: bool = False) -> Session:
    """Open the services; what is waited for is told, with `quiet` on a terminal alone."""
    return open_session(
        Settings.from_environment(),
        environments=environments,
        say=teller(quiet=quiet),
    )


def say(line: str, *, only_to_a_terminal: bool = False) -> None:
    """Print a line of progress on standard error."""
    from likewise.producer.console import progress_console

    console = progress_console()
    if console.is_terminal or not only_to_a_terminal:
        console.print(line)


def teller(*, quiet: bool) -> Callable[[str], None]:
    """Return a way to say a line; with `quiet` it says it on a terminal alone."""
    return partial(say, only_to_a_terminal=quiet)


def open_to_train(prepared: PreparedExperiment, *, quiet: bool) -> Session:
    """Open the services for an experiment's runs.

    Raises NoWorkerError for a GPU job on the local stack, before anything is started for it.
    """
    on_gpu = [side for side, run in prepared.runs.items() if run.job.device == "cuda"]
    if on_gpu and Settings.from_environment().redis_url is None:
        raise NoWorkerError(
            f"device is cuda for {' and '.join(on_gpu)}, and the local stack trains on the CPU only; use "
            "device: auto, or set LIKEWISE_REDIS_URL to the Redis of workers on a GPU host"
        )
    return open_for(prepared.loaded.experiment.environments_needed, quiet=quiet)


def submit_prepared(
    session: Session, prepared: PreparedExperiment, *, queue_anyway: bool, key: str | None
) -> ExperimentRecord:
    """Put the experiment's runs on the queue."""
    return submit(session, prepared.loaded.experiment, prepared.runs, queue_anyway=queue_anyway, key=key)


def submit_follow_ups(
    session: Session,
    record: ExperimentRecord,
    wanted: Sequence[FollowUp],
    *,
    tell: Callable[[str], None] | None = None,
) -> dict[str, ExperimentRecord]:
    """Put follow-ups of an experiment on the queue; return their records by relation.

    `tell` is told what each announces. Raises CancelledError where the experiment was cancelled.
    """
    submitted = {}
    for one in wanted:
        submitted[one.relation] = submit_follow_up(session, record, one)
        if tell is not None and one.announcement is not None:
            tell(one.announcement)
    return submitted


def follow_to_end(session: Session, *records: ExperimentRecord, quiet: bool) -> None:
    """Show the progress of experiments that train at the same time, in turn, until every run is final."""
    from likewise.producer.console import progress_console
    from likewise.producer.live import board
    from likewise.producer.runs.follow import follow

    for one in records:
        with board(one.experiment.labels, progress_console(), runs=len(one.run_ids), quiet=quiet) as shown:
            for update in follow(one, ledger=session.ledger, client=session.client):
                shown.apply(update)


def get_ready(record: ExperimentRecord) -> None:
    """Import what the verdict will need, while the runs train and it costs no time."""
    import likewise.producer.compare
    import likewise.producer.replay  # noqa: F401

    if len(record.experiment.seed_list) > 1:
        import scipy.special  # noqa: F401


def judge(session: Session, record: ExperimentRecord, *, known: Judged | None = None) -> Judged:
    """Collect what is finished, also of the follow-ups, and compare it.

    `known` is what came of the experiment before: only what was trained since is collected, and only what
    that changes is computed.
    """
    from likewise.producer.compare import Background, basis_of
    from likewise.producer.replay import traced_of
    from likewise.producer.runs.results import merged, one_a_side, results_of
    from likewise.producer.verdict.side_runs import side_runs

    again: Sequence[RunResult] = ()
    if known is None or not known.finished:
        results = results_of(session, record)
        finished = len(results) == len(record.run_ids)
        sides = side_runs(record.experiment, merged(results), session.blobs.get)
        runs = one_a_side(session.ledger.runs(record.run_ids))
        basis, twin = None, None
    else:
        finished, sides, runs = True, known.comparison.runs, known.runs
        basis, twin, again = known.basis, known.twin, known.again
    if twin is None and (other := _related(session, record, "twin")) is not None:
        basis, twin = None, judge(session, other)
    if not again and (other := _related(session, record, "rerun")) is not None:
        basis, again = None, results_of(session, other)
    if basis is None:
        background = Background(
            data_shapes={run.side: run.dataset.train.x.shape for run in runs},
            twin=twin.comparison if twin else None,
            again=again,
        )
        jobs = {run.side: run.job for run in runs}
        basis = basis_of(record, jobs, sides, session.blobs.get, background=background)
    replays = _replays(session, record)
    comparison = basis.comparison(traced_of(record.experiment, replays, session.blobs.get))
    if finished:
        session.ledger.keep_verdict(record.experiment_id, comparison.verdict)
    return Judged(
        record=record,
        comparison=comparison,
        basis=basis,
        runs=runs,
        finished=finished,
        arrays=session.blobs.get,
        twin=twin,
        again=again,
    )


def verdict_word(session: Session, record: ExperimentRecord) -> str | None:
    """Return the verdict of a finished experiment: the one that was kept, or else one made now.

    None for a sweep, which has a verdict for each point, and where the results cannot be read any more.
    """
    if record.verdict is not None or record.experiment.grid:
        return record.verdict
    with suppress(LikewiseError):
        return judge(session, record).comparison.verdict
    return None


def follow_up(
    session: Session,
    outcome: Judged,
    plan: Callable[[Judged, Callable[[str], None]], FollowUpPlan],
    *,
    quiet: bool,
) -> Judged:
    """Train what the plan asks for, as long as it asks, and return the outcome with what that says.

    The plan gets the outcome and a way to say a line. What it yields together trains at the same time.
    Raises CancelledError where the experiment is cancelled meanwhile.
    """
    from likewise.producer.runs.results import trained_of
    from likewise.producer.runs.submitted import still_wanted

    tell = _unsaid if quiet else say
    asking = plan(outcome, tell)
    wanted = next(asking, None)
    if wanted is None:
        return outcome
    while wanted is not None:
        submitted = submit_follow_ups(session, outcome.record, wanted, tell=tell)
        follow_to_end(session, *submitted.values(), quiet=quiet)
        try:
            wanted = asking.send(
                {relation: trained_of(session, record) for relation, record in submitted.items()}
            )
        except StopIteration:
            wanted = None
    record = still_wanted(outcome.record, ledger=session.ledger)
    return judge(session, record, known=outcome)


def _related(session: Session, record: ExperimentRecord, relation: str) -> ExperimentRecord | None:
    """Return the experiment that belongs to another under a relation, where there is one."""
    experiment_id = record.related.get(relation)
    return session.ledger.experiment(experiment_id) if experiment_id else None


def _replays(session: Session, record: ExperimentRecord) -> list[tuple[Run, RunResult]]:
    """Return the finished replays of an experiment with their results, in the order they were trained."""
    from likewise.producer.replay import RELATIONS
    from likewise.producer.runs.results import trained_of

    replayed = [_related(session, record, relation) for relation in RELATIONS]
    return [one for other in replayed if other is not None for one in trained_of(session, other)]


def _unsaid(_: str) -> None:
    """Take a line and say nothing."""


@contextmanager
def cancelling(session: Session, record: ExperimentRecord) -> Iterator[None]:
    """Let Ctrl-C cancel the experiment with all that belongs to it; another one leaves at once."""
    try:
        yield
    except KeyboardInterrupt:
        say(_cancelled(session, record))
        sys.exit(INTERRUPTED)


@contextmanager
def leaving(record: ExperimentRecord) -> Iterator[None]:
    """Let Ctrl-C end the command and leave the trainings alone."""
    try:
        yield
    except KeyboardInterrupt:
        name = record.experiment_id
        say(f"{name} goes on; likewise cancel {name} ends it")
        sys.exit(INTERRUPTED)


def _cancelled(session: Session, record: ExperimentRecord) -> str:
    """Cancel, and say in one line what becomes of the runs."""
    from likewise.producer.runs.submitted import cancel

    name = record.experiment_id
    try:
        cancel(name, ledger=session.ledger)
    except KeyboardInterrupt:
        return f"interrupted again: runs of {name} may go on; likewise cancel {name} ends them"
    return f"interrupted: the runs of {name} are cancelled"
