"""A trained model is written out, and predicts the same in its framework's environment, without Likewise."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

JOB = {
    "name": "small",
    "data": {
        "type": "inline",
        "x": [[number % 7, number * 0.5, 100.0 - number] for number in range(40)],
        "y": [[50.0 + 3 * (number % 7) - number] for number in range(40)],
        "standardize": True,
    },
    "model": {
        "layers": [
            {"type": "dense", "units": 4, "activation": "tanh"},
            {"type": "batch_norm"},
            {"type": "dropout", "rate": 0.5},
            {"type": "dense", "units": 1},
        ]
    },
    "loss": "mse",
    "optimizer": {"type": "sgd", "learning_rate": 0.001},
    "training": {"epochs": 3, "batch_size": 10},
    "execution": "eager",
    "seeds": 2,
    "predict": [[1.0, 3.0, 90.0], [6.0, 18.0, 61.0]],
}
BY_NAME = (
    "import json, runpy\n"
    "found = runpy.run_path(sys.argv[1])['predict'](json.loads(sys.argv[2]))\n"
    "print(json.dumps([[*map(float, (*size, *kind))] for size, kind in zip(found['size'], found['kind'])]))\n"
)
PREDICT = """
import json, runpy, sys
print(json.dumps(runpy.run_path(sys.argv[1])["predict"](json.loads(sys.argv[2])).tolist()))
"""
LOAD = {
    "torch": """
import json, runpy, sys, torch
program = runpy.run_path(sys.argv[1])
network = program["Net"]().eval()
for weight in network.parameters(): weight.data.zero_()
network.load_state_dict(torch.load(sys.argv[2], weights_only=True))
rows = torch.tensor(program["prepare"](json.loads(sys.argv[3])), dtype=torch.float32)
print(json.dumps(network(rows).tolist()))
""",
    "tensorflow": """
