"""One machine for every experiment: plan, submit, follow, judge, follow up.

    prepare_given    the job file, its settings and its data, as runs that can be queued
    open_to_train    the services for them
    submit_prepared  the runs on the queue
    follow_to_end    progress on standard error until every run is final
    judge            what came of it: the comparison
    followed_up      the comparison with what its verdict needs to have trained further
    compare_to_end   the last three, for a command that waits
    carry_out        further trainings that a plan asks for: submitted, followed, collected, told to the plan
    follow_up        the same for a plan of a comparison, and the comparison with what they say

What to train further is declared as data, by the plans that `producer.follow_ups` names.

What a verdict needs is imported when it is needed, or by `get_ready` while the runs train: importing it takes
about as long as they do.
Longer than 400 lines: what every experiment goes through is read in order, in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic

from likewise.producer.data.prepare import before_storing
from likewise.producer.data.reading import before_reading
from likewise.producer.follow_ups import Answer, Finished, FollowUpPlan, Judged, Submitted
from likewise.producer.job.jobfile import Spec, names_a_port, read_experiment
from likewise.producer.job.prepare import PreparedExperiment, prepare_experiment
from likewise.producer.runs.submit import FollowUp, Request, submit, submit_follow_up
from likewise.producer.session import Session, open_session
from likewise.shared.errors import (
    InterruptedByUserError,
    LikewiseError,
    NoWorkerError,
    ServiceError,
    UsageError,
)
from likewise.shared.limits import Limits
from likewise.shared.settings import Settings

if TYPE_CHECKING:
    from likewise.producer.live import Board
    from likewise.producer.runs.results import FinishedRuns
    from likewise.shared.ledger.records import ExperimentRecord, KeptRecord

ComparisonPlan = Callable[[Judged, Callable[[str], None]], FollowUpPlan[None]]
"""Plans follow-ups of a comparison; it gets what is known so far, and a way to say a line."""
Show = Callable[["ExperimentRecord"], AbstractContextManager["Board"]]
"""Opens what shows the progress of an experiment while it is followed."""


def prepare_given(
    spec: Spec, set_values: Sequence[str], seeds: str | None, sides: str | Mapping[str, Any] | None = None
) -> PreparedExperiment:
    """Read a job file with its `--set`, `--seeds` and `--sides`, resolve it and load its data."""
    if names_a_port(spec):
        raise UsageError(
            f"{spec} has programs and no declared model, which this command needs; likewise compare trains "
            "them, and likewise port check names each cause"
        )
    loaded = read_experiment(spec, with_seeds(set_values, seeds), sides)
    if loaded.experiment.grid:
        raise UsageError(f"{loaded.source} has a grid of settings; likewise sweep trains it")
    if line := before_reading(loaded.experiment.data, loaded.base):
        say(line)
    prepared = prepare_experiment(loaded, limits=Limits.of(Settings.from_environment()))
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

    Raises NoWorkerError for a device that the local stack cannot have, before anything is started for it.
    """
    if Settings.from_environment().redis_url is None:
        from likewise.producer.local.devices import missing

        by_device: dict[str, list[str]] = {}
        for side, run in prepared.runs.items():
            if run.job.device != "auto":
                by_device.setdefault(run.job.device, []).append(side)
        for device, names in by_device.items():
            if (reason := missing(device)) is not None:
                raise NoWorkerError(
                    f"device is {device} for {' and '.join(names)}, and {reason}; use device: auto, or set "
                    "LIKEWISE_REDIS_URL to the Redis of workers on a host that has it"
                )
    return open_for(prepared.loaded.experiment.environments_needed, quiet=quiet)


def submit_prepared(session: Session, prepared: PreparedExperiment, request: Request) -> ExperimentRecord:
    """Put the experiment's runs on the queue."""
    if line := before_storing(run.data for run in prepared.runs.values()):
        say(line)
    return submit(session, prepared.loaded.experiment, prepared.runs, request)


def compare_to_end(
    session: Session, record: ExperimentRecord, *, quiet: bool, twin: bool = True, trace: bool = True
) -> Judged:
    """Follow an experiment to its end, judge it, and follow up what the verdict needs.

    `twin` trains again in float64 and as it was; `trace` replays step by step and switches settings. Ctrl-C
    cancels the trainings.
    """
    with cancelling(session, record):
        get_ready(record)
        import likewise.producer.report.comparison  # noqa: F401  # while the runs train

        follow_to_end(session, record, quiet=quiet)
        return followed_up(session, judge(session, record), quiet=quiet, twin=twin, trace=trace)


