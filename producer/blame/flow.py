"""Explaining on real services: submit what has to be trained, follow it, collect, explain.

The experiment itself is an ordinary one; the mixtures are an experiment that belongs to it. What was
trained before for the same experiment is not trained again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from producer.blame.explain import explain
from producer.blame.measures import Trained
from producer.blame.models import Explanation
from producer.blame.plan import LEAST_SEEDS, identity, plan
from producer.blame.tally import tally
from producer.console import progress_console
from producer.live import board
from producer.queue.cancel import still_wanted
from producer.queue.collect import collect
from producer.queue.follow import follow
from producer.queue.merge import merged
from producer.queue.submit import FollowUp, queue_of, refuse_unserved, submit_follow_up
from producer.session import Session
from producer.verdict.judge import NO_WORD_ON_NUMBERS
from shared.errors import UsageError
from shared.job.experiment import MAX_SEEDS, Experiment
from shared.ledger.records import ExperimentRecord, RunRecord
from shared.run import Run

MIXTURES = "mixtures"
"""What the mixtures are to the experiment they belong to; later ones have a number behind."""


def enough_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """The seeds and, where they are too few for an interval, the smallest others."""
    unused = (seed for seed in range(MAX_SEEDS) if seed not in seeds)
    return (*seeds, *(next(unused) for _ in range(LEAST_SEEDS - len(seeds))))


def explain_experiment(  # noqa: PLR0913
    session: Session,
    record: ExperimentRecord,
    *,
    seeds: Sequence[int],
    other: str | None,
    most_combined: int,
    queue_anyway: bool,
    quiet: bool,
) -> Explanation:
    """Train what is missing and explain. Raises CancelledError where it is cancelled meanwhile."""
    ends = _ends(session, record, other)
    wanted = plan(*ends, seeds=seeds, most_combined=most_combined)
    known = set(_known(session, record, seeds))
    missing = [run for run in wanted.runs() if identity(run) not in known]
    mixtures = _submit(session, record, missing, queue_anyway=queue_anyway) if missing else None
    _follow(session, [record, *([mixtures] if mixtures else [])], quiet=quiet)
    still_wanted(record, ledger=session.ledger)
    trained = dict(_trained(session, record, seeds))
    return explain(
        wanted,
        {identity(run): trained[identity(run)] for run in wanted.runs()},
        session.blobs.get,
        experiment_id=record.experiment_id,
        name=record.experiment.name,
    )


def chosen_other(experiment: Experiment, asked: str | None) -> str:
    """Whose difference from the reference is explained. Raises UsageError where there is no such other."""
    reference, *others = experiment.labels
    if not others:
        raise UsageError(f"only {reference} trains {experiment.name}: there is nothing to explain")
    if asked is not None and asked not in others:
        raise UsageError(f"--side is {asked!r}; it can be {' or '.join(others)}")
    return asked or others[0]


def _ends(session: Session, record: ExperimentRecord, other: str | None) -> tuple[Run, Run]:
    """The reference's run and the other's."""
    runs: dict[str, Run] = {}
    for run in map(session.ledger.run, record.run_ids):
        runs.setdefault(run.side, run)
    chosen = chosen_other(record.experiment, other)
    return runs[record.experiment.labels[0]], runs[chosen]


def _records(session: Session, record: ExperimentRecord) -> Iterator[ExperimentRecord]:
    """The experiment and its mixtures, as they stand now."""
    now = session.ledger.experiment(record.experiment_id) or record
    yield now
    for relation, experiment_id in now.related.items():
        if relation.startswith(MIXTURES) and (found := session.ledger.experiment(experiment_id)):
            yield found


def _known(session: Session, record: ExperimentRecord, seeds: Sequence[int]) -> Iterator[str]:
    """Identities of the runs with all these seeds that are trained or being trained."""
    for one in _records(session, record):
        states = {state.run_id: state for state in session.ledger.records(one.run_ids)}
        for name, runs in _by_identity(session, one).items():
            covered = {seed for run in runs if _tells(states[run.run_id]) for seed in run.seeds}
            if covered.issuperset(seeds):
                yield name


def _by_identity(session: Session, record: ExperimentRecord) -> dict[str, list[Run]]:
    """The record's runs; those that share one training's seeds among them together."""
    found: dict[str, list[Run]] = {}
    for run in map(session.ledger.run, record.run_ids):
        found.setdefault(identity(run), []).append(run)
    return found


def _tells(record: RunRecord) -> bool:
    """Whether a run has, or will have, something to say: unless its surroundings ended it."""
    return record.failure is None or record.failure.reason not in NO_WORD_ON_NUMBERS


def _submit(
    session: Session, record: ExperimentRecord, runs: Sequence[Run], *, queue_anyway: bool
) -> ExperimentRecord:
    """Put the mixtures on the queue, all at once."""
    if not queue_anyway:
        queues = {run.side: queue_of(run.framework, run.job) for run in runs}
        refuse_unserved(queues, session.ledger.workers())
    experiment = record.experiment.model_copy(update={"seeds": runs[0].seeds})
    earlier = sum(1 for _ in _records(session, record)) - 1
    relation = f"{MIXTURES} {earlier + 1}" if earlier else MIXTURES
    wanted = FollowUp(relation=relation, experiment=experiment, runs=runs)
    return submit_follow_up(record, wanted, ledger=session.ledger, app=session.app)


def _follow(session: Session, records: Sequence[ExperimentRecord], *, quiet: bool) -> None:
    """Show progress until every run is final; the experiment itself first, which is first in the queue."""
    console = progress_console()
    first, *rest = records
    with board(first.experiment.labels, console, quiet=quiet) as shown:
        for update in follow(first, ledger=session.ledger, client=session.client):
            shown.apply(update)
    for record in rest:
        with tally("mixtures", len(record.run_ids), console, quiet=quiet) as counted:
            for update in follow(record, ledger=session.ledger, client=session.client):
                counted.apply(update)


def _trained(
    session: Session, record: ExperimentRecord, seeds: Sequence[int]
) -> Iterator[tuple[str, Trained]]:
    """Every run of all these seeds with its result, by identity; the latest last, so that it counts."""
    for one in _records(session, record):
        results = {result.run_id: result for result in collect(one, ledger=session.ledger)}
        for name, runs in _by_identity(session, one).items():
            whole = runs[0].model_copy(update={"seeds": tuple(seed for run in runs for seed in run.seeds)})
            if set(seeds) <= set(whole.seeds):
                (result,) = merged([results[run.run_id] for run in runs]).values()
                yield name, Trained.of(whole, result, session.blobs.get)
