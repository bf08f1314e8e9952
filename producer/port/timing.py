"""Times both programs of a port in turns, each as its user wrote it, once a check has said if they agree.

The check runs in processes of its own: what it watches, widens and puts in place of draws would be timed with
the programs. Both are trained on the same rows in the same order; where both files define data(split), each
takes the batches of its own loader, whose work is then a part of what is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from likewise.producer.bench.conclude import Compared, conclude
from likewise.producer.bench.flow import telling
from likewise.producer.bench.models import Bench, Phase, TimedRun
from likewise.producer.bench.protocol import LEAST_ROUNDS, RUNS_A_ROUND, Enough, Samples, alternate
from likewise.producer.console import progress_console
from likewise.producer.display import both, count
from likewise.producer.port.exchanged import FedBatch, TimedPlan
from likewise.producer.port.file import Port
from likewise.producer.port.flow import OpenPort, opened, opened_as_written
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.ladder import climb
from likewise.producer.port.models import PortCheck
from likewise.producer.port.trainings import row_order
from likewise.producer.verdict.models import Verdict
from likewise.shared.errors import UsageError
from likewise.shared.results.run_result import Conditions, Environment

Answer = TypeVar("Answer")
Hold = Callable[[Sequence[Hosted], Mapping[str, str]], AbstractContextManager[Sequence[str]]]
"""It has the machines of programs to itself while it is entered, and gives what is to be known of that."""


@dataclass(frozen=True, kw_only=True)
class HowTimed:
    """It says how long two programs are timed, and how well."""

    budget_s: float
    """Timing may take so long, once both are warm."""
    precision: float
    """Half of every side's interval is wanted so narrow, relative to its median."""


@dataclass(frozen=True)
class _Fed:
    """What both programs are fed, as it lies in each, and what the check said of them."""

    batches: tuple[FedBatch, FedBatch]
    check: PortCheck
    trains: bool
    loader: bool
    """Whether both load their own batches."""


def bench_port(
    port: Port,
    how: HowTimed,
    *,
    tell: Callable[[str], None],
    quiet: bool,
    hold: Hold,
    interrupted: Callable[[Bench], None],
) -> Bench:
    """Check both programs, time them in turns, and return what the times say.

    A winner is named only where the check holds. `hold` has the machines to itself meanwhile, and gives what
    is to be known of that. Where Ctrl-C ends the rounds, `interrupted` gets what whole ones came to, before
    it is raised again. Raises what `opened` raises, and UsageError where only one of them can be trained.
    """
    with opened(port, tell=tell) as found:
        fed = _checked(port, found, tell)
    with opened_as_written(port, tell=tell) as hosts, telling(progress_console(), quiet=quiet) as progress:
        timed = _Timed(port, hosts, fed)
        runs: Samples = {host.label: [] for host in hosts}
        begun = 0.0
        enough = Enough(
            precision=how.precision, budget_s=how.budget_s, spent_s=lambda: time.monotonic() - begun
        )

        def time_one(label: str) -> Generator[Any, Any, TimedRun]:
            progress.training(label)
            yield from ()
            return timed.run(label)

        def bench(found: Samples, *more: str) -> Bench:
            notes = [*timed.notes(), *more]
            return conclude(
                timed.compared(found), first=timed.first, timed=found, missing=notes, precision=how.precision
            )

        with hold(hosts, timed.places()) as notes:
            progress.begin("both programs as they are written", how.budget_s)
            for host in hosts:
                progress.warming(host.label)
                timed.warm(host)
            timed.settle(how.budget_s)
            begun = time.monotonic()
            try:
                _done(alternate(runs, time_one, enough=enough, after_round=progress.round))
            except KeyboardInterrupt:
                rounds = min(len(one) for one in runs.values()) // RUNS_A_ROUND
                whole = {label: one[: RUNS_A_ROUND * rounds] for label, one in runs.items()}
                if rounds:
                    interrupted(bench(whole, *notes, f"it was interrupted after {count(rounds, 'round')}"))
                raise
        return bench(runs, *notes)


def _checked(port: Port, found: OpenPort, tell: Callable[[str], None]) -> _Fed:
    """Climb every rung, and return what the programs are to be fed."""
    trains = [host.trains for host in found.hosts]
    if trains[0] != trains[1]:
        lacking = found.hosts[trains.index(False)].label
        raise UsageError(
            f"{lacking}'s file defines no loss(outputs, targets) and optimizer(model), nor a step, and the "
            "other's does; define them in both, or in neither: then a pass over the batch is timed"
        )
    pairing = found.pair(port.precision, tell)
    check = climb(pairing, until=None, tell=tell)
    return _Fed(
        (pairing.batch, pairing.others_batch),
        check,
        all(trains),
        all(host.loads for host in found.hosts),
    )


