"""Trains the members of a run: many together in one program where that works, else one after another.

Looks after cancellation, progress, checkpoints and memory peaks around each training, and says in `notes`
why members were not trained together. Members count from 1 in `position`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared.ledger.progress import ProgressEvent
from shared.program.together import obstacle
from shared.results.trace import Trace, TraceRequest
from shared.run import Run
from worker.adapters.base import FrameworkAdapter, State
from worker.adapters.errors import UnsupportedError
from worker.training import resources
from worker.training.checkpoints import Checkpoint, Checkpoints, Shelf
from worker.training.ensemble_training import EnsembleTraining
from worker.training.failures import TrainingError, typed
from worker.training.members import Member, Trained, groups_of
from worker.training.pacing import Reporter, Standing
from worker.training.packing import Store
from worker.training.samples import Load, RunData
from worker.training.seed_record import Outcome, finite_count
from worker.training.seed_training import SeedTraining
from worker.training.tracing import Tracer


@dataclass(frozen=True, kw_only=True)
class Services:
    """What a worker does for the run that it trains. What these functions raise passes through a training."""

    load: Load
    """Fetches an array of the run's."""
    store: Store
    """Stores an array of the result's."""
    report: Callable[[ProgressEvent], None]
    stop_requested: Callable[[], bool]
    shelf: Shelf | None = None
    """Keeps the run's checkpoints, where it is to have any."""
    checkpoint_s: float = 0.0
    """Seconds between two checkpoints; 0 takes none."""


