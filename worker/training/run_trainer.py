"""Trains the members of a run: many together in one program where that works, else one after another.

Looks after cancellation, progress, checkpoints and memory peaks around each training, and says in `notes`
why members were not trained together. Members count from 1 in `position`.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from likewise.shared.ledger.records import ProgressEvent
from likewise.shared.limits import DEFAULT_LIMITS, Limits
from likewise.shared.program.together import obstacle
from likewise.shared.results.run_result import Memory
from likewise.shared.results.seed_table import Load
from likewise.shared.results.step_trace import Trace, TraceRequest
from likewise.shared.run import Run
from likewise.worker import counters
from likewise.worker.adapters.base import FrameworkAdapter, UnsupportedError
from likewise.worker.adapters.trainer import State
from likewise.worker.training.checkpoints import Checkpoint, Checkpoints, KeptCheckpoints
from likewise.worker.training.failures import TrainingError, typed
from likewise.worker.training.resources import groups_of
from likewise.worker.training.results import Member, Store, Trained
from likewise.worker.training.samples import RunData
from likewise.worker.training.stock import StockProgram, StockTraining, read_program
from likewise.worker.training.tracing import Tracer
from likewise.worker.training.training import OngoingTraining


@dataclass(frozen=True, kw_only=True)
class RunServices:
    """Holds what a worker does for the run that it trains. What these functions raise passes through."""

    load: Load
    """Fetches an array of the run's."""
    store: Store
    """Stores an array of the result's."""
    report: Callable[[ProgressEvent], None]
    stop_requested: Callable[[], bool]
    checkpoints: KeptCheckpoints | None = None
    """Keeps the run's checkpoints, where it is to have any."""
    checkpoint_s: float = 0.0
    """Seconds between two checkpoints; 0 takes none."""
    limits: Limits = DEFAULT_LIMITS
    """The most that the worker takes on."""
    spent_s: float = 0.0
    """How long earlier attempts have had the run, in seconds."""
    programs: Path | None = None
    """The folder of the programs that the worker may run; None runs none."""


_LEAST_GAP_S = 0.2
"""Blocks last about 0.25 s (`worker.training.blocks`), so that each is told, but many short ones are not."""


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Says where the members from `position` (from 1) on stand, `together` of them."""

    position: int
    together: int
    epoch: int
    epochs: int
    loss: float | None
    validation_loss: float | None
    finished: bool
    done: float
    """How much of their updates is done, from 0 to 1."""
    compiling: bool = False


class Reporter:
    """Sends progress events of one run."""

    def __init__(self, run: Run, send: Callable[[ProgressEvent], None]) -> None:
        self._run = run
        self._members = len(run.seeds) * len(run.optimizers or (None,))
        self._send = send
        self._told_at: float | None = None
        self._samples, self._seconds = 0, 0.0

    def count(self, samples: int, seconds: float) -> None:
        """Note that training on so many samples took so long, for the rate that is told next."""
        self._samples += samples
        self._seconds += seconds

    def tick(self, standing: Standing) -> None:
        """Tell where the run stands, but not often; the run's first and last are always told."""
        now = time.perf_counter()
        last = standing.finished and standing.position + standing.together > self._members
        if (
            self._told_at is not None
            and now - self._told_at < _LEAST_GAP_S
            and not (last or standing.compiling)
        ):
            return
        self._send(
            ProgressEvent(
                run_id=self._run.run_id,
                framework=self._run.framework,
                side=self._run.side,
                seed=self._run.seeds[(standing.position - 1) % len(self._run.seeds)],
                position=standing.position,
                seeds=self._members,
                together=standing.together,
                epoch=standing.epoch,
                epochs=standing.epochs,
                loss=standing.loss,
                validation_loss=standing.validation_loss,
                compiling=standing.compiling,
                samples_per_s=self._samples / self._seconds if self._samples and self._seconds else None,
                done=standing.done,
            )
        )
        self._told_at = now
        self._samples, self._seconds = 0, 0.0


