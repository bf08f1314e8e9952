"""Concludes from timed runs what a bench says: times, a ranking where one means something, warnings.

It is pure.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from likewise.producer.bench.models import (
    Bench,
    Peak,
    Phase,
    PhaseTimes,
    Rank,
    Throughput,
    TimedRun,
)
from likewise.producer.bench.protocol import median_interval, outliers, paired_ratio, relative_width
from likewise.producer.display import both, count, number, plus_minus
from likewise.producer.verdict.models import Comparison, Verdict
from likewise.shared.results.run_result import Conditions

PHASES: tuple[Phase, ...] = ("queue", "import", "build", "compile", "step", "train", "inference", "run")
_ONCE: frozenset[Phase] = frozenset({"import", "compile"})
"""Phases that a warm worker does not go through again. They, and those that no later run has, are taken from
the first run."""
MOST_LOAD = 0.25
"""Other programs may use so much of the cores before they disturb."""
MOST_STOLEN = 0.02
"""A hypervisor may take so much of the time of one core."""

Times = Mapping[str, Sequence[TimedRun]]
"""The timed runs of each side, by its label."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """It holds what the times rest on: whether the sides compute the same."""

    experiment_id: str | None
    name: str
    verdict: Verdict
    reason: str
    """The first reason of the verdict."""
    sides: Sequence[str]
    failed: bool
    """Whether a training failed."""
    called: str
    """What sentences call the sides: `sides`, `frameworks` or `programs`."""
    work: str = "a whole warm run"
    """What a timed run does, in words."""
    devices: int
    """How many unlike devices the sides ask for."""

    @classmethod
    def of(cls, comparison: Comparison) -> Compared:
        """Return what a comparison of declared sides says."""
        return cls(
            experiment_id=comparison.experiment_id,
            name=comparison.name,
            verdict=comparison.verdict,
            reason=next(iter(comparison.reasons), ""),
            sides=comparison.sides,
            failed=bool(comparison.failed),
            called="frameworks" if all(run.side == run.framework for run in comparison.runs) else "sides",
            devices=len({job.device for job in comparison.jobs.values()}),
        )


def conclude(
    compared: Compared,
    *,
    first: Mapping[str, TimedRun],
    timed: Times,
    missing: Sequence[str],
    precision: float,
) -> Bench:
    """Return all that a bench says.

    `first` has each side's first run, which warms up and compiles, `timed` those after it in the order they
    ran, `missing` a sentence for each side that could not be timed, and what else is to be known first.
    """
    ranks, withheld = _ranking(compared, timed)
    return Bench(
        experiment_id=compared.experiment_id,
        name=compared.name,
        verdict=compared.verdict,
        rows=tuple(row for side, runs in timed.items() for row in _rows(first[side], runs)),
        throughput=tuple(_throughputs(timed)),
        peak_bytes=tuple(_peak(first[side], runs) for side, runs in timed.items()),
        work=compared.work,
        ranking=ranks,
        ranking_withheld_because=withheld,
        warnings=(*missing, *_warnings(first, timed, precision=precision)),
        rounds=max((len(runs) // 2 for runs in timed.values()), default=0),
        hosts=tuple(sorted({one.environment.host for runs in timed.values() for one in runs})),
        names={side: run.name for side, run in first.items()},
        environments={run.name: run.environment for run in first.values()},
    )


def _rows(first: TimedRun, runs: Sequence[TimedRun]) -> Iterator[PhaseTimes]:
    for phase in PHASES:
        of = [] if phase in _ONCE else runs
        samples = [one.phases[phase] for one in of if phase in one.phases]
        samples = samples or [one.phases[phase] for one in [first] if phase in one.phases]
        if samples:
            yield PhaseTimes(
                **first.identity,
                phase=phase,
                median_s=statistics.median(samples),
                interval_s=median_interval(samples),
                samples=tuple(samples),
                outliers=outliers(samples),
            )


def _throughputs(timed: Times) -> Iterator[Throughput]:
    for runs in timed.values():
        known = [one.samples_per_s for one in runs if one.samples_per_s is not None]
        if known:
            yield Throughput(**runs[0].identity, samples_per_s=statistics.median(known))


def _peak(first: TimedRun, runs: Sequence[TimedRun]) -> Peak:
    def largest(samples: Iterable[int | None]) -> int | None:
        return max((one for one in samples if one is not None), default=None)

    return Peak(
        **first.identity,
        process_bytes=largest(one.peak_bytes for one in (first, *runs)),
        grown_bytes=first.grown_bytes,
        device_bytes=largest(one.device_peak_bytes for one in (first, *runs)),
    )


def _ranking(compared: Compared, timed: Times) -> tuple[tuple[Rank, ...] | None, str | None]:
    """Return the sides from the fastest on, or why none is named."""
    withheld = _withheld(compared, timed)
    if withheld:
        return None, withheld
    ordered = sorted(timed.values(), key=lambda runs: statistics.median(_seconds(runs)))
    return tuple(_rank(runs, ordered[0]) for runs in ordered), None


def _seconds(runs: Sequence[TimedRun]) -> list[float]:
    return [run.phases["run"] for run in runs]


def _rank(runs: Sequence[TimedRun], fastest: Sequence[TimedRun]) -> Rank:
    ratio, interval = paired_ratio(_seconds(runs), _seconds(fastest))
    return Rank(
        **runs[0].identity,
        median_s=statistics.median(_seconds(runs)),
        ratio=ratio,
        ratio_interval=interval,
        slower=interval is not None and interval[0] > 1,
    )


def _withheld(compared: Compared, timed: Times) -> str | None:
    """Return why no winner is named, if so. Devices may differ where the sides ask for unlike ones."""
    sides = compared.called
    if compared.failed:
        return f"a training failed, so nothing was timed: {compared.reason}"
    if len(compared.sides) < 2:
        return f"only {compared.sides[0]} was asked for"
    if compared.verdict != "agree":
        known = f"the {sides} do not" if compared.verdict == "differ" else f"it is open whether the {sides}"
        return f"{known} compute the same, and a faster one may simply do less: {compared.reason}"
    if len({runs[0].of for runs in timed.values()}) < 2:
        return f"fewer than two {sides} could be timed"
    environments = [one.environment for runs in timed.values() for one in runs]
    for what, values in (
        ("hosts", {one.host for one in environments}),
        ("devices", {one.device for one in environments} if compared.devices < 2 else set()),
    ):
        if len(values) > 1:
            return f"they ran on different {what}: {both(sorted(values))}"
    return None


def _warnings(first: Mapping[str, TimedRun], timed: Times, *, precision: float) -> Iterator[str]:
    """Yield what to know before the times are believed, a sentence each, with what to do."""
    threads = {runs[0].name: runs[0].environment.threads for runs in timed.values()}
    if len(set(threads.values())) > 1:
        listed = both([f"{name} {used}" for name, used in threads.items()])
        yield f"they do not use the same number of threads: {listed}"
    yield from _unlike(timed)
    yield from _noise(timed, precision=precision)
    runs = [one for runs in timed.values() for one in runs]
    if again := {one.name: None for one in (*first.values(), *runs) if one.attempt > 1}:
        yield (
            f"runs of {both([*again])} were begun again, since their worker died or stopped; its log has "
            "why, and their time in the queue is left out"
        )
    whole_life = [run.name for run in first.values() if run.peak_bytes and run.grown_bytes is None]
    if whole_life:
        yield (
            f"the peak memory of {both(whole_life)} is that of the worker's whole life: its system does not "
            "let a process forget its peak (/proc/self/clear_refs)"
        )
    conditions = [one.conditions for one in runs if one.conditions]
    if conditions:
        yield from _disturbed(conditions, threads=max(threads.values()))


def _unlike(timed: Times) -> Iterator[str]:
    """Yield what sides have unlike that makes their work unlike: a device, or a precision."""
    devices = {runs[0].name: runs[0].environment.device for runs in timed.values()}
    if len(set(devices.values())) > 1:
        listed = both([f"{name} on {device}" for name, device in devices.items()])
        yield f"they ran on different devices, so the times compare these as much as the sides: {listed}"
    precisions = {runs[0].name: runs[0].precision for runs in timed.values()}
    if len(set(precisions.values())) > 1:
        listed = both([f"{name} {precision}" for name, precision in precisions.items()])
        yield (
            f"they compute in different precisions: {listed}; a shorter number is less work, and the values "
            "agree only as far as the lowest precision tells"
        )


def _noise(timed: Times, *, precision: float) -> Iterator[str]:
    seconds = {runs[0].name: _seconds(runs) for runs in timed.values()}
    widths = {label: relative_width(of) for label, of in seconds.items()}
    if wide := {label: width for label, width in widths.items() if width > precision}:
        listed = both([f"{label} {plus_minus(width)}" for label, width in wide.items()])
        yield (
            f"medians that are known less well than the ±{number(100 * precision)} % wanted: {listed}; give "
            "it more time with --budget"
        )
    far = {label: outliers(of) for label, of in seconds.items()}
    if any(far.values()):
        listed = both([f"{many} of {len(seconds[label])} of {label}" for label, many in far.items() if many])
        yield f"runs that took far longer or shorter than the others: {listed}"


def _disturbed(found: Sequence[Conditions], *, threads: int) -> Iterator[str]:
    wall_s, cores = sum(one.wall_s for one in found), found[0].cores
    others = _cores_of([one.others_cpu_s for one in found], wall_s)
    load = statistics.median(one.load for one in found)
    advice = "stop what else runs there, and measure again"
    if others is not None and others > MOST_LOAD * cores:
        yield f"other programs took {others:.1f} of the host's {count(cores, 'core')} meanwhile; {advice}"
    elif others is None and load - threads > MOST_LOAD * cores:
        yield f"the host was busy with other work: a load of {load:.1f} on {count(cores, 'core')}; {advice}"
    stolen = _cores_of([one.stolen_s for one in found], wall_s)
    if stolen is not None and stolen > MOST_STOLEN:
        yield (
            f"the host is a virtual machine that was kept waiting for {number(100 * stolen)} % of the time; "
            "measure on one with cores of its own"
        )
    throttled_s = sum(one.throttled_s or 0.0 for one in found)
    if throttled_s > 0.01 * wall_s:
        yield (
            f"a CPU quota held the workers back for {throttled_s:.1f} s; give their containers whole cores "
            "(cpus: in docker-compose.yml)"
        )
    if governors := {one.governor for one in found} - {None, "performance"}:
        yield (
            f"the CPUs' clock rate follows the load (governor {both(sorted(map(str, governors)))}); "
            "the governor performance keeps it steady"
        )


def _cores_of(seconds: Sequence[float | None], wall_s: float) -> float | None:
    """Return the CPU seconds of all runs as a number of cores; None unless all were counted."""
    known = [one for one in seconds if one is not None]
    return sum(known) / wall_s if wall_s and len(known) == len(seconds) else None
