"""What `import likewise` offers, and what the command line is built on: one function for each command.

A job is the name of a file or of an example, a dict as a job file has it, or an `Experiment`. What a command
takes as options the functions take by name, and an error is a `LikewiseError` with the command's sentence.
Longer than 400 lines: all that Python is offered is read in one place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from likewise.producer.job.jobfile import Spec, names_a_port, names_an_experiment
from likewise.producer.results import (
    BenchResult,
    ComparisonResult,
    ExplanationResult,
    PortResult,
    PortTrainingResult,
    Result,
    SweepResult,
    result_of,
)
from likewise.producer.runs.submit import Request
from likewise.shared.errors import UsageError

if TYPE_CHECKING:
    from likewise.producer.golden import Golden
    from likewise.producer.job.prepare import PreparedExperiment
    from likewise.producer.session import Session
    from likewise.shared.job.experiment import Execution
    from likewise.shared.ledger.records import ExperimentRecord, Kind
    from likewise.shared.names import Priority

Job = Spec | Path


class JobOptions(TypedDict, total=False):
    """What every function that trains a job takes beside it."""

    set: Mapping[str, Any] | Sequence[str]
    """Settings to change: values by path, or `path=value` each."""
    seeds: int | str | Sequence[int] | None
    """How many seeds, or which."""
    sides: str | Mapping[str, Any] | None
    """Who trains it: as `--sides` has it, or each side's fields by label."""
    tags: Sequence[str]
    note: str
    priority: Priority
    queue_anyway: bool
    quiet: bool
    """Whether to say nothing of the progress, unless on a terminal."""


class CompareOptions(JobOptions, total=False):
    """The options of `compare`, which trains the sides and judges them."""

    key: str | None
    twin: bool
    trace: bool
    against: str | Path | None
    """The file of a golden result that it is held against."""


class SubmitOptions(JobOptions, total=False):
    """The options of `submit`, which puts runs on their queues."""

    key: str | None


class ExplainOptions(JobOptions, total=False):
    """The options of `explain`, which trains with the settings that differ."""

    side: str | None
    combinations: int
    budget_s: float


class BenchOptions(JobOptions, total=False):
    """The options of `bench`, which times the sides."""

    variants: Sequence[Execution]
    budget_s: float
    precision: float
    """Half of every interval is wanted so narrow, relative to its median: 0.02 is 2 %."""
    host: str | None
    twin: bool


class SweepOptions(JobOptions, total=False):
    """The options of `sweep`, which trains every combination of a grid."""

    full: bool


def compare(job: Job, **options: Unpack[CompareOptions]) -> ComparisonResult | PortTrainingResult:
    """Train a job in every side and return whether they agree, and why not. Raises LikewiseError.

    A job may also be a port.yaml, whose two programs are trained.
    """
    from likewise.producer import experiments

    if names_a_port(job):
        from likewise.producer.porting import trained

        return trained(str(job), options)
    asked = _Asked.of("comparison", options, CompareOptions)
    against = options.get("against")
    pinned = None if against is None else _pinned(Path(against))
    prepared = asked.prepared(job)
    if pinned is not None and against is not None:
        pinned.check_alike(prepared.loaded.experiment, Path(against))
    with _open(experiments.open_to_train(prepared, quiet=asked.quiet)) as session:
        record = experiments.submit_prepared(session, prepared, asked.request)
        trace = options.get("trace", True) and pinned is None
        outcome = experiments.compare_to_end(
            session, record, quiet=asked.quiet, twin=options.get("twin", True), trace=trace
        )
        since = None
        if pinned is not None and not outcome.comparison.failed:
            from likewise.producer.golden import since as since_pinned

            since = since_pinned(session, pinned, outcome)
        return ComparisonResult(outcome, session, since)


def _pinned(path: Path) -> Golden:
    from likewise.producer.golden import read_golden

    return read_golden(path)


@dataclass(frozen=True, kw_only=True)
class Queued:
    """An experiment that was put on the queue."""

    experiment_id: str

    def follow(self, *, quiet: bool = False) -> Result:
        """Wait for its end, and return what came of it."""
        return follow(self.experiment_id, quiet=quiet)


def submit(job: Job, **options: Unpack[SubmitOptions]) -> Queued:
    """Put a job on the queue and do not wait. Raises LikewiseError."""
    from likewise.producer import experiments

    asked = _Asked.of("comparison", options, SubmitOptions, priority="low")
    prepared = asked.prepared(job)
    with experiments.open_to_train(prepared, quiet=asked.quiet) as session:
        record = experiments.submit_prepared(session, prepared, asked.request)
    return Queued(experiment_id=record.experiment_id)


