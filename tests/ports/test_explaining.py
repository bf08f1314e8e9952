"""What the settings of two programs do to their trainings: each is switched on the live objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.producer.blame.explanation import Explanation
from likewise.producer.port.explaining import PortQuestion, explain_opened
from likewise.producer.port.file import Port, PortPlan, SideProgram
from likewise.producer.port.flow import OpenPort
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.pairing import PortStart

from .batches import batch_for
from .conftest import PROGRAMS
from .test_port_command import likewise

MOMENTUM = ("momentum=0.9", "momentum=0.5")
EPSILON = ("eps=1e-5", "eps=1e-2")


def explained(
    hosts: tuple[Hosted, Hosted],
    folder: Path,
    *edits: tuple[str, str],
    side: str = "torch",
    name: str = "mlp",
    **question: Any,
) -> Explanation:
    programs = []
    for host in hosts:
        text = (PROGRAMS / f"{name}_{host.label}.py").read_text()
        for old, new in edits if host.label == side else ():
            assert old in text
            text = text.replace(old, new)
        file = folder / f"{name}_{host.label}.py"
        file.write_text(text)
        host.open(file, None, "float64")
        programs.append(SideProgram(host.label, host.framework, file, None, None))
    port = Port("mlp", (programs[0], programs[1]), None, "float64", training=PortPlan(updates=10))
    asked = {"seeds": (0, 1), "most_combined": 4, "budget_s": 60.0, **question}
    found = OpenPort(hosts, batch_for(name), PortStart())
    return explain_opened(port, found, PortQuestion(**asked), tell=lambda _: None).explanation


def test_what_each_setting_closes_of_the_gap_adds_up_to_it(
    hosts: tuple[Hosted, Hosted], tmp_path: Path
) -> None:
    found = explained(hosts, tmp_path, MOMENTUM, EPSILON)
    shares = {one.path: one.share for one in found.contributions}
    assert set(shares) == {"optimizer.momentum", "norm.epsilon"}
    assert found.mixtures == 4
    assert shares["optimizer.momentum"] > shares["norm.epsilon"] > 0
    assert sum(shares.values()) == pytest.approx(1, abs=1e-4)
    assert abs(found.unexplained_share or 1) < 1e-4
    assert found.sentence.startswith("optimizer.momentum (0.5 against 0.9) explains")
    assert found.contributions[0].fixes["torch"] == "write momentum=0.9 in the optimizer's call"


def test_settings_of_a_keras_program_are_switched_as_well(
    hosts: tuple[Hosted, Hosted], tmp_path: Path
) -> None:
    turned = hosts[1], hosts[0]
    found = explained(
        turned, tmp_path, ("SGD(0.1", "SGD(0.02"), ("epsilon=1e-5", "epsilon=1e-2"), side="keras"
    )
    assert [one.path for one in found.contributions] == ["optimizer.learning_rate", "body.5.epsilon"]
    assert abs(found.unexplained_share or 1) < 1e-4


def test_what_cannot_be_switched_is_named_and_stays_unexplained(
    hosts: tuple[Hosted, Hosted], tmp_path: Path
) -> None:
    other = ("nn.Tanh()", "nn.Sigmoid()"), ("nn.Dropout(0.3)", "nn.Dropout(0.6)")
    found = explained(hosts, tmp_path, ("SGD(", "RMSprop("), *other)
    problems = {one.path: one.problem for one in found.contributions}
    assert problems["optimizer.type"] == "it cannot be switched on the live program"
    assert problems["dropout.rate"] == (
        "both draw the reference's masks in these trainings, so that it does nothing here"
    )
    assert all(one.share is None for one in found.contributions)
    assert found.unexplained_share == 1
    assert "optimizer.type, optimizer.epsilon and optimizer.rho cannot be switched" in found.notes[1]


def test_a_right_port_leaves_nothing_to_explain(hosts: tuple[Hosted, Hosted], tmp_path: Path) -> None:
    found = explained(hosts, tmp_path, seeds=(0,))
    assert found.sentence.startswith("Nothing is left to explain: no setting differs")
    assert found.contributions == ()


def test_a_budget_leaves_seeds_and_settings_out_and_says_so(
    hosts: tuple[Hosted, Hosted], tmp_path: Path
) -> None:
    found = explained(hosts, tmp_path, MOMENTUM, EPSILON, budget_s=0.0)
    assert len(found.seeds) == 1
    assert len(found.left_out) == 1
    assert any("1 setting of 2 left out" in note for note in found.notes)


def test_the_command_keeps_what_it_found(tmp_path: Path, home: Path, environments: Path) -> None:
    for label in ("keras", "torch"):
        text = (PROGRAMS / f"mlp_{label}.py").read_text().replace(*MOMENTUM if label == "torch" else ("", ""))
        (tmp_path / f"{label}_side.py").write_text(text)
    np.savez(tmp_path / "batch.npz", x=np.random.default_rng(0).normal(size=(8, 12)), y=np.arange(8) % 3)
    (tmp_path / "port.yaml").write_text(
        "schema_version: 1\nname: mlp\ndata: {type: npz, path: batch.npz}\ntraining: {updates: 5}\n"
        "sides:\n  keras: {program: keras_side.py}\n  torch: {program: torch_side.py}\n"
    )
    answer = likewise(
        "explain", "port.yaml", "--seeds", "2", "--json", home=home, environments=environments, cwd=tmp_path
    )
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert document["contributions"][0]["path"] == "optimizer.momentum"
    assert document["contributions"][0]["share"] == pytest.approx(1, abs=1e-4)
    shown = likewise("show", "last", "--json", home=home, environments=environments, cwd=tmp_path)
    assert json.loads(shown.stdout) == document
    refused = likewise(
        "explain", "port.yaml", "--side", "keras", home=home, environments=environments, cwd=tmp_path
    )
    assert refused.returncode == 2
    assert "it can be torch" in refused.stderr


@pytest.mark.parametrize("reversed_", [False, True], ids=["of torch", "of keras"])
def test_a_padding_is_switched_on_the_live_convolution(
    hosts: tuple[Hosted, Hosted], tmp_path: Path, *, reversed_: bool
) -> None:
    edits = ("stride=2)", "stride=2, padding=1)"), ("F.pad(x, (0, 1, 0, 1))", "x")
    found = explained(hosts[:: -1 if reversed_ else 1], tmp_path, *edits, name="conv", seeds=(0,))
    (only,) = found.contributions
    assert only.path == "stem.padding"
    assert only.share == pytest.approx(1, abs=1e-4)
    assert abs(found.unexplained_share or 1) < 1e-4


def test_strides_are_switched_where_the_program_runs_with_them(
    hosts: tuple[Hosted, Hosted], tmp_path: Path
) -> None:
    edits = ("stride=2", "stride=1"), ("momentum=0.9", "momentum=0.8")
    found = explained(hosts, tmp_path, *edits, name="squeeze", seeds=(0,))
    shares = {one.path: one.share for one in found.contributions}
    assert any(path.endswith(".strides") and share for path, share in shares.items()), shares


def test_a_schedule_is_switched_by_its_learning_rates(hosts: tuple[Hosted, Hosted], tmp_path: Path) -> None:
    found = explained(hosts, tmp_path, ("gamma=0.7", "gamma=0.9"), name="schedule", seeds=(0,))
    (only,) = found.contributions
    assert only.path == "optimizer.schedule"
    assert only.share == pytest.approx(1, abs=1e-4)
    turned = explained(hosts[::-1], tmp_path, ("gamma=0.7", "gamma=0.9"), name="schedule", seeds=(0,))
    assert turned.contributions[0].share == pytest.approx(1, abs=1e-4)


def test_a_loss_that_sums_is_switched_and_another_one_is_named(
    hosts: tuple[Hosted, Hosted], tmp_path: Path
) -> None:
    loss = "cross_entropy(outputs, targets)"
    edits = (loss, "cross_entropy(outputs, targets, reduction='sum') / 2"), ("lr=0.1", "lr=0.02")
    found = explained(hosts, tmp_path, *edits, seeds=(0,))
    shares = {one.path: one.share for one in found.contributions}
    assert set(shares) == {"loss", "optimizer.learning_rate"}
    assert sum(filter(None, shares.values())) == pytest.approx(1, abs=1e-4)
    smooth = (loss, "cross_entropy(outputs, targets, label_smoothing=0.1)"), ("nn.Tanh()", "nn.Sigmoid()")
    found = explained(hosts, tmp_path, *smooth, seeds=(0,))
    problem = "it is no setting of a live object: the program's own line is to be edited"
    assert {one.path: one.problem for one in found.contributions} == {"tanh": problem, "loss": problem}
    assert any("tanh and loss are code and no setting of a live object" in one for one in found.notes)
