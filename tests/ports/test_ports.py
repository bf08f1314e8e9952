"""Right ports hold on every rung; each planted fault is named first, where it was planted."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from datetime import date

import pytest

from likewise.producer.port.models import PortCheck, PortFinding

from . import faults_of_data, faults_of_nets, faults_of_trainings
from .batches import BATCHES
from .conftest import PROGRAMS
from .faults import FAULTS, Fault

EVERY = [*FAULTS, *faults_of_nets.FAULTS, *faults_of_trainings.FAULTS, *faults_of_data.FAULTS]
PART = 3
"""A run has one fault in so many of each pair, others each day; `make ports` has all."""
STEPPING = {"gan", "averaged", "accumulate", "schedule", "clipped", "policy"}
"""Pairs whose programs have a step() of their own, and no loss()."""


def chosen() -> list[Fault]:
    """Return the faults of this run."""
    if os.environ.get("LIKEWISE_PORTS") == "all":
        return EVERY
    today = date.today().toordinal()
    found = []
    for pair in BATCHES:
        own = [fault for fault in EVERY if fault.pair == pair]
        found += own[today % min(PART, len(own) or 1) :: PART]
    return found


@pytest.mark.parametrize("name", BATCHES)
def test_a_right_port_holds_on_every_rung(check: Callable[..., PortCheck], name: str) -> None:
    found = check(name)
    failing = [(rung.name, rung.text) for rung in found.rungs if rung.status == "fails"]
    assert not failing
    assert not found.findings
    uncalled = {row.status for row in found.mapping if "smooth" in row.names["keras"]}
    assert {row.status for row in found.mapping} - uncalled == {"proved"}
    apart = {"loss"} if name in STEPPING else set()
    assert {rung.name for rung in found.rungs if rung.status == "holds"} >= {
        *("settings", "mapping", "forward", "loss", "gradients", "update", "updates", "training_mode"),
    } - apart


def test_there_are_thirty_right_ports_with_three_faults_each_and_a_hundred_in_all() -> None:
    own = {pair: sum(fault.pair == pair for fault in EVERY) for pair in BATCHES}
    assert len(own) >= 30
    assert min(own.values()) >= 3
    assert sum(own.values()) == len(EVERY) >= 100


@pytest.mark.parametrize("fault", chosen(), ids=str)
def test_a_planted_fault_is_named_first(check: Callable[..., PortCheck], fault: Fault) -> None:
    found = check(fault.pair, side=fault.side, edits=((fault.old, fault.new), *fault.more))
    assert not found.agrees
    first = next(rung.first_cause for rung in found.rungs if rung.status == "fails")
    assert first is not None
    told = f"{first.rung}: {first.text}"
    assert first.rung == fault.rung, told
    assert fault.path in first.path, told
    assert fault.setting is None or first.setting == fault.setting, told
    assert_line(first, fault)


def assert_line(first: PortFinding, fault: Fault) -> None:
    """The line that is named is that of an edit, the next one, that of the function around it, or where a
    finding names no line of this side, one of the other side.
    """
    before = (PROGRAMS / f"{fault.pair}_{fault.side}.py").read_text()
    assert first.lines, f"no line: {first.text}"
    named = first.lines.get(fault.side)
    if named is None:
        return
    number = int(named.rpartition(":")[2])
    after, accepted = before, set()
    for old, new in ((fault.old, fault.new), *fault.more):
        after = after.replace(old, new)
    if fault.line is not None:
        accepted = {n for n, line in enumerate(after.splitlines(), start=1) if fault.line in line}
    for old, new in ((fault.old, fault.new), *fault.more):
        start = before[: before.index(old)].count("\n") + 1
        accepted |= set(range(start, start + max(old.count("\n"), new.count("\n")) + 2))
        accepted |= {one.lineno for one in ast.parse(after).body if one.lineno <= start <= one.end_lineno}
    assert number in accepted, f"{named} of {sorted(accepted)}: {first.text}"


def test_a_program_that_sets_a_precision_is_checked_in_the_one_that_was_asked_for(
    check: Callable[..., PortCheck],
) -> None:
    old = "from keras import layers, ops\n"
    found = check("separable", side="keras", edits=((old, f"{old}\nkeras.config.set_floatx('float32')\n"),))
    assert found.agrees
    assert "keras sets float32 for all its layers; here it ran in float64" in found.notes
