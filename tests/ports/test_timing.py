"""Two programs timed as they are written, and ranked only where the check says that they do the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.producer.port.channels import Pipe
from likewise.producer.port.exchanged import FedBatch, TimedPlan
from likewise.producer.port.hosted import Hosted

from .conftest import CODE, PROGRAMS, interpreter
from .test_port_command import likewise

X = np.random.default_rng(0).normal(size=(20, 12))
BATCH = FedBatch({"x": X}, np.arange(20) % 3)
LOSS = "def loss(outputs, targets):\n"


@pytest.fixture(scope="module")
def fresh() -> Iterator[dict[str, Hosted]]:
    """Both hosts, in which nothing was watched or widened."""
    with (
        Hosted("keras", "tensorflow", Pipe("tensorflow", interpreter("tensorflow"), CODE)) as keras,
        Hosted("torch", "torch", Pipe("torch", interpreter("torch"), CODE)) as torch,
    ):
        yield {"keras": keras, "torch": torch}


def timed(
    host: Hosted, text: str, folder: Path, *, loader: bool = False, size: int | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a program's first timed run and one of five updates came to."""
    file = folder / f"side_{host.label}.py"
    file.write_text(text)
    host.open(file, None, "as_written")
    host.name_inputs(["x"])
    host.ready(BATCH, TimedPlan(loader=loader, size=size, order=None))
    return host.time(0, infers=True), host.time(5, infers=True)


def program(label: str, *more: str) -> str:
    return "\n".join(((PROGRAMS / f"mlp_{label}.py").read_text(), *more))


@pytest.mark.parametrize("label", ["keras", "torch"])
def test_a_first_run_tells_what_compiling_takes_and_a_later_one_its_updates(
    fresh: dict[str, Hosted], tmp_path: Path, label: str
) -> None:
    first, later = timed(fresh[label], program(label), tmp_path)
    assert first["first_s"] > 0
    assert later["first_s"] == 0
    assert (later["updates"], later["samples"]) == (5, 100)
    assert later["train_s"] > 0
    assert later["infer_s"] > 0
    assert later["conditions"]["cores"] >= 1


@pytest.mark.parametrize("label", ["keras", "torch"])
def test_the_weights_are_those_that_a_run_begins_with_after_each(
    fresh: dict[str, Hosted], tmp_path: Path, label: str
) -> None:
    host = fresh[label]
    timed(host, program(label), tmp_path)
    before = host.weights()
    host.time(5, infers=False)
    after = host.weights()
    assert all(np.array_equal(one, after[name]) for name, one in before.items())


def test_a_step_that_is_a_tf_function_runs_as_one(fresh: dict[str, Hosted], tmp_path: Path) -> None:
    step = """
import tensorflow as tf

@tf.function
def step(model, optimizer, batch):
    assert not tf.executing_eagerly(), "it runs eagerly"
    with tf.GradientTape() as tape:
        value = loss(model(batch["x"], training=True), batch["y"])
    optimizer.apply_gradients(zip(tape.gradient(value, model.trainable_variables), model.trainable_variables))
    return value
"""
    _, later = timed(fresh["keras"], program("keras", step), tmp_path)
    assert later["updates"] == 5


def test_a_compiled_model_is_trained_by_what_it_is_compiled_with(
    fresh: dict[str, Hosted], tmp_path: Path
) -> None:
    text = program("keras").partition("def loss")[0].replace("return keras", "made = keras")
    text += "    made.compile('sgd', 'sparse_categorical_crossentropy')\n    return made\n"
    timed(fresh["keras"], text, tmp_path)
    told = fresh["keras"].ready(BATCH, TimedPlan(loader=False, size=None, order=None))
    assert told["environment"]["execution"] == "train_on_batch, as it is compiled"


def test_a_program_is_timed_in_its_own_precision(fresh: dict[str, Hosted], tmp_path: Path) -> None:
    text = program("torch").replace(
        "        return self.head(self.body(x))",
        "        assert x.dtype == torch.float32, x.dtype\n        return self.head(self.body(x))",
    )
    timed(fresh["torch"], text, tmp_path)
    told = fresh["torch"].ready(BATCH, TimedPlan(loader=False, size=None, order=None))
    assert told["environment"]["precision"] == "float32"


@pytest.mark.parametrize(
    ("label", "data"),
    [
        (
            "torch",
            "def data(split):\n    from torch.utils.data import DataLoader, TensorDataset\n"
            "    return DataLoader(TensorDataset(torch.randn(24, 12), torch.arange(24) % 3), batch_size=8)\n",
        ),
        (
            "keras",
            "def data(split):\n    import numpy as np\n"
            "    return np.ones((24, 12), np.float32), np.arange(24) % 3\n",
        ),
    ],
)
def test_a_program_s_own_loader_feeds_it_round_and_round(
    fresh: dict[str, Hosted], tmp_path: Path, label: str, data: str
) -> None:
    first, later = timed(fresh[label], program(label, data), tmp_path, loader=True, size=8)
    assert (first["samples"], later["samples"]) == (3 * 8, 5 * 8)


def _bench(folder: Path, home: Path, environments: Path, edit: tuple[str, str]) -> dict[str, Any]:
    for label in ("keras", "torch"):
        text = program(label)
        if label == "torch":
            assert edit[0] in text
            text = text.replace(*edit)
        (folder / f"{label}_side.py").write_text(text)
    np.savez(folder / "batch.npz", x=X, y=np.arange(20) % 3)
    (folder / "port.yaml").write_text(
        "schema_version: 1\nname: mlp\ndata: {type: npz, path: batch.npz}\n"
        "training: {updates: 20, batch_size: 10}\n"
        "sides:\n  keras: {program: keras_side.py}\n  torch: {program: torch_side.py}\n"
    )
    answer = likewise(
        *("bench", "port.yaml", "--budget", "1", "--report", "bench.json"),
        home=home, environments=environments, cwd=folder,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert "timing both programs as they are written" in answer.stderr
    shown = likewise("show", "last", "--json", home=home, environments=environments, cwd=folder)
    document: dict[str, Any] = json.loads((folder / "bench.json").read_text())
    assert json.loads(shown.stdout) == document, "it is kept"
    return document


def test_a_side_that_sleeps_is_ranked_last(tmp_path: Path, home: Path, environments: Path) -> None:
    slow = (LOSS, LOSS + "    import time\n    time.sleep(0.02)\n")
    found = _bench(tmp_path, home, environments, slow)
    assert found["verdict"] == "agree"
    assert [one["side"] for one in found["ranking"]] == ["keras", "torch"]
    assert found["ranking"][1]["slower"]
    assert found["work"].endswith("of 10 rows and a pass over the batch")
    assert {one["variant"] for one in found["rows"]} == {"own"}
    assert all(one["process_bytes"] > 0 for one in found["peak_bytes"])


def test_programs_that_do_not_do_the_same_are_not_ranked(
    tmp_path: Path, home: Path, environments: Path
) -> None:
    found = _bench(tmp_path, home, environments, ("momentum=0.9", "momentum=0.8"))
    assert found["verdict"] == "differ"
    assert found["ranking"] is None
    assert "momentum is 0.9 in keras and 0.8 in torch" in found["ranking_withheld_because"]
    assert {one["phase"] for one in found["rows"]} >= {
        "import",
        "compile",
        "step",
        "train",
        "inference",
        "run",
    }
