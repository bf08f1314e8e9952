"""Right ports hold on every rung; each planted fault is named first, where it was planted."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from likewise.producer.port.file import read_port
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.ladder import climb
from likewise.producer.port.models import PortCheck, PortFinding
from likewise.producer.port.new import write_port
from likewise.producer.port.pairing import Pairing
from likewise.shared.errors import DataError, RunFailedError

from . import faults_as_written, faults_of_data, faults_of_nets, faults_of_trainings
from .batches import BATCHES, batch_for
from .conftest import PROGRAMS
from .faults import FAULTS, Fault

EVERY = [
    *FAULTS,
    *faults_of_nets.FAULTS,
    *faults_of_trainings.FAULTS,
    *faults_of_data.FAULTS,
    *faults_as_written.FAULTS,
]
PART = 4
"""A run has one fault in so many of each pair that is not long; `make ports` has all."""
STEPPING = {"gan", "averaged", "accumulate", "schedule", "clipped", "policy", "dcgan"}
"""Pairs whose programs have a step() of their own, and no loss()."""
LOADERS = ("data", "evaluate")


WHOLE = os.environ.get("LIKEWISE_PORTS") == "all"
LONG = {"scaled", "inception", "cloze", "encoder", "tutorial", "mobile", "dcgan", "squeeze"}
"""Large pairs, each of a kind of which a smaller one is there, too; only `make ports` has their faults."""
SHORT = [name for name in BATCHES if WHOLE or name != "scaled"]


def chosen() -> list[Fault]:
    """Return the faults of this run."""
    if WHOLE:
        return EVERY
    short = [pair for pair in BATCHES if pair not in LONG]
    return [fault for pair in short for fault in [one for one in EVERY if one.pair == pair][::PART]]


@pytest.mark.parametrize("name", SHORT)
def test_a_right_port_holds_on_every_rung(check: Callable[..., PortCheck], name: str) -> None:
    found = check(name)
    failing = [(rung.name, rung.text) for rung in found.rungs if rung.status == "fails"]
    assert not failing
    assert not found.findings
    uncalled = {row.status for row in found.mapping if "smooth" in row.names.get("keras", "")}
    trained = [row for row in found.mapping if row.why != "a constant, which nothing trains"]
    assert {row.status for row in trained} - uncalled == {"proved"}
    apart = {"loss"} if name in STEPPING else set()
    assert {rung.name for rung in found.rungs if rung.status == "holds"} >= {
        *("settings", "mapping", "forward", "loss", "gradients", "update", "updates", "training_mode"),
    } - apart


@pytest.mark.parametrize("name", dict.fromkeys(["conv", *SHORT[:: 1 if WHOLE else 6]]))
def test_a_right_port_holds_whichever_program_is_the_reference(
    check: Callable[..., PortCheck], name: str
) -> None:
    found = check(name, reference="torch")
    assert found.agrees, [one.text for one in found.findings]


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


REVERSED = {"transformer: ", "tied: h", "conv: F.avg_pool2d(x, 2)"}
"""Faults that a run names with PyTorch as the reference, too; `make ports` has nearly all."""
BY_CHANCE = "pictures: argmin(1)"
"""With PyTorch's weights as many are right by the smallest as by the largest."""

OTHER_LINE = {"cloze: .bool().logical_not()", "cloze: float(self.size)", "crossing: self.cross_attn(x, x)"}
"""Faults that are named a line or two before where they show, within the same attention."""


@pytest.mark.parametrize("fault", [one for one in EVERY if WHOLE or str(one) in REVERSED], ids=str)
def test_a_planted_fault_is_named_first_with_pytorch_as_the_reference(
    check: Callable[..., PortCheck], fault: Fault
) -> None:
    if str(fault) == BY_CHANCE:
        pytest.skip("both evaluations say the same of these weights")
    edits = ((fault.old, fault.new), *fault.more)
    found = check(fault.pair, side=fault.side, edits=edits, reference="torch")
    first = next((rung.first_cause for rung in found.rungs if rung.status == "fails"), None)
    assert first is not None
    told = f"{first.rung}: {first.text}"
    assert first.rung == fault.rung, told
    assert fault.setting is None or first.setting == fault.setting, told
    if str(fault) not in OTHER_LINE:
        assert_line(first, fault)


def assert_line(first: PortFinding, fault: Fault) -> None:
    """Assert that the line lies in the function or class of an edit, or is the one that the fault names.

    Where a finding names no line of this side, it names one of the other.
    """
    named = first.lines.get(fault.side)
    if named is None:
        return
    number = int(named.rpartition(":")[2])
    before = after = (PROGRAMS / f"{fault.pair}_{fault.side}.py").read_text()
    starts = [before[: before.index(old)].count("\n") + 1 for old, _ in ((fault.old, fault.new), *fault.more)]
    for old, new in ((fault.old, fault.new), *fault.more):
        after = after.replace(old, new)
    statements = ast.parse(after).body
    around = [one for one in statements if any(one.lineno <= start <= one.end_lineno for start in starts)]
    if fault.rung == "data":  # which is told by the function that gives it
        around += [one for one in statements if getattr(one, "name", "") in LOADERS]
    within = any(one.lineno <= number <= one.end_lineno for one in around)
    said = after.splitlines()[number - 1]
    assert within or (fault.line is not None and fault.line in said), f"{named}: {first.text}"