class _Timed:
    """Both programs while they are timed."""

    def __init__(self, port: Port, hosts: Sequence[Hosted], fed: _Fed) -> None:
        self._port, self._fed = port, fed
        self._hosts = {host.label: host for host in hosts}
        self.first: dict[str, TimedRun] = {}
        self._ready: dict[str, dict[str, Any]] = {}
        self._samples: dict[str, float] = {}
        """How many samples an update of each side takes."""
        self._updates = 0
        self._quickest_s = 0.0
        """How long one update of each side takes together, at best."""
        samples = len(next(iter(fed.batches[0].inputs.values())))
        plan = port.training
        order = None if fed.loader else row_order(plan, samples, port.seeds[0])
        for host, batch in zip(hosts, fed.batches, strict=True):
            host.name_inputs(list(batch.inputs))
            timed = TimedPlan(loader=fed.loader, size=plan.batch_size, order=order)
            self._ready[host.label] = host.ready(batch, timed)
        self._infers = all(one["infers"] for one in self._ready.values())

    def warm(self, host: Hosted) -> None:
        """Run a side for the first time, which compiles it."""
        answer = host.time(0, infers=self._infers)
        ready = self._ready[host.label]
        self._quickest_s += answer["quickest_s"]
        steady_s = answer["quickest_s"] + (answer["infer_s"] or 0.0)
        once: dict[Phase, float] = {
            "import": ready["import_s"],
            "build": ready["build_s"],
            "compile": max(0.0, answer["first_s"] - steady_s),
        }
        self.first[host.label] = self._as_run(host, answer, once)

    def settle(self, budget_s: float) -> None:
        """Choose how many updates a timed run has: those of the port, or as many as let three rounds fit."""
        if not self._fed.trains:
            return
        round_s = 2 * self._quickest_s
        fitting = int(budget_s / (LEAST_ROUNDS * round_s)) if round_s else self._port.training.updates
        self._updates = max(1, min(self._port.training.updates, fitting))

    def run(self, label: str) -> TimedRun:
        """Time one run of a side."""
        host = self._hosts[label]
        answer = host.time(self._updates, infers=self._infers)
        if answer["updates"]:
            self._samples[label] = answer["samples"] / answer["updates"]
        return self._as_run(host, answer, {})

    def _as_run(self, host: Hosted, answer: Mapping[str, Any], once: Mapping[Phase, float]) -> TimedRun:
        phases: dict[Phase, float] = {**once}
        train_s, infer_s = answer["train_s"], answer["infer_s"]
        if answer["updates"]:
            phases |= {"step": train_s / answer["updates"], "train": train_s}
        if infer_s is not None:
            phases["inference"] = infer_s
        phases["run"] = train_s + (infer_s or 0.0)
        told = dict(self._ready[host.label]["environment"])
        precision = told.pop("precision")
        environment = Environment(framework=host.framework, flags={}, import_s=once.get("import"), **told)
        return TimedRun(
            side=host.label,
            framework=host.framework,
            variant="own",
            of=host.label,
            precision=precision,
            phases=phases,
            samples_per_s=answer["samples"] / train_s if train_s else None,
            peak_bytes=answer["peak_bytes"],
            grown_bytes=answer["grown_bytes"],
            device_peak_bytes=answer["device_peak_bytes"],
            environment=environment,
            conditions=Conditions(**answer["conditions"]),
        )

    def compared(self, runs: Samples) -> Compared:
        """Return what the times rest on."""
        verdict, reason = self._verdict()
        return Compared(
            experiment_id=None,
            name=self._port.name,
            verdict=verdict,
            reason=reason,
            sides=[*runs],
            failed=False,
            called="programs",
            work=self._work(),
            devices=1,
        )

    def _work(self) -> str:
        passes = "a pass over the batch"
        if not self._updates:
            return passes
        rows = next(iter(self._samples.values()), 0.0)
        updates = f"{count(self._updates, 'update')} of {count(round(rows), 'row')}"
        return f"{updates} and {passes}" if self._infers else updates

    def _verdict(self) -> tuple[Verdict, str]:
        check = self._fed.check
        failing = next((one for one in check.rungs if one.status == "fails"), None)
        if failing is not None:
            cause = failing.first_cause
            return "differ", failing.text if cause is None else cause.text
        held = {one.name: one for one in check.rungs}
        needed = held["updates" if self._fed.trains else "forward"]
        if needed.status != "holds":
            return "inconclusive", f"the rung {needed.name} was not climbed: {needed.text}"
        if len(set(self._samples.values())) > 1:
            rows = both([f"{one:g} in {label}" for label, one in self._samples.items()])
            return "inconclusive", f"their own loaders give another number of rows an update: {rows}"
        return "agree", ""

    def places(self) -> dict[str, str]:
        """Return on which machine each side runs, as it says itself."""
        return {label: str(one["environment"]["host"]) for label, one in self._ready.items()}

    def notes(self) -> list[str]:
        """Return what is to be known of how they were timed."""
        ways = {label: run.environment.execution for label, run in self.first.items()}
        found = []
        if self._fed.trains and len(set(ways.values())) > 1:
            found.append(both([f"{label} runs {way}" for label, way in ways.items()]))
        if not self._fed.trains:
            found.append(
                "neither file defines loss and optimizer, nor step, so a pass over the batch alone was timed"
            )
        elif self._updates < self._port.training.updates:
            found.append(
                f"a timed run has {count(self._updates, 'update')} of the {self._port.training.updates} of "
                f"the port's training, so that {LEAST_ROUNDS} rounds fit --budget"
            )
        if self._fed.loader and self._fed.trains:
            found.append("both load their own batches, whose time counts")
        return found


def _done(plan: Generator[Any, Any, Answer]) -> Answer:
    """Carry out a plan that asks for nothing of the queue."""
    try:
        next(plan)
    except StopIteration as stopped:
        answer: Answer = stopped.value
        return answer
    raise TypeError("a plan of programs that are hosted here asks for no runs")
