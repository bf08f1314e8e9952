"""What `likewise code` prints: of one job in both frameworks, checked as any port is, and run by itself."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from likewise.producer.advice.program import NotWrittenError
from likewise.producer.advice.whole import WholeProgram, whole_program
from likewise.producer.data.prepare import PreparedRun
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.prepare import prepare_experiment
from likewise.producer.port.exchanged import FedBatch
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.ladder import climb
from likewise.producer.port.pairing import Pairing
from likewise.shared.draws import draw_weights
from tests.planted.clean_jobs import clean_job

from .conftest import interpreter

EXAMPLES = ("article", "matched", "digits", "houses", "diabetes", "naive_port", "wide_and_deep")
DRAWN = int(os.environ.get("LIKEWISE_DRAWN_PROGRAMS", "3"))
"""How many drawn jobs are printed and checked besides."""
ROWS = 12


def run_of(spec: str) -> PreparedRun:
    """The job of the first side, with its data: both frameworks are to train just that."""
    runs = prepare_experiment(read_experiment(spec, ["overrides={}", "seeds=1"])).runs
    return next(iter(runs.values()))


def programs(run: PreparedRun) -> dict[str, WholeProgram]:
    return {
        framework: whole_program(
            replace(run, side=run.side.model_copy(update={"framework": framework})),
            name="job",
            arrays_file="job.npz",
        )
        for framework in ("tensorflow", "torch")
    }


def prove(run: PreparedRun, hosts: tuple[Hosted, Hosted], folder: Path) -> None:
    """Climb all rungs with the programs of one job in both frameworks."""
    written = programs(run)
    for host in hosts:
        file = folder / f"job_{host.label}.py"
        file.write_text(written[host.framework].code)
        np.savez(folder / "job.npz", allow_pickle=False, **written[host.framework].arrays)
        host.open(file, None, "float64")
    job, train = run.job, run.data.train
    x = (np.asarray(train.x[:ROWS], np.float64) - (job.data.mean or 0.0)) / (job.data.scale or 1.0)
    y = train.y[:ROWS]
    if len(job.losses) > 1:
        pytest.skip("port check takes the targets of one loss alone")
    batch = FedBatch({"x": x}, y if job.only_loss.task == "multiclass" else y.astype(np.float64))
    found = climb(Pairing(*hosts, batch, precision="float64", tell=lambda _: None))
    rungs = {rung.name: (rung.status, rung.text) for rung in found.rungs}
    failed = {name: told for name, told in rungs.items() if told[0] == "fails"}
    codes = "\n\n".join(one.code for one in written.values())
    assert not failed, f"{failed}\n{[one.text for one in found.findings]}\n{codes}"
    assert rungs["updates"][0] == "holds"


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_programs_of_an_example_are_equal(
    name: str, hosts: tuple[Hosted, Hosted], tmp_path: Path
) -> None:
    prove(run_of(name), hosts, tmp_path)


FROZEN = [
    {"type": "conv1d", "filters": 4, "kernel_size": 2},
    {"type": "multi_head_attention", "num_heads": 2, "key_dim": 3},
    {"type": "layer_norm"},
    {"type": "gru", "units": 2, "return_sequences": True},
]


def test_the_programs_of_frozen_layers_are_equal(hosts: tuple[Hosted, Hosted], tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    layers = [{**layer, "trainable": False} for layer in FROZEN]
    job = {
        "data": {"type": "inline", "x": draw.normal(size=(12, 15)).tolist(), "y": [0, 1] * 6},
        "model": {
            "layers": [
                {"type": "reshape", "target_shape": [5, 3]},
                *layers,
                {"type": "flatten"},
                {"type": "dense", "units": 2},
            ]
        },
        "loss": "categorical_crossentropy",
        "optimizer": {"type": "sgd", "learning_rate": 0.1},
        "training": {"epochs": 1, "batch_size": 6},
    }
    (tmp_path / "frozen.yaml").write_text(yaml.safe_dump(job))
    prove(run_of(str(tmp_path / "frozen.yaml")), hosts, tmp_path)


@pytest.mark.parametrize("number", range(DRAWN))
def test_the_programs_of_a_drawn_job_are_equal(
    number: int, hosts: tuple[Hosted, Hosted], tmp_path: Path
) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(yaml.safe_dump(clean_job(number)))
    try:
        prove(run_of(str(job)), hosts, tmp_path)
    except NotWrittenError as error:
        pytest.skip(f"no plain program says {error}")


@pytest.mark.parametrize(
    ("name", "loss", "predictions"), [("houses", "0.0", "[["), ("two_heads", "", "{'rooms': ")]
)
@pytest.mark.parametrize("framework", ["tensorflow", "torch"])
def test_a_program_runs_by_itself(
    framework: str, name: str, loss: str, predictions: str, tmp_path: Path
) -> None:
    written = programs(run_of(name))[framework]
    file = tmp_path / "job.py"
    file.write_text(written.code)
    np.savez(tmp_path / "job.npz", allow_pickle=False, **written.arrays)
    said = subprocess.run(
        [interpreter(framework), file], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    assert f"test loss: {loss}" in said
    assert f"predictions: {predictions}" in said


def test_a_program_with_a_shared_start_begins_where_all_sides_do(tmp_path: Path) -> None:
    run = prepare_experiment(
        read_experiment("article", ["initial_weights=shared", "overrides={}", "training.epochs=1"])
    ).runs["torch"]
    own = whole_program(run, name="job", arrays_file="job.npz").code
    written = whole_program(run, name="job", arrays_file="job.npz", seed=3)
    assert "It draws its own initial weights" in own
    assert "It draws its own initial weights" not in written.code
    (tmp_path / "job.py").write_text(written.code)
    np.savez(tmp_path / "job.npz", allow_pickle=False, **written.arrays)
    kernel = draw_weights(run.program, seed=3, precision="float32")["layers.0.kernel"]
    train = run.data.train
    loss = float(np.mean((train.x @ np.float64(kernel) - train.y.reshape(-1, 1)) ** 2))
    said = subprocess.run(
        [interpreter("torch"), tmp_path / "job.py"], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    told = float(said.splitlines()[0].removeprefix("epoch 1: loss "))
    assert told == pytest.approx(loss, rel=1e-5), "the loss of the first epoch is that of the start"


def test_programs_in_other_words_have_the_same_shared_start() -> None:
    runs = prepare_experiment(
        read_experiment(
            {
                "name": "words",
                "data": {"type": "synthetic", "kind": "regression", "samples": 8, "features": 4},
                "model": {"layers": [{"type": "dense", "units": 3}, {"type": "dense", "units": 1}]},
                "loss": "mse",
                "optimizer": "sgd",
                "training": {"epochs": 1},
                "overrides": {
                    "torch": {
                        "model.layers": [
                            {"type": "reshape", "target_shape": [2, 2]},
                            {"type": "flatten"},
                            {"type": "dense", "units": 3},
                            {"type": "dense", "units": 1},
                        ]
                    }
                },
            }
        )
    ).runs
    starts = [
        list(whole_program(run, name="job", arrays_file="job.npz", seed=3).arrays.items())
        for run in runs.values()
    ]
    weights = [[array for name, array in one if name.startswith("layers.")] for one in starts]
    assert len(weights[0]) == 4
    assert all(np.array_equal(one, two) for one, two in zip(*weights, strict=True))