def test_a_program_that_sets_a_precision_is_checked_in_the_one_that_was_asked_for(
    check: Callable[..., PortCheck],
) -> None:
    old = "from keras import layers, ops\n"
    found = check("separable", side="keras", edits=((old, f"{old}\nkeras.config.set_floatx('float32')\n"),))
    assert found.agrees
    assert "keras asks for float32; here it ran in float64" in found.notes


def test_what_follows_a_module_of_another_shape_is_no_finding_of_its_own(
    check: Callable[..., PortCheck],
) -> None:
    old = "self.stem = Separable(3, 6)\n"
    found = check(
        "separable", side="torch", edits=((old, f"{old}        self.stem.depth.stride = (2, 2)\n"),)
    )
    assert [(one.path, one.setting) for one in found.findings if one.rung in ("settings", "forward")] == [
        ("stem.depthwise", "strides")
    ], [one.text for one in found.findings]


def test_two_faults_between_the_same_modules_of_a_time_distributed_stack_are_both_told(
    check: Callable[..., PortCheck],
) -> None:
    edits = (
        ("F.max_pool2d(F.relu(self.edges(x)), 2)", "F.avg_pool2d(F.leaky_relu(self.edges(x)), 2)"),
        ("torch.tanh(", "torch.sigmoid("),
    )
    found = check("video", side="torch", edits=edits)
    told = [one.path for one in found.findings if one.rung == "forward"]
    assert told == ["frames.frame.rectify", "frames.frame.shrink", "tanh"], [
        one.text for one in found.findings
    ]
    frames = "video.flatten(0, 1)"
    steps_first = (
        (frames, "video.transpose(0, 1).flatten(0, 1)"),
        ("frames.unflatten(0, video.shape[:2])", "frames.unflatten(0, (3, -1)).transpose(0, 1)"),
    )
    assert check("video", side="torch", edits=steps_first).agrees


def test_a_program_whose_numbers_end_is_told_with_the_call_and_what_follows_is_checked(
    check: Callable[..., PortCheck],
) -> None:
    edits = (("self.head(self.body(x))", "self.head(self.body(x) / 0)"),)
    found = check("mlp", side="torch", edits=edits)
    assert [one.path for one in found.findings] == ["head"], [one.text for one in found.findings]
    told = "96 of 96 that leave div at mlp_torch.py:19 are infinite, the first to be so"
    assert f"the outputs of torch are no finite numbers: {told}" in found.notes
    status = {rung.name: rung.status for rung in found.rungs}
    assert status["mapping"] == status["loss"] == "holds"
    with pytest.raises(DataError, match=f"{told}; give a batch with which they are, or name keras's program"):
        check("mlp", side="torch", edits=edits, reference="torch")


def test_a_weight_that_a_program_does_not_have_is_refused(hosts: tuple[Hosted, Hosted]) -> None:
    for host in hosts:
        host.open(PROGRAMS / f"mlp_{host.label}.py", None, "float64")
        host.feed(batch_for("mlp"))
        with pytest.raises(RunFailedError, match=r"the program has no weight nowhere\.kernel; its first"):
            host.load({"nowhere.kernel": np.zeros(2)})


@pytest.mark.parametrize("reversed_", [False, True], ids=["of keras", "of torch"])
def test_pictures_may_have_their_channels_where_either_framework_has_them(
    hosts: tuple[Hosted, Hosted], *, reversed_: bool
) -> None:
    for host in hosts:
        host.open(PROGRAMS / f"mobile_{host.label}.py", None, "float64")
    given = batch_for("mobile")
    batch = replace(given, inputs={"x": np.moveaxis(given.inputs["x"], -1, 1)})
    one, two = hosts[::-1] if reversed_ else hosts
    found = climb(
        Pairing(one, two, batch, precision="float64", tell=lambda _: None),
        until="forward",
        tell=lambda _: None,
    )
    assert found.agrees, [one.text for one in found.findings]
    assert "keras was fed the batch with its axes as channels last" in found.notes


def test_a_reference_that_moves_the_channels_itself_is_fed_as_its_first_module_shows(
    hosts: tuple[Hosted, Hosted], tmp_path: Path
) -> None:
    keras, torch = hosts
    text = (PROGRAMS / "pictures_torch.py").read_text()
    old = "def forward(self, x):\n"
    assert text.count(old) == 1
    inside = f"{old}        x = x.reshape(-1, 5, 5, 3).permute(0, 3, 1, 2)\n"

    def checked(more: str) -> PortCheck:
        (tmp_path / "side.py").write_text(f"{text.replace(old, inside)}\n{more}")
        keras.open(PROGRAMS / "pictures_keras.py", None, "float64")
        torch.open(tmp_path / "side.py", None, "float64")
        pairing = Pairing(torch, keras, batch_for("pictures"), precision="float64", tell=lambda _: None)
        return climb(pairing, until="forward", tell=lambda _: None)

    found = checked("")
    assert found.agrees, [one.text for one in found.findings]
    assert not any("axes" in note for note in found.notes)
    assert not checked('inputs = {"x": {"layout": "channels first"}}\n').agrees
    with pytest.raises(DataError, match="torch: its inputs say that x lies as 'last'; a layout is one of"):
        checked('inputs = {"x": {"layout": "last"}}\n')


def test_each_side_takes_over_what_its_program_defines(tmp_path: Path) -> None:
    programs = [str(PROGRAMS / f"dcgan_{label}.py") for label in ("keras", "torch")]
    write_port(read_port(programs, None), tmp_path, force=False)
    for label in ("keras", "torch"):
        text = (tmp_path / f"{label}_side.py").read_text()
        assert f"from dcgan_{label} import model as make, optimizer, step\n" in text
        assert "def loss" not in text