class RunTrainer:
    """Trains one run; afterwards `execution` and `notes` say how."""

    def __init__(
        self,
        run: Run,
        data: RunData,
        adapter: FrameworkAdapter,
        *,
        services: Services,
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
        self._advanced = False
        """Whether this attempt has trained anything yet."""
        self._held_bytes: int | None = None
        """This is what the process held when the training in hand began."""

    def train(self, members: Sequence[Member], *, after: Checkpoint | None = None) -> Iterator[Trained]:
        """Each member's training in order. Ends after one that failed, unless it merely diverged.

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
            ended = False
            done = min(len(group), max(0, finished + 1 - position))  # finished before, of this group
            in_turn = len(group) == 1 or self._one_by_one
            train_group = self._train_in_turn if in_turn else self._train_together
            for trained in train_group(group[done:], position + done) if done < len(group) else ():
                yield trained
                ended |= _ends_the_run(trained)
            if ended:
                return
            position += len(group)

    def warm_up(self, member: Member) -> None:
        """Compile the programs that the member needs, in a training that is thrown away.

        Raises TrainingError.
        """
        with typed(self._adapter):
            training = SeedTraining(member.job, data=self._data, adapter=self._adapter, seed=member.seed)
            if not training.compiles:
                return
            while training.compiles and not training.finished:
                self._stop_if_asked()
                training.advance(most=1)
            training.conclude()

    def trace(self, request: TraceRequest) -> Trace:
        """Replay the first seed and lay its updates open. Raises TrainingError."""
        self._stop_if_asked()
        with typed(self._adapter):
            training = SeedTraining(
                self._run.job, data=self._data, adapter=self._adapter, seed=self._run.seeds[0]
            )
        self.execution = training.execution
        told = 0

        def tick() -> None:
            nonlocal told
            self._stop_if_asked()
            self._report(training, position=1, samples=training.samples_done - told)
            told = training.samples_done

        tracer = Tracer(
            request,
            training,
            adapter=self._adapter,
            load=self._services.load,
            store=self._services.store,
            tick=tick,
        )
        return tracer.run()

    def _groups(self, members: Sequence[Member]) -> Sequence[Sequence[Member]]:
        """The groups of members to be trained together, or one group of all to be trained in turn."""
        if len(members) == 1:
            return [members]
        if reason := obstacle(self._run.job):
            self._give_up_together(reason)
            return [members]
        groups = groups_of(members, data=self._data)
        if len(groups) == len(members):
            self._give_up_together("two of them at once would take too much memory")
        return groups

    def _train_together(self, group: Sequence[Member], position: int) -> Iterator[Trained]:
        """Train a group as an ensemble, or in turn where the adapter cannot or memory does not suffice."""
        self._reset_peaks()
        self._keep_checkpoint(position)
        resumed = self._take_resumed()
        ensemble: EnsembleTraining | None = None
        outcomes: Sequence[Outcome | None] = [None] * len(group)
        ended: TrainingError | None = None
        try:
            self._stop_if_asked()
            with typed(self._adapter, passing=UnsupportedError):
                ensemble = EnsembleTraining(group, data=self._data, adapter=self._adapter)
                if resumed:
                    ensemble.load_state(resumed)
            self.execution = ensemble.execution
            self._train_ensemble(ensemble, position=position, together=len(group))
            with typed(self._adapter):
                outcomes = ensemble.conclude()
        except UnsupportedError as error:
            self._give_up_together(str(error))
        except TrainingError as error:
            if error.reason == "out_of_memory":
                self._give_up_together(f"memory ran out for {len(group)} at once")
            ended = error
        if self._one_by_one:
            yield from self._train_in_turn(group, position)
        elif ensemble is None:
            yield Trained(member=group[0], failure=ended.failure(group[0].seed) if ended else None)
        else:
            yield from self._trained_members(ensemble, group, outcomes=outcomes, ended=ended)

    def _trained_members(
        self,
        ensemble: EnsembleTraining,
        group: Sequence[Member],
        *,
        outcomes: Sequence[Outcome | None],
        ended: TrainingError | None,
    ) -> Iterator[Trained]:
        """What each member came to. `ended` is what stopped all members that had not diverged before."""
        peak_bytes, grown_bytes = resources.peak_bytes(), resources.grown_bytes(self._held_bytes)
        device_peak_bytes = self._adapter.device_peak_bytes()
        for place, member in enumerate(group):
            error = ensemble.failures.get(place) or ended
            yield Trained(
                member=member,
                outcome=outcomes[place],
                failure=error.failure(member.seed) if error else None,
                losses=_finite(ensemble.losses(place)),
                validation_losses=ensemble.validation_losses(place),
                hashes=ensemble.hashes(place),
                timings=ensemble.stopwatch.timings(self._queue_s, members=len(group)),
                peak_bytes=peak_bytes,
                grown_bytes=grown_bytes,
                device_peak_bytes=device_peak_bytes,
            )

    def _train_ensemble(self, ensemble: EnsembleTraining, *, position: int, together: int) -> None:
        def report(samples: int) -> None:
            self._reporter.tick(
                Standing(
                    position=position,
                    together=together,
                    epoch=ensemble.epochs_done,
                    epochs=ensemble.plan.epochs,
                    loss=ensemble.last_loss,
                    validation_loss=ensemble.last_validation_loss,
                    finished=ensemble.finished,
                ),
                samples=samples,
            )

        report(0)
        while not ensemble.finished:
            self._stop_if_asked()
            done = ensemble.samples_done
            with typed(self._adapter, passing=UnsupportedError):
                ensemble.advance()
            self._advanced = True
            report(ensemble.samples_done - done)
            if not ensemble.finished:
                self._keep_checkpoint(position, ensemble)

    def _train_in_turn(self, group: Sequence[Member], position: int) -> Iterator[Trained]:
        """Train the members one after another."""
        for place, member in enumerate(group):
            trained = self._train_alone(member, position + place)
            yield trained
            if _ends_the_run(trained):
                return

    def _train_alone(self, member: Member, position: int) -> Trained:
        self._reset_peaks()
        self._keep_checkpoint(position)
        resumed = self._take_resumed()
        training: SeedTraining | None = None
        try:
            self._stop_if_asked()
            with typed(self._adapter):
                training = SeedTraining(member.job, data=self._data, adapter=self._adapter, seed=member.seed)
                if resumed:
                    training.load_state(resumed)
            self.execution = training.execution
            self._train_seed(training, position=position)
            self.execution = training.execution  # a compiler may have refused the model
            with typed(self._adapter):
                outcome = training.conclude()
        except TrainingError as error:
            failure = error.failure(member.seed)
            if training is None:
                return Trained(member=member, failure=failure)
            return self._trained_seed(member, training, failure=failure)
        return self._trained_seed(member, training, outcome=outcome)

    def _train_seed(self, training: SeedTraining, *, position: int) -> None:
        self._report(training, position=position, samples=0)
        while not training.finished:
            self._stop_if_asked()
            done = training.samples_done
            if training.compiles_next:
                self._report(training, position=position, samples=0, compiling=True)
            with typed(self._adapter):
                training.advance()
            self._advanced = True
            self._report(training, position=position, samples=training.samples_done - done)
            if not training.finished:
                self._keep_checkpoint(position, training)

    def _take_resumed(self) -> State:
        """The state that the next training goes on from; empty from the second call on."""
        resumed, self._resumed = self._resumed, {}
        return resumed

    def _keep_checkpoint(
        self, position: int, training: SeedTraining | EnsembleTraining | None = None
    ) -> None:
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

    def _report(
        self, training: SeedTraining, *, position: int, samples: int, compiling: bool = False
    ) -> None:
        standing = Standing(
            position=position,
            together=1,
            epoch=training.epochs_done,
            epochs=training.plan.epochs,
            loss=training.losses[-1] if training.losses else None,
            validation_loss=training.validation_losses[-1] if training.validation_losses else None,
            finished=training.finished,
            compiling=compiling,
        )
        self._reporter.tick(standing, samples=samples)

    def _trained_seed(self, member: Member, training: SeedTraining, **result: Any) -> Trained:
        return Trained(
            member=member,
            losses=_finite(training.losses),
            validation_losses=training.validation_losses,
            stopped_early=training.stopped_early,
            hashes=training.hashes,
            timings=training.stopwatch.timings(self._queue_s),
            peak_bytes=resources.peak_bytes(),
            grown_bytes=resources.grown_bytes(self._held_bytes),
            device_peak_bytes=self._adapter.device_peak_bytes(),
            **result,
        )

    def _reset_peaks(self) -> None:
        self._held_bytes = resources.reset_peak()
        self._adapter.reset_device_peak()

    def _stop_if_asked(self) -> None:
        if self._services.stop_requested():
            raise TrainingError("cancelled", "Cancelled while it ran")

    def _give_up_together(self, reason: str) -> None:
        """Train the members in turn from here on, and note why."""
        self._one_by_one = True
        self.notes.append(f"The seeds were trained one after another: {reason}.")


def _ends_the_run(trained: Trained) -> bool:
    """Whether it failed by something that would meet the next member as well."""
    return trained.failure is not None and trained.failure.reason != "diverged"


def _finite(losses: list[float]) -> list[float]:
    return losses[: finite_count(losses)]