def followed_up(
    session: Session, outcome: Judged, *, quiet: bool, twin: bool = True, trace: bool = True
) -> Judged:
    """Train what the verdict of a comparison that has ended needs, unless that was done before."""
    from likewise.producer import follow_ups, replay

    if twin:
        outcome = follow_up(session, outcome, follow_ups.twin_and_rerun, quiet=quiet)
        outcome = follow_up(session, outcome, follow_ups.perturbed_twin, quiet=quiet)
    if trace:
        outcome = follow_up(session, outcome, replay.replays, quiet=quiet)
    if trace and outcome.comparison.first_divergences:
        from likewise.producer.blame import causes

        outcome = follow_up(session, outcome, causes.shares, quiet=quiet)
    return outcome


def follow_up_where_possible(
    record: ExperimentRecord, *, quiet: bool, twin: bool = True, trace: bool = True
) -> None:
    """Train what the verdict of an ended comparison needs; where nothing can be trained now, say so."""
    try:
        with open_for(record.experiment.environments_needed, quiet=quiet) as session:
            followed_up(session, judge(session, record), quiet=quiet, twin=twin, trace=trace)
    except ServiceError as error:
        teller(quiet=quiet)(f"note: nothing was trained further for the verdict: {error}")


@dataclass(frozen=True, kw_only=True)
class CarriedOut(Generic[Answer]):
    """It holds what came of a plan that was carried out."""

    answer: Answer
    """What the plan returned."""
    record: ExperimentRecord
    """The experiment that the plan was for, as it stands now."""
    finished: Finished
    """All that was trained, by relation; of several with one relation, the last."""


def carry_out(
    session: Session,
    record: ExperimentRecord,
    plan: FollowUpPlan[Answer],
    *,
    quiet: bool,
    show: Show | None = None,
) -> CarriedOut[Answer]:
    """Train for an experiment what a plan asks for, as long as it asks.

    What it asks for together trains at the same time. `show` opens what shows the progress, a board if it is
    left out. Raises CancelledError where the experiment is cancelled meanwhile.
    """
    from likewise.producer.runs.submitted import still_wanted

    tell, shown = _unsaid if quiet else say, show or _boards(quiet, follows_up=True)
    every: dict[str, FinishedRuns] = {}
    found: Finished | None = None
    while True:
        try:
            wanted = next(plan) if found is None else plan.send(found)
        except StopIteration as end:
            now = still_wanted(record, ledger=session.ledger) if every else record
            return CarriedOut(answer=end.value, record=now, finished=every)
        found = _train(session, record, wanted, tell=tell, show=shown)
        every.update(found)


def _train(
    session: Session,
    parent: ExperimentRecord,
    wanted: Sequence[FollowUp | Submitted],
    *,
    tell: Callable[[str], None],
    show: Show,
) -> Finished:
    """Submit what is wanted, follow it to its end and collect it, by relation."""
    from likewise.producer.runs.results import trained_of

    records, ended = {}, []
    for one in wanted:
        if isinstance(one, Submitted):
            records[one.relation] = one.record
            ended += [one.relation] if one.ended else []
            continue
        records[one.relation] = submit_follow_up(session, parent, one)
        if one.announcement is not None:
            tell(one.announcement)
    _follow(session, [record for relation, record in records.items() if relation not in ended], show)
    finished = {relation: trained_of(session, record) for relation, record in records.items()}
    for one in wanted:
        if isinstance(one, FollowUp) and not one.kept:
            session.ledger.delete(records[one.relation].experiment_id)
    return finished


def follow_to_end(session: Session, *records: ExperimentRecord, quiet: bool) -> None:
    """Show the progress of experiments that train at the same time, in turn, until every run is final."""
    _follow(session, records, _boards(quiet))


def _follow(session: Session, records: Sequence[ExperimentRecord], show: Show) -> None:
    from likewise.producer.runs.follow import follow

    for record in records:
        with show(record) as shown:
            for update in follow(record, ledger=session.ledger, client=session.client):
                shown.apply(update)


def _boards(quiet: bool, *, follows_up: bool = False) -> Show:
    """Return what opens a board for an experiment; with `quiet` it shows something on a terminal alone."""
    from likewise.producer.console import progress_console
    from likewise.producer.live import board

    def show(record: ExperimentRecord) -> AbstractContextManager[Board]:
        sides, runs = record.experiment.labels, len(record.run_ids)
        return board(sides, progress_console(), runs=runs, quiet=quiet, follows_up=follows_up)

    return show