def follow(experiment: str = "last", *, quiet: bool = False) -> Result:
    """Wait for the end of an experiment, and return what came of it. Raises LikewiseError."""
    from likewise.producer import experiments
    from likewise.producer.runs.submitted import find_kept
    from likewise.shared.ledger.records import ExperimentRecord

    with _open(experiments.open_for(quiet=quiet)) as session:
        record = find_kept(session.ledger, experiment)
        if isinstance(record, ExperimentRecord):
            experiments.follow_to_end(session, record, quiet=quiet)
        there = record.kind in ("comparison", "sweep") or record.kind in record.findings
        return result_of(session, record, kind=None if there else "comparison", quiet=quiet)


def get(experiment: str = "last", *, kind: Kind | None = None) -> Result:
    """Return what came of a finished experiment, by its id, its beginning or `last`. Raises LikewiseError."""
    from likewise.producer import experiments
    from likewise.producer.runs.submitted import find_kept

    with _open(experiments.open_for(quiet=True)) as session:
        record = find_kept(session.ledger, experiment)
        if not all(run.final for run in session.ledger.records(record.run_ids)):
            raise UsageError(f"{record.experiment_id} is still running; likewise.follow waits for its end")
        return result_of(session, record, kind=kind, quiet=True)


def explain(job: Job, **options: Unpack[ExplainOptions]) -> ExplanationResult:
    """Say which settings make the sides differ, and how much each does. Raises LikewiseError.

    A job may also be the id of an experiment that was trained, or a port.yaml, whose second program is given
    the settings of the first.
    """
    from likewise.producer import experiments
    from likewise.producer.explaining import Question, enough_seeds, explain_experiment, others_of

    if names_a_port(job):
        from likewise.producer.porting import explained

        return explained(str(job), options)
    asked = _Asked.of("explanation", options, ExplainOptions)
    side, seeds = options.get("side"), asked.seeds
    record = asked.trained_before(job)
    if record is not None:
        session = experiments.open_for(record.experiment.environments_needed, quiet=asked.quiet)
    else:
        prepared = asked.prepared(job)
        if seeds is None:
            prepared = _with_seeds(prepared, enough_seeds(prepared.loaded.experiment.seed_list))
        others_of(prepared.loaded.experiment, side)
        session = experiments.open_to_train(prepared, quiet=asked.quiet)
    with _open(session):
        if record is not None:
            session.ledger.allow_more(record.experiment_id)  # whoever names it anew wants more of it
        else:
            record = experiments.submit_prepared(session, prepared, asked.request)
        trained = enough_seeds(record.experiment.seed_list) if seeds is None else experiments.seed_list(seeds)
        question = Question(
            others=others_of(record.experiment, side),
            seeds=trained,
            most_combined=options.get("combinations", 4),
            budget_s=options.get("budget_s", 300),
        )
        with experiments.cancelling(session, record, goes_on_by="explain"):
            found = explain_experiment(
                session, record, question, queue_anyway=asked.request.queue_anyway, quiet=asked.quiet
            )
        return ExplanationResult(found, session)


def bench(job: Job, **options: Unpack[BenchOptions]) -> BenchResult:
    """Time a job in every side, in turns on an otherwise idle host. Raises LikewiseError.

    A job may also be the id of an experiment that was trained; a bench that was interrupted goes on. And it
    may be a port.yaml, whose two programs are timed as they are written.
    """
    from likewise.producer import benching, experiments
    from likewise.producer.bench.protocol import in_ways
    from likewise.producer.runs.routing import Need

    if names_a_port(job):
        from likewise.producer.porting import timed

        return timed(str(job), options)
    asked = replace(_Asked.of("bench", options, BenchOptions), seeds="1")
    timing = benching.Timing(
        ways=tuple(options.get("variants", ())),
        budget_s=options.get("budget_s", 60),
        precision=options.get("precision", 0.02),
        host=options.get("host"),
        twin=options.get("twin", True),
    )
    record = asked.trained_before(job)
    if record is not None:
        session = experiments.open_for(record.experiment.environments_needed, quiet=asked.quiet)
    else:
        prepared = asked.prepared(job)
        in_ways(prepared.loaded.experiment, timing.ways)
        session = experiments.open_to_train(prepared, quiet=asked.quiet)
    with _open(session):
        if record is not None:
            needs = [*map(Need.of_run, session.ledger.runs(record.run_ids))]
            sites = benching.find_sites(session, needs, timing)
            session.ledger.allow_more(record.experiment_id)  # whoever names it anew wants more of it
        else:
            needs = [Need.of_side(run.side, run.job) for run in prepared.runs.values()]
            sites = benching.find_sites(session, needs, timing)
            record = experiments.submit_prepared(session, prepared, asked.request)
        with experiments.cancelling(session, record, goes_on_by="bench"):
            found = benching.bench_experiment(session, record, timing, sites, quiet=asked.quiet)
        return BenchResult(found, session)