import json, runpy, sys, keras
program = runpy.run_path(sys.argv[1])
network = keras.saving.load_model(sys.argv[2])
print(json.dumps(network.predict(program["prepare"](json.loads(sys.argv[3])), verbose=0).tolist()))
""",
}


@pytest.fixture(scope="module")
def trained(likewise, tmp_path_factory):
    """The document of a comparison whose models are exported."""
    job = tmp_path_factory.mktemp("job") / "job.json"
    job.write_text(json.dumps(JOB))
    answer = likewise("compare", str(job), "--no-twin", "--no-trace", "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture
def export(likewise, environment, tmp_path, monkeypatch, trained):
    """Exports a side's model into a file, with the environments of the test's workers."""
    for framework in ("tensorflow", "torch"):
        python = Path(os.environ[f"LIKEWISE_TEST_PYTHON_{framework.upper()}"])
        (tmp_path / "environments").mkdir(exist_ok=True)
        (tmp_path / "environments" / framework).symlink_to(python.parent.parent)
    monkeypatch.setitem(environment, "LIKEWISE_ENVIRONMENTS", str(tmp_path / "environments"))

    def run(side, file, *more):
        return likewise("export", trained["experiment_id"], "--side", side, "-o", str(tmp_path / file), *more)

    return run


def alone(framework, code, *words):
    """What a program prints in the framework's environment, where nothing of Likewise is to be found."""
    python = os.environ[f"LIKEWISE_TEST_PYTHON_{framework.upper()}"]
    done = subprocess.run(
        [python, "-I", "-c", f"import sys; sys.modules['likewise'] = None\n{code}", *map(str, words)],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(("side", "file"), [("torch", "net.pt"), ("tensorflow", "net.keras")])
def test_what_is_exported_predicts_what_was_trained_without_likewise(export, trained, tmp_path, side, file):
    answer = export(side, file, "--json")
    assert answer.returncode == 0, answer.stderr
    written = json.loads(answer.stdout)
    assert [Path(one).name for one in written["files"]] == [file, "net.py", "net.npz"]
    assert written["relative_difference"] < 1e-6
    assert {one.name for one in tmp_path.iterdir()} == {"environments", file, "net.py", "net.npz"}

    rows, wanted = json.dumps(JOB["predict"]), np.array(trained["runs"][side][0]["predictions"])
    predicted = alone(side, PREDICT, tmp_path / "net.py", rows)
    np.testing.assert_allclose(predicted, wanted, rtol=1e-5)
    loaded = alone(side, LOAD[side], tmp_path / "net.py", tmp_path / file, rows)
    np.testing.assert_allclose(loaded, wanted, rtol=1e-5)

    arrays = dict(np.load(tmp_path / "net.npz"))
    arrays["layers.3.bias"] = arrays["layers.3.bias"] + 0.01
    np.savez(tmp_path / "net.npz", **arrays)
    spoilt = alone(side, PREDICT, tmp_path / "net.py", rows)
    assert np.abs(spoilt - wanted).min() > 0.009, "the program reads the weights beside it"


def test_another_seed_is_another_model_in_safetensors(export, trained, tmp_path):
    answer = export("torch", "second.safetensors", "--seed", "1", "--format", "safetensors")
    assert answer.returncode == 0, answer.stderr
    predicted = alone("torch", PREDICT, tmp_path / "second.py", json.dumps(JOB["predict"]))
    np.testing.assert_allclose(predicted, trained["runs"]["torch"][1]["predictions"], rtol=1e-5)
    assert np.abs(predicted - trained["runs"]["torch"][0]["predictions"]).min() > 1e-3
    file = (tmp_path / "second.safetensors").read_bytes()
    header = json.loads(file[8 : 8 + int.from_bytes(file[:8], "little")])
    assert {"layer_0.weight", "layer_0.bias"} <= set(header)


SEVERAL = {
    "schema_version": 1,
    "name": "several",
    "data": {
        "type": "inline",
        "x": [[0.1, -0.4], [0.7, 0.2], [-0.3, 0.9], [0.5, -0.8], [-0.6, -0.1], [0.2, 0.6]],
        "y": {"kind": [0, 1, 2, 0, 1, 2], "size": [0.3, 0.9, 0.1, -0.7, 0.4, 0.6]},
    },
    "model": {
        "layers": [
            {"type": "dense", "units": 6, "activation": "tanh", "name": "hidden"},
            {"type": "dense", "units": 3, "name": "kind", "inputs": ["hidden"]},
            {"type": "dense", "units": 1, "name": "size", "inputs": ["hidden"]},
        ],
        "outputs": ["size", "kind"],
    },
    "loss": {"kind": "categorical_crossentropy", "size": "mse"},
    "optimizer": "sgd",
    "training": {"epochs": 2},
    "predict": [[0.1, 0.2], [-0.5, 0.4]],
}


@pytest.mark.usefixtures("export")
def test_a_model_of_several_outputs_gives_each_by_name(likewise, tmp_path):
    job = tmp_path / "several.json"
    job.write_text(json.dumps(SEVERAL))
    answer = likewise("compare", str(job), "--no-twin", "--no-trace", "--json")
    assert answer.returncode == 0, answer.stderr
    said = json.loads(answer.stdout)
    for side, file in (("torch", "torch_net.safetensors"), ("tensorflow", "keras_net.keras")):
        written = likewise(
            "export", said["experiment_id"], "--side", side, "-o", str(tmp_path / file), "--json"
        )
        assert written.returncode == 0, written.stderr
        assert json.loads(written.stdout)["relative_difference"] < 1e-6
        predicted = alone(side, BY_NAME, (tmp_path / file).with_suffix(".py"), json.dumps(SEVERAL["predict"]))
        rows = {name: np.array(one) for name, one in said["runs"][side][0]["predictions"].items()}
        wanted = np.column_stack([rows["size"], rows["kind"]])
        np.testing.assert_allclose(predicted, wanted, rtol=1e-5)


@pytest.mark.usefixtures("export")
def test_a_model_of_rescaled_samples_takes_rows_in_their_own_units(likewise, tmp_path):
    data = {
        "type": "inline",
        "x": [[10], [20], [30], [40]],
        "y": [[1], [2], [3], [4]],
        "mean": 25,
        "scale": 10,
    }
    job = {**JOB, "data": data, "predict": [[15.0], [35.0]], "frameworks": ["torch"], "seeds": 1}
    job |= {"model": {"layers": [{"type": "dense", "units": 1}]}, "training": {"epochs": 3}}
    (tmp_path / "job.json").write_text(json.dumps(job))
    done = likewise("compare", str(tmp_path / "job.json"), "--no-twin", "--no-trace", "--json")
    trained = json.loads(done.stdout)
    answer = likewise("export", trained["experiment_id"], "-o", str(tmp_path / "net.py"))
    assert answer.returncode == 0, answer.stderr
    predicted = alone("torch", PREDICT, tmp_path / "net.py", "[[15.0], [35.0]]")
    np.testing.assert_allclose(predicted, trained["runs"]["torch"][0]["predictions"], rtol=1e-5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("jax", "net.py"), "--side is 'jax'; the sides are tensorflow, torch"),
        (("torch", "net.pb"), "does not end in .py, .safetensors, .pt, .keras, .npz, .onnx"),
        (("torch", "net.py", "--format", "keras"), "does not end in .keras"),
        (("torch", "net.py", "--seed", "7"), "--seed is 7; the seeds are 0, 1"),
        (("torch", "nowhere/net.py"), "there is no folder"),
        (("torch", "net.keras"), "net.keras ends in .keras; it can be .pt, .pth, .safetensors or .npz"),
    ],
)
def test_what_cannot_be_exported_is_refused_with_what_can(export, tmp_path, words, told):
    answer = export(*words)
    assert {path.name for path in tmp_path.iterdir()} == {"environments"}
    assert (answer.returncode, told in " ".join(answer.stderr.split())) == (2, True), answer.stderr
