"""Benches on real services: the values are compared, then the sides are timed in turns; every round is kept.

A bench that was interrupted goes on from the rounds that it has. What it says is concluded from them each
time that it is shown.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from likewise.producer import experiments, follow_ups
from likewise.producer.bench.flow import concluded, telling, timed_rounds
from likewise.producer.bench.models import Bench, TimedRounds
from likewise.producer.bench.protocol import Enough, in_ways
from likewise.producer.console import progress_console
from likewise.producer.display import both, count
from likewise.producer.kept import keep, measured_of
from likewise.producer.runs.routing import Need, Site, sites_for
from likewise.shared.errors import UsageError

if TYPE_CHECKING:
    from likewise.producer.session import Session
    from likewise.shared.job.experiment import Execution
    from likewise.shared.ledger.records import ExperimentRecord


@dataclass(frozen=True, kw_only=True)
class Timing:
    """It says what is timed, where and how well."""

    ways: Sequence[Execution] = ()
    """The ways of executing in which each framework is timed; all, if none."""
    budget_s: float = 60
    """Timing may take so long, once all is warm."""
    precision: float = 0.02
    """Half of every side's interval is wanted so narrow, relative to its median."""
    host: str | None = None
    """Where it is timed; on any host that can train every side, if None."""
    twin: bool = True
    """Whether to train again in float64, to tell rounding from meaning."""


def find_sites(session: Session, needs: Sequence[Need], timing: Timing) -> Mapping[str, Site]:
    """Return where each side is timed. Raises NoWorkerError before anything is trained."""
    sites = sites_for(needs, session.ledger.workers(), host=timing.host)
    if len({site.host for site in sites.values()}) > 1:
        where = ", ".join(f"{name} is timed on {site.host}" for name, site in sites.items())
        experiments.say(f"note: no host has a worker of every side, so no winner will be named: {where}")
    return sites


def bench_experiment(
    session: Session, record: ExperimentRecord, timing: Timing, sites: Mapping[str, Site], *, quiet: bool
) -> Bench:
    """Compare an experiment's sides, time them, and return what the times say.

    The rounds of an earlier bench of the same experiment count. Where a training fails nothing is timed.
    Raises CancelledError, and RunFailedError for a side that fails after its first run.
    """
    measured = measured_of(session, record)
    if measured is None:
        timed = in_ways(record.experiment, timing.ways)
        measured = TimedRounds(experiment=timed, precision=timing.precision)
    elif timing.ways:
        raise UsageError(
            f"{record.experiment_id} was timed before, in {both(measured.experiment.labels)}; its bench goes "
            "on without --variant"
        )
    elif measured.rounds:
        experiments.teller(quiet=quiet)(f"going on after {count(measured.rounds, 'round')}")
    measured = measured.model_copy(update={"precision": timing.precision, "complete": False})
    experiments.follow_to_end(session, record, quiet=quiet)
    outcome = experiments.judge(session, record)
    if timing.twin:
        outcome = experiments.follow_up(session, outcome, follow_ups.twin_alone, quiet=quiet)
        outcome = experiments.follow_up(session, outcome, follow_ups.perturbed_twin, quiet=quiet)
    if outcome.comparison.failed:
        measured = measured.model_copy(update={"complete": True})
        keep(session, record, "bench", measured, complete=True)
        return concluded(outcome, measured)
    begin = time.monotonic()
    enough = Enough(
        precision=timing.precision,
        budget_s=timing.budget_s,
        spent_s=lambda: time.monotonic() - begin,
    )
    with telling(progress_console(), quiet=quiet) as progress:
        rounds = timed_rounds(
            outcome,
            measured,
            sites=sites,
            enough=enough,
            progress=progress,
            keep=lambda now: keep(session, record, "bench", now, complete=now.complete),
        )
        carried = experiments.carry_out(
            session, outcome.record, rounds, quiet=quiet, show=lambda _: nullcontext(progress)
        )
    return concluded(outcome, carried.answer)
