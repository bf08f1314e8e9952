"""A program of Keras 2, in an environment of its own, against its port to PyTorch: `make keras-2`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from likewise.producer.port.channels import Pipe
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.ladder import climb
from likewise.producer.port.models import PortCheck
from likewise.producer.port.pairing import Pairing

from .batches import batch_for
from .conftest import CODE, PROGRAMS, interpreter

PYTHON = os.environ.get("LIKEWISE_TEST_PYTHON_KERAS_2")
pytestmark = pytest.mark.skipif(PYTHON is None, reason="make keras-2 makes the environment that this needs")
CHANGES = (
    ("import keras\n", "import tf_keras as keras\n"),
    ("from keras import layers, ops", "from tf_keras import layers"),
    ("from keras import layers", "from tf_keras import layers"),
    ("keras.ops.", "ops."),
    ("ops.mean", "tf.reduce_mean"),
    ("ops.sum", "tf.reduce_sum"),
    ("ops.square", "tf.square"),
    ("negative_slope=", "alpha="),
)
NAMES = ("mlp", "conv", "autoencoder", "stacked", "video")
Check = Callable[..., PortCheck]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check a pair whose Keras side is written in Keras 2, after an edit of its other side."""

    def checked(name: str, *edits: tuple[str, str]) -> PortCheck:
        sides = (("keras", "tensorflow", Path(str(PYTHON))), ("torch", "torch", interpreter("torch")))
        hosts = [
            Hosted(label, framework, Pipe(framework, python, CODE)) for label, framework, python in sides
        ]
        with hosts[0], hosts[1]:
            for host in hosts:
                text = (PROGRAMS / f"{name}_{host.label}.py").read_text()
                for old, new in CHANGES if host.label == "keras" else edits:
                    assert host.label == "keras" or text.count(old) == 1
                    text = text.replace(old, new)
                if host.label == "keras":
                    text = text.replace("import tf_keras", "import tensorflow as tf\nimport tf_keras", 1)
                file = tmp_path / f"{name}_{host.label}.py"
                file.write_text(text)
                host.open(file, None, "float64")
            pairing = Pairing(hosts[0], hosts[1], batch_for(name), precision="float64", tell=lambda _: None)
            return climb(pairing)

    return checked


@pytest.mark.parametrize("name", NAMES)
def test_a_right_port_of_keras_2_holds_on_every_rung(check: Check, name: str) -> None:
    found = check(name)
    assert not found.findings, [one.text for one in found.findings]
    assert {row.status for row in found.mapping} == {"proved"}
    assert {rung.name for rung in found.rungs if rung.status == "holds"} >= {
        *("settings", "mapping", "forward", "loss", "gradients", "update", "updates", "training_mode"),
    }


@pytest.mark.parametrize(
    ("name", "edit", "path", "line"),
    [
        ("conv", ("eps=1e-3, ", ""), "norm", "norm"),
        ("conv", ("nn.LeakyReLU(0.2)", "nn.LeakyReLU()"), "leaky_re_lu", "LeakyReLU"),
        ("conv", (", eps=1e-7", ""), "optimizer.epsilon", "Adam"),
        ("autoencoder", ("F.elu", "F.relu"), "elu", "elu"),
        ("video", ("F.max_pool2d", "F.avg_pool2d"), "frames.frame.shrink", "MaxPooling2D"),
    ],
)
def test_a_planted_fault_is_named_with_the_line_of_keras_2(
    check: Check, name: str, edit: tuple[str, str], path: str, line: str
) -> None:
    found = check(name, edit)
    first = next(rung.first_cause for rung in found.rungs if rung.status == "fails")
    assert first is not None
    assert path in first.path, first.text
    file, _, number = first.lines["keras"].partition(":")
    assert file == f"{name}_keras.py", first.lines
    said = (PROGRAMS / file).read_text().splitlines()[int(number) - 2]  # one line was put before it
    assert line in said, said