class RunTrainer:
    """Trains one run; afterwards `execution` and `notes` say how."""

    def __init__(
        self,
        run: Run,
        data: RunData,
        adapter: FrameworkAdapter,
        *,
        services: RunServices,
        checkpoints: Checkpoints | None,
        queue_s: float | None,
    ) -> None:
        self._run = run
        self._data = data
        self._adapter = adapter
        self._services = services
        self._reporter = Reporter(run, services.report)
        self._queue_s = queue_s
        self._checkpoints = checkpoints
        self.execution: str | None = None
        """How the framework executed the trainings; None before the first is built."""
        self.notes: list[str] = []
        self._one_by_one = False
        """Whether the members turned out not to train together."""
        self._resumed: State = {}
        """The state that the first training goes on from."""
        self._began_s = time.monotonic()
        self._advanced = False
        """Whether this attempt has trained anything yet."""

    def train(self, members: Sequence[Member], *, after: Checkpoint | None = None) -> Iterator[Trained]:
        """Train each member, in order. Ends after one that failed, unless it merely diverged.

        With a checkpoint, members that were finished in it are left out, and the first of the others goes on
        from the state in it.
        """
        finished = 0
        if after is not None:
            finished, self._resumed = after.so_far.finished, after.training
            self._one_by_one, self.notes = after.so_far.one_by_one, list(after.so_far.notes)
            self._queue_s = after.so_far.queue_s
        position = 1
        for group in self._groups(members):
            done = min(len(group), max(0, finished + 1 - position))  # finished before, of this group
            ended = False
            for trained in self._train_all(group[done:], position + done):
                yield trained
                ended |= trained.failure is not None and trained.failure.reason != "diverged"
            if ended:
                return
            position += len(group)

    def warm_up(self, member: Member) -> None:
        """Compile the programs that the member needs, in a training that is thrown away.

        Raises TrainingError.
        """
        with typed(self._adapter):
            training = self._training([member])
            if not training.compiles:
                return
            while training.compiles and not training.finished:
                self._stop_if_asked(training)
                training.advance(most=1)
            training.conclude()

    def trace(self, request: TraceRequest) -> Trace:
        """Replay the first seed and lay its updates open. Raises TrainingError."""
        self._stop_if_asked()
        if self._run.job.execution == "stock":
            raise TrainingError("unsupported", "a plain program cannot be laid open update by update")
        with typed(self._adapter):
            member = Member(seed=self._run.seeds[0], job=self._run.job)
            training = OngoingTraining([member], data=self._data, adapter=self._adapter)
        self.execution = training.execution

        def tick() -> None:
            self._stop_if_asked(training)
            self._report(training, position=1)

        tracer = Tracer(
            request,
            training,
            adapter=self._adapter,
            load=self._services.load,
            store=self._services.store,
            tick=tick,
        )
        return tracer.run()

    def predict(self, member: Member) -> Trained:
        """Return the outputs that given weights have for the rows of `predict`. Raises TrainingError."""
        self._stop_if_asked()
        with typed(self._adapter):
            training = OngoingTraining([member], data=self._data, adapter=self._adapter)
            self.execution = training.execution
            if self._data.predict is None:
                raise TrainingError("invalid", "The run is to predict, and has no rows to predict")
            predictions = training.outputs_for(self._data.predict, "predict")[0]
        return Trained(member=member, predictions=predictions, hashes=training.hashes())

    def _training(self, group: Sequence[Member]) -> OngoingTraining:
        """Return the training of a group, which has a member alone where a printed program trains it."""
        run = self._run
        if run.job.execution != "stock":
            return OngoingTraining(group, data=self._data, adapter=self._adapter)
        named = run.program_files.get(run.job.precision)
        if named is None:
            raise TrainingError("invalid", f"The run names no program in {run.job.precision}")
        program = StockProgram(
            code=read_program(named, self._services.programs),
            file=named.file,
            own_draws=run.timed is not None,
        )
        return StockTraining(group[0], program, data=self._data, adapter=self._adapter)

    def _groups(self, members: Sequence[Member]) -> Sequence[Sequence[Member]]:
        """Return the groups of members to train together, or one group of all to train in turn."""
        if len(members) == 1:
            return [members]
        if reason := obstacle(self._run.job):
            self._give_up_together(reason)
            return [members]
        groups = groups_of(members, data=self._data)
        if len(groups) == len(members):
            self._give_up_together("two of them at once would take too much memory")
        return groups

    def _train_all(self, group: Sequence[Member], position: int) -> Iterator[Trained]:
        """Train the group at once, or in turn where the adapter cannot or memory does not suffice."""
        if len(group) > 1 and not self._one_by_one:
            at_once = self._train_at_once(group, position)
            if not self._one_by_one:
                yield from at_once
                return
        for place, member in enumerate(group):
            (trained,) = self._train_at_once([member], position + place)
            yield trained
            if trained.failure is not None and trained.failure.reason != "diverged":
                return

    def _train_at_once(self, group: Sequence[Member], position: int) -> list[Trained]:
        """Train the group as one training. Where it turns out not to train together, that is noted."""
        self._keep_checkpoint(position)
        resumed, self._resumed = self._resumed, {}  # the first training alone goes on from it
        held_bytes = counters.reset_peak()
        self._adapter.reset_device_peak()
        training: OngoingTraining | None = None
        trained: list[Trained] = []
        ended: TrainingError | None = None
        passing = UnsupportedError if len(group) > 1 else TrainingError
        try:
            self._stop_if_asked()
            with typed(self._adapter, passing=passing):
                training = self._training(group)
                if resumed:
                    training.load_state(resumed)
            self.execution = training.execution
            self._advance_to_the_end(training, position, passing=passing)
            self.execution = training.execution  # a compiler may have refused the model
            with typed(self._adapter):
                trained = training.conclude()
        except UnsupportedError as error:
            self._give_up_together(str(error))
        except TrainingError as error:
            if error.reason == "out_of_memory" and len(group) > 1:
                self._give_up_together(f"memory ran out for {len(group)} at once")
            ended = error
        if training is None:
            return [Trained(member=group[0], failure=ended.failure(group[0].seed) if ended else None)]
        return self._measured(training, trained or training.so_far(ended), held_bytes=held_bytes)

    def _advance_to_the_end(
        self, training: OngoingTraining, position: int, *, passing: type[Exception]
    ) -> None:
        if isinstance(training, StockTraining):
            training.between = lambda: self._between(training, position)
        self._report(training, position)
        first = True
        while not training.finished:
            self._stop_if_asked(training)
            done, compiles = training.samples_done, training.compiles_next
            if compiles:
                self._report(training, position, compiling=True)
            begin = time.perf_counter()
            with typed(self._adapter, passing=passing):
                training.advance()
            if not (first or compiles):  # the first updates are slow, and tell nothing of the others
                self._reporter.count(training.samples_done - done, time.perf_counter() - begin)
            first, self._advanced = False, True
            self._report(training, position)
            if not training.finished:
                self._keep_checkpoint(position, training)

    def _between(self, training: OngoingTraining, position: int) -> None:
        self._stop_if_asked(training)
        self._report(training, position)

    def _measured(
        self, training: OngoingTraining, group: Sequence[Trained], *, held_bytes: int | None
    ) -> list[Trained]:
        """Add to each member what the training took; `held_bytes` is what the process held before it."""
        memory = Memory(
            peak_bytes=counters.peak_bytes(),
            grown_bytes=counters.grown_bytes(held_bytes),
            device_peak_bytes=self._adapter.device_peak_bytes(),
        )
        timings = training.stopwatch.timings(self._queue_s, members=len(training.members))
        return [dataclasses.replace(trained, timings=timings, memory=memory) for trained in group]

    def _keep_checkpoint(self, position: int, training: OngoingTraining | None = None) -> None:
        """Take a checkpoint, if it is time for one.

        It has the members before `position` as finished, and the state of the training in hand, if any. None
        is taken before this attempt's first update, so that each is a step forward from the last attempt's.
        """
        if self._checkpoints is not None and self._advanced and self._checkpoints.due:
            with typed(self._adapter):
                state = training.state() if training else {}
            self._checkpoints.take(
                finished=position - 1,
                training=state,
                notes=self.notes,
                queue_s=self._queue_s,
                one_by_one=self._one_by_one,
            )

    def _report(self, training: OngoingTraining, position: int, *, compiling: bool = False) -> None:
        standing = Standing(
            position=position,
            together=len(training.members),
            epoch=training.epochs_done,
            epochs=training.plan.epochs,
            loss=training.last_loss,
            validation_loss=training.last_validation_loss,
            finished=training.finished,
            done=training.step / training.plan.steps,
            compiling=compiling,
        )
        self._reporter.tick(standing)

    def _stop_if_asked(self, training: OngoingTraining | None = None) -> None:
        """Raise TrainingError where the run was cancelled, or takes longer than it may."""
        if self._services.stop_requested():
            raise TrainingError("cancelled", "Cancelled while it ran")
        most = self._services.limits.time_of(self._run.job)
        if most is None or self._services.spent_s + time.monotonic() - self._began_s <= most.seconds:
            return
        step, steps = (training.step, training.plan.steps) if training else (0, 0)
        raise TrainingError(
            "time_limit",
            f"It took longer than {most.set_by}, {most.seconds:g}; "
            + (f"it had done {step:,} of {steps:,} updates" if step else "it had not begun to train"),
            epoch=training.epochs_done if training else None,
            step=step or None,
        )

    def _give_up_together(self, reason: str) -> None:
        """Train the members in turn from here on, and note why."""
        self._one_by_one = True
        self.notes.append(f"The seeds were trained one after another: {reason}.")
