"""A trained model is written as ONNX with its preprocessing, and ONNX Runtime predicts what was trained.

The exporters have packages of their own, so `make onnx` runs this, in environments that the product makes.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from likewise.producer.local import environments
from likewise.producer.local.home import WorkerEnvironment, stack_paths
from likewise.producer.local.packages import exporter_of

pytestmark = pytest.mark.skipif(not os.environ.get("LIKEWISE_TEST_ONNX"), reason="make onnx runs it")

JOB = {
    "name": "small",
    "data": {
        "type": "csv", "path": "small.csv", "target": "y", "standardize": True, "standardize_target": True,
    },
    "model": {"layers": [{"type": "dense", "units": 4, "activation": "tanh"}, {"type": "batch_norm"},
                         {"type": "dropout", "rate": 0.5}, {"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": {"type": "sgd", "learning_rate": 0.01},
    "training": {"epochs": 3, "batch_size": 10},
    "execution": "eager",
    "predict": [[2001.0, 3.0, 90.0], [2006.0, 18.0, 61.0]],
}  # fmt: skip
RUN = """
import json, sys, onnxruntime, numpy
session = onnxruntime.InferenceSession(sys.argv[1])
rows = numpy.array(json.loads(sys.argv[2]))
told = session.get_modelmeta().custom_metadata_map
print(json.dumps([session.run(None, {"rows": rows})[0].tolist(), told["features"], told["targets"]]))
"""


@pytest.fixture(scope="module")
def interpreters():
    """The Python of each framework's environment with its exporter, which is made where it is missing."""
    paths = stack_paths(None)
    paths.make()
    found = {}
    for framework in ("tensorflow", "torch"):
        wanted = exporter_of(framework, environments.ADAPTERS)
        one = environments.find(paths, WorkerEnvironment(framework=framework, requirements=wanted))
        environments.ensure([one], paths, say=print)
        found[framework] = one
    return found


@pytest.fixture(scope="module")
def trained(likewise, tmp_path_factory):
    folder = tmp_path_factory.mktemp("job")
    lines = [f"{2000 + n % 9},{n * 0.5},{100 - n},{50 + 3 * (n % 7) - n}" for n in range(40)]
    (folder / "small.csv").write_text("\n".join(["year,a,b,y", *lines]) + "\n")
    (folder / "job.json").write_text(json.dumps(JOB))
    answer = likewise("compare", str(folder / "job.json"), "--no-twin", "--no-trace", "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture
def ready_made(environment, interpreters, monkeypatch, tmp_path):
    """The environments, by framework, which the command finds in a folder."""
    (tmp_path / "environments").mkdir()
    for one in interpreters.values():
        (tmp_path / "environments" / one.environment.name).symlink_to(one.folder)
    monkeypatch.setitem(environment, "LIKEWISE_ENVIRONMENTS", str(tmp_path / "environments"))
    return interpreters


@pytest.mark.parametrize("side", ["torch", "tensorflow"])
def test_onnx_takes_rows_in_their_own_units_and_predicts_what_was_trained(
    likewise, ready_made, tmp_path, trained, side
):
    file = tmp_path / "net.onnx"
    answer = likewise("export", trained["experiment_id"], "--side", side, "-o", str(file), "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["relative_difference"] < 1e-6

    wanted = np.array(trained["runs"][side][0]["predictions"])
    for rows in (JOB["predict"], JOB["predict"][:1], JOB["predict"] * 3):
        done = subprocess.run(
            [ready_made[side].interpreter, "-I", "-c", RUN, file, json.dumps(rows)],
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
        outputs, features, targets = json.loads(done.stdout)
        np.testing.assert_allclose(outputs[: len(wanted)], wanted[: len(rows)], rtol=1e-5)
        assert (json.loads(features), json.loads(targets)) == (["year", "a", "b"], ["y"])


def test_an_exporter_is_named_by_packages_of_one_version():
    for framework in ("tensorflow", "torch"):
        every = exporter_of(framework, environments.ADAPTERS)
        assert {"onnx", "onnxruntime"} < {one.partition("==")[0] for one in every}
        assert all("==" in one for one in every)
    assert exporter_of("jax", Path()) == ()