def sweep(
    job: Job, grid: Mapping[str, Sequence[Any]] | Sequence[str] = (), **options: Unpack[SweepOptions]
) -> SweepResult:
    """Train a job at every point of a grid, and return one table. Raises LikewiseError.

    `grid` has the values of each setting by its path; `path=value,value` each will do, too.
    """
    from likewise.producer import experiments
    from likewise.producer.sweep.runs import prepare_sweep, submit_sweep, swept

    asked = _Asked.of("sweep", options, SweepOptions, priority="low")
    lines = grid
    if isinstance(grid, Mapping):
        lines = [f"{path}={json.dumps(list(values))[1:-1]}" for path, values in grid.items()]
    prepared = prepare_sweep(_spec(job), asked.settings, [*lines], asked.sides)
    with _open(experiments.open_to_train(prepared.first, quiet=asked.quiet)) as session:
        record = submit_sweep(session, prepared, asked.request)
        with experiments.cancelling(session, record):
            experiments.follow_to_end(session, record, quiet=asked.quiet)
        tell = experiments.teller(quiet=asked.quiet)
        return SweepResult(swept(session, record, tell=tell, full=options.get("full", False)), session)


def port(
    *programs: str | Path | Sequence[str | Path],
    batch: str | Path | None = None,
    until: str | None = None,
    tags: Sequence[str] = (),
    note: str = "",
    quiet: bool = False,
) -> PortResult:
    """Check two programs of your own against each other, rung by rung. Raises LikewiseError.

    `programs` are a port.yaml, or two such as `keras_code.py:build` and `torch_code.py:Net`; a list of two
    will do.
    """
    from likewise.producer.porting import checked

    named = [one for given in programs for one in ([given] if isinstance(given, str | Path) else given)]
    return checked(
        [str(one) for one in named], batch, until=until, options={"tags": tags, "note": note, "quiet": quiet}
    )


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """It holds what is asked for beside a job, as the command line would have it."""

    set_values: tuple[str, ...]
    seeds: str | None
    sides: str | Mapping[str, Any] | None
    request: Request
    quiet: bool

    @classmethod
    def of(
        cls, kind: Kind, options: Mapping[str, Any], known: type, *, priority: Priority = "normal"
    ) -> _Asked:
        """Read the options of a function. Raises TypeError for one that it does not have."""
        names = {*JobOptions.__annotations__, *known.__annotations__}
        if unknown := [name for name in options if name not in names]:
            raise TypeError(f"there is no option {unknown[0]!r}; there are {', '.join(sorted(names))}")
        given = options.get("set") or ()
        if isinstance(given, Mapping):
            given = [f"{path}={json.dumps(value)}" for path, value in given.items()]
        seeds = options.get("seeds")
        if seeds is not None and not isinstance(seeds, str):
            seeds = str(seeds) if isinstance(seeds, int) else f"{','.join(map(str, seeds))},"
        return cls(
            set_values=tuple(given),
            seeds=seeds,
            sides=options.get("sides"),
            request=Request(
                kind=kind,
                tags=tuple(options.get("tags", ())),
                note=options.get("note", ""),
                priority=options.get("priority", priority),
                key=options.get("key"),
                queue_anyway=options.get("queue_anyway", False),
            ),
            quiet=options.get("quiet", False),
        )

    @property
    def settings(self) -> list[str]:
        """Return the settings to change, the seeds among them."""
        from likewise.producer.experiments import with_seeds

        return with_seeds(self.set_values, self.seeds)

    def prepared(self, job: Job) -> PreparedExperiment:
        """Return a job with what is asked for, ready to train."""
        from likewise.producer.experiments import prepare_given

        return prepare_given(_spec(job), self.set_values, self.seeds, self.sides)

    def trained_before(self, job: Job) -> ExperimentRecord | None:
        """Return the experiment that is named instead of a job; None for a job.

        Raises UsageError where it would be trained otherwise than it was, and for a sweep.
        """
        if not isinstance(job, str) or not names_an_experiment(job):
            return None
        from likewise.producer import experiments
        from likewise.producer.runs.submitted import find

        given = {"--tag": self.request.tags, "--note": self.request.note}
        if label := next((option for option, value in given.items() if value), None):
            raise UsageError(
                f"{label} is for what is submitted; likewise label {job} {label} labels this one"
            )
        if self.sides is not None or self.set_values:
            changed = "--sides" if self.sides is not None else "--set"
            raise UsageError(f"{changed} changes a job file; an experiment that was trained stays as it is")
        with experiments.open_for(quiet=self.quiet) as session:
            record = find(session.ledger, job)
        if record.experiment.grid:
            name = record.experiment_id
            raise UsageError(f"{name} is a sweep; name one of its points as a job, with --set")
        return record


def _spec(job: Job) -> Spec:
    return str(job) if isinstance(job, Path) else job


def _with_seeds(prepared: PreparedExperiment, seeds: tuple[int, ...]) -> PreparedExperiment:
    experiment = prepared.loaded.experiment.model_copy(update={"seeds": seeds})
    return replace(prepared, loaded=replace(prepared.loaded, experiment=experiment))


@contextmanager
def _open(session: Session) -> Iterator[Session]:
    """Leave a session open for the result that is made of it, and close it where none is."""
    try:
        yield session
    except BaseException:
        session.close()
        raise
