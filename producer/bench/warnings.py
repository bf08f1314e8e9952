"""What to know before the times are believed: noise, other work on the host, runs begun again. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from producer.bench.models import Timed, Variant
from producer.bench.statistics import outliers, relative_width
from producer.display import both, count, number, plus_minus
from shared.results.run_result import Conditions

MOST_LOAD = 0.25
"""Of the cores: what others may use of them before they disturb."""
MOST_STOLEN = 0.02
"""Of the time of one core: what a hypervisor may take."""

Times = Mapping[Variant, Sequence[Timed]]


def warnings(first: Mapping[Variant, Timed], timed: Times, *, precision: float) -> Iterator[str]:
    """A sentence for each, with what to do. `first` has each variant's first run, `timed` those after it."""
    threads = {variant.label: runs[0].environment.threads for variant, runs in timed.items() if runs}
    if len(set(threads.values())) > 1:
        told = both([f"{label} {used}" for label, used in threads.items()])
        yield f"they do not use the same number of threads: {told}"
    yield from _noise(timed, precision=precision)
    runs = [one for runs in timed.values() for one in runs]
    if again := {one.variant.label: None for one in (*first.values(), *runs) if one.attempt > 1}:
        yield (
            f"runs of {both([*again])} were begun again, since their worker died or stopped; its log has "
            "why, and their time in the queue is left out"
        )
    whole_life = [
        variant.label for variant, one in first.items() if one.peak_bytes and one.grown_bytes is None
    ]
    if whole_life:
        yield (
            f"the peak memory of {both(whole_life)} is that of the worker's whole life: its system does not "
            "let a process forget its peak (/proc/self/clear_refs)"
        )
    conditions = [one.conditions for one in runs if one.conditions]
    if conditions:
        yield from _disturbed(conditions, threads=max(threads.values()))


def _noise(timed: Times, *, precision: float) -> Iterator[str]:
    seconds = {variant.label: [one.phases["run"] for one in runs] for variant, runs in timed.items()}
    widths = {label: relative_width(of) for label, of in seconds.items()}
    if wide := {label: width for label, width in widths.items() if width > precision}:
        told = both([f"{label} {plus_minus(width)}" for label, width in wide.items()])
        yield (
            f"medians that are known less well than the ±{number(100 * precision)} % wanted: {told}; give it "
            "more time with --budget"
        )
    far = {label: outliers(of) for label, of in seconds.items()}
    if any(far.values()):
        told = both([f"{many} of {len(seconds[label])} of {label}" for label, many in far.items() if many])
        yield f"runs that took far longer or shorter than the others: {told}"


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
    """CPU seconds of all runs as a number of cores; None unless all were counted."""
    known = [one for one in seconds if one is not None]
    return sum(known) / wall_s if wall_s and len(known) == len(seconds) else None
