"""Plans the timed runs, each on its worker's host alone, and tells of them while they train."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.status import Status

from likewise.producer.bench.conclude import Compared, conclude
from likewise.producer.bench.models import Bench, Phase, TimedRounds, TimedRun, name_of
from likewise.producer.bench.protocol import Enough, alternate
from likewise.producer.display import count, plus_minus, seconds
from likewise.producer.job.resolve import resolve
from likewise.producer.output import loudness
from likewise.producer.runs.follow import Noticed, Progressed, Update
from likewise.producer.runs.submit import FollowUp
from likewise.shared.errors import CancelledError, RunFailedError
from likewise.shared.job.training import BatchPlan
from likewise.shared.results.run_result import RunResult
from likewise.shared.results.seed_table import Load, SeedTable
from likewise.shared.run import Run, Timed

if TYPE_CHECKING:
    from likewise.producer.follow_ups import FollowUpPlan, Judged
    from likewise.producer.runs.routing import Site
    from likewise.shared.job import Experiment

LINE_EVERY_S = 15.0
"""Within a round, which may take long, a line is said so often elsewhere than on a terminal."""
TIMED = "timed"
"""What a timed run is to the experiment it measures; each replaces the one before."""


def timed_rounds(
    outcome: Judged,
    measured: TimedRounds,
    *,
    sites: Mapping[str, Site],
    enough: Enough,
    progress: Progress,
    keep: Callable[[TimedRounds], None],
) -> FollowUpPlan[TimedRounds]:
    """Plan to warm every side up and then to time them in turns; return all that was timed.

    `measured` has what is to be timed, and the rounds of a bench that goes on. Its sides are those that were
    compared, or ways of executing their frameworks. `sites` has the place of each side of the comparison, by
    its label. `keep` is given what is measured after every round, so that an interruption loses one round at
    most. Raises CancelledError, and RunFailedError for a side that fails after its first run.
    """
    timing = _Timing(outcome, experiment=measured.experiment, sites=sites, progress=progress)
    if not measured.first:
        progress.begin(f"{count(len(timing.names), 'way')} of training it", enough.budget_s)
        first, missing = yield from _warm_up(timing, progress=progress)
        measured = measured.model_copy(update={"first": first, "missing": tuple(missing)})
    found = {label: list(measured.timed.get(label, ())) for label in measured.first}

    def so_far(*, complete: bool) -> TimedRounds:
        timed = {label: tuple(runs) for label, runs in found.items()}
        now = measured.model_copy(update={"timed": timed, "complete": complete})
        keep(now)
        return now

    def after_round(done: int, width: float) -> None:
        so_far(complete=False)
        progress.round(done, width)

    if found:
        yield from alternate(found, timing.time_one, enough=enough, after_round=after_round)
    return so_far(complete=True)


def concluded(outcome: Judged, measured: TimedRounds) -> Bench:
    """Return what the timed runs say; of an interrupted bench, what they say so far."""
    cut_short = (
        f"it was interrupted after {count(measured.rounds, 'round')}; likewise bench "
        f"{outcome.record.experiment_id} goes on",
    )
    return conclude(
        Compared.of(outcome.comparison),
        first=measured.first,
        timed=measured.timed,
        missing=(*measured.missing, *(() if measured.complete else cut_short)),
        precision=measured.precision,
    )


def _warm_up(timing: _Timing, *, progress: Progress) -> FollowUpPlan[tuple[dict[str, TimedRun], list[str]]]:
    """Return each side's first run; and a sentence for each that fails, or that runs as another way does.

    It forgets all programs, so that what the side compiles is measured even where the comparison, another
    side or an earlier bench compiled it before. A worker that is warm no more, or was not the one that took
    the first run, compiles before its next timed run.
    """
    first: dict[str, TimedRun] = {}
    missing: list[str] = []
    ran: dict[tuple[str, str], TimedRun] = {}
    for label, name in timing.names.items():
        progress.warming(name)
        try:
            timed = yield from timing.time_one(label, kind="cold")
        except RunFailedError as error:
            missing.append(f"{name} cannot be timed: {error}")
            continue
        same = ran.setdefault((timed.of, timed.environment.execution), timed)
        if same is not timed:
            missing.append(f"{name} runs as {same.name} does, and is timed once")
        else:
            first[label] = timed
    return first, missing


class _Timing:
    """It plans one timed run of a side after another."""

    def __init__(
        self,
        outcome: Judged,
        *,
        experiment: Experiment,
        sites: Mapping[str, Site],
        progress: Progress,
    ) -> None:
        self._outcome = outcome
        self._experiment = experiment
        self._sites = sites
        self._progress = progress
        compared = {run.side: run for run in outcome.runs}
        self._runs = {
            side.label: compared[side.label if side.label in compared else side.framework]
            for side in experiment.side_list
        }
        self._ways = {label: job.execution for label, job in resolve(experiment).items()}
        self.names = {
            label: name_of(label, of=run.side, execution=self._ways[label])
            for label, run in self._runs.items()
        }
        """What sentences call each side that is to be timed, by its label."""

    def time_one(self, label: str, *, kind: Timed = "warm") -> FollowUpPlan[TimedRun]:
        """Plan one timed run, from submission to result. Raises RunFailedError, and CancelledError."""
        self._progress.timing(self.names[label])
        finished = yield [self._follow_up(label, kind)]
        ((run, result),) = finished[TIMED].runs
        if result.failure and result.failure.reason == "cancelled":
            raise CancelledError(f"the bench of {self._outcome.record.experiment_id} was cancelled")
        return timed_of(run, result, self._outcome.arrays, of=self._runs[label].side)

    def _follow_up(self, label: str, kind: Timed) -> FollowUp:
        compared = self._runs[label]
        job = compared.job.model_copy(update={"execution": self._ways[label]})
        run = compared.model_copy(
            update={"side": label, "job": job, "seeds": compared.seeds[:1], "timed": kind}
        )
        return FollowUp(
            relation=TIMED,
            experiment=self._experiment.with_sides([label], seeds=run.seeds),
            runs=[run],
            queue=self._sites[compared.side].queue,
            kept=False,
        )


def timed_of(run: Run, result: RunResult, arrays: Load, *, of: str) -> TimedRun:
    """Return the result of a run of a side, which is `of` in the comparison, as one sample.

    Raises RunFailedError for one without timings.
    """
    table = SeedTable.of(result, run.seeds[:1], arrays=arrays)
    if result.failure or not table.succeeded[0] or result.environment is None:
        raise RunFailedError(result.failure.message if result.failure else "it returned no timings")
    samples = run.dataset.train.x.shape[0]
    timings, memory = table.timings_of(0), table.memory_of(0)
    if timings is None:
        raise RunFailedError("it returned no timings")
    epochs = int(table.epochs[0])
    steps = epochs * BatchPlan.of(run.job.training, samples).steps_per_epoch
    phases: dict[Phase, float] = {
        "build": timings.build_s,
        "compile": timings.compile_s,
        "train": timings.train_s,
        "step": timings.train_s / steps,
        "inference": timings.predict_s,
        "run": timings.build_s + timings.compile_s + timings.train_s + timings.predict_s,
    }
    if timings.queue_s is not None and result.attempt == 1:  # else it holds the lost attempts
        phases["queue"] = timings.queue_s
    if result.environment.import_s is not None:
        phases["import"] = result.environment.import_s
    return TimedRun(
        side=run.side,
        framework=run.framework,
        variant=run.job.execution,
        of=of,
        precision=run.job.precision,
        phases=phases,
        samples_per_s=epochs * samples / timings.train_s if timings.train_s else None,
        peak_bytes=memory.peak_bytes,
        grown_bytes=memory.grown_bytes,
        device_peak_bytes=memory.device_peak_bytes,
        environment=result.environment,
        conditions=result.conditions,
        attempt=result.attempt,
    )


class Progress:
    """It is the board of the timed runs: which side is timed, and how narrow the intervals are by now."""

    def __init__(self, console: Console, *, status: Status | None, quiet: bool) -> None:
        self._console = console
        self._status = status
        self._quiet = quiet
        self._so_far = "warming up"
        self._name = ""
        self._said_s = time.monotonic()

    def begin(self, what: str, budget_s: float) -> None:
        """Say before what is to come and how long that takes."""
        self._line(
            f"timing {what}: first a run of each, which takes as long as "
            f"compiling does; then rounds for at most about {seconds(budget_s)}"
        )

    def warming(self, name: str) -> None:
        """Say that the first run of a side begins, the one that compiles."""
        self._line(f"warming up {name}")

    def timing(self, name: str) -> None:
        """Say that a run is submitted; it begins when its host is free."""
        self._name = name
        self._step(f"{self._so_far}: waiting for the host, to time {name}")

    def apply(self, update: Update) -> None:
        """Take in an update of the run that is timed now."""
        if isinstance(update, Noticed):
            self.notice(update.text)
        elif isinstance(update, Progressed) or update.record.state == "leased":
            self.training(self._name)

    def training(self, name: str) -> None:
        """Say that a run has its host to itself, and goes on."""
        self._step(f"{self._so_far}: timing {name}")

    def round(self, done: int, width: float) -> None:
        """Say that a round is done; `width` is half the widest interval by its median."""
        known = f", medians known to {plus_minus(width)}" if width <= 1 else ""
        self._so_far = f"{done} round{'s' * (done > 1)} done{known}"
        if loudness.get() == "verbose":
            self._line(self._so_far)
        else:
            self._step(self._so_far)

    def notice(self, text: str) -> None:
        """Say a word on a wait, and whose run waits."""
        self._console.print(f"{self._name}: {text}" if self._name else text)

    def _step(self, text: str) -> None:
        if self._status is None and time.monotonic() - self._said_s > LINE_EVERY_S:
            self._line(text)
        else:
            self._show(text)

    def _show(self, text: str) -> None:
        if self._status is not None:
            self._status.update(text)

    def _line(self, text: str) -> None:
        self._said_s = time.monotonic()
        self._show(text)
        if self._status is None and not self._quiet:
            self._console.print(text)


@contextmanager
def telling(console: Console, *, quiet: bool) -> Iterator[Progress]:
    """Open while a bench runs. Off a terminal, `quiet` leaves only notices."""
    if not console.is_terminal:
        yield Progress(console, status=None, quiet=quiet)
        return
    with console.status("warming up") as status:
        yield Progress(console, status=status, quiet=quiet)