def get_ready(record: ExperimentRecord) -> None:
    """Import what the verdict will need, while the runs train and it costs no time."""
    import likewise.producer.judging  # noqa: F401

    if len(record.experiment.seed_list) > 1:
        import scipy.special  # noqa: F401


def judge(session: Session, record: ExperimentRecord) -> Judged:
    """Collect what is finished, also of the follow-ups, and compare it."""
    from likewise.producer.judging import FOLLOW_UPS, judged
    from likewise.producer.runs.results import trained_of

    own = trained_of(session, record)
    complete = len(own.runs) == len(record.run_ids)
    runs = [run for run, _ in own.runs] if complete else session.ledger.runs(record.run_ids)
    others = {relation: _related(session, record, relation) for relation in FOLLOW_UPS}
    finished = {one: trained_of(session, other) for one, other in others.items() if other is not None}
    return _kept(session, judged(own, runs, finished, session.blobs.get))


def _kept(session: Session, outcome: Judged) -> Judged:
    """Note the verdict of an experiment that has ended, for lists, and return the same."""
    if outcome.ended:
        session.ledger.keep_verdict(outcome.record.experiment_id, outcome.comparison.verdict)
    return outcome


def verdict_word(session: Session, record: KeptRecord) -> str | None:
    """Return the verdict of a finished experiment: the one that was kept, or else one made now.

    None for a sweep, which has a verdict for each point, for an explanation, which asks another question, and
    where the results cannot be read any more.
    """
    from likewise.shared.ledger.records import ExperimentRecord

    if record.verdict is not None or not isinstance(record, ExperimentRecord):
        return record.verdict
    if record.kind in ("sweep", "explanation"):
        return None
    with suppress(LikewiseError):
        return judge(session, record).comparison.verdict
    return None


def follow_up(session: Session, outcome: Judged, plan: ComparisonPlan, *, quiet: bool) -> Judged:
    """Train what the plan asks for, and return the outcome with what that says.

    Raises CancelledError where the experiment is cancelled meanwhile.
    """
    asking = plan(outcome, _unsaid if quiet else say)
    carried = carry_out(session, outcome.record, asking, quiet=quiet)
    if not carried.finished:
        return outcome
    from likewise.producer.judging import judged_again

    return _kept(session, judged_again(outcome, carried.record, carried.finished))


def _related(session: Session, record: ExperimentRecord, relation: str) -> ExperimentRecord | None:
    """Return the experiment that belongs to another under a relation, where there is one."""
    experiment_id = record.related.get(relation)
    return session.ledger.experiment(experiment_id) if experiment_id else None


def _unsaid(_: str) -> None:
    """Take a line and say nothing."""


@contextmanager
def cancelling(
    session: Session, record: ExperimentRecord, *, goes_on_by: str | None = None
) -> Iterator[None]:
    """Let Ctrl-C cancel the experiment with all that belongs to it; another one leaves at once.

    `goes_on_by` is the command that goes on with what was interrupted, once the runs are finished.
    """
    try:
        yield
    except KeyboardInterrupt:
        say(_cancelled(session, record, goes_on_by))
        raise InterruptedByUserError from None


@contextmanager
def leaving(record: ExperimentRecord) -> Iterator[None]:
    """Let Ctrl-C end the command and leave the trainings alone."""
    try:
        yield
    except KeyboardInterrupt:
        name = record.experiment_id
        say(f"{name} goes on; likewise cancel {name} ends it")
        raise InterruptedByUserError from None


def _cancelled(session: Session, record: ExperimentRecord, goes_on_by: str | None) -> str:
    """Cancel, and say in one line what becomes of the runs."""
    from likewise.producer.runs.submitted import cancel

    name = record.experiment_id
    try:
        runs = cancel(name, ledger=session.ledger)
    except KeyboardInterrupt:
        return f"interrupted again: runs of {name} may go on; likewise cancel {name} ends them"
    if any(run.state != "succeeded" for run in runs if run.experiment_id == name):
        return f"interrupted: the runs of {name} are cancelled"
    if goes_on_by is not None:
        return f"interrupted: what was not finished is cancelled; likewise {goes_on_by} {name} goes on"
    return (
        f"interrupted: the runs of {name} are finished, and only what was trained further for its verdict is "
        f"cancelled; likewise show {name} shows it"
    )
