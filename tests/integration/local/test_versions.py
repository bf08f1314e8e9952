"""Two versions of one package, each in an environment made for it: compared, and searched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

OLD = "3.14.1"
"""A version of Keras beside the one that the adapter is tested with."""
JOB = """
schema_version: 1
name: upgrade
data: {type: builtin, name: iris}
model: {layers: [{type: dense, units: 8, activation: gelu}, {type: dense, units: 3}]}
loss: categorical_crossentropy
optimizer: adam
training: {epochs: 3, batch_size: 32}
sides:
  old: {framework: tensorflow, requirements: ["keras==3.14.1"]}
  new: {framework: tensorflow}
"""


@pytest.fixture
def made_home(home):
    """A home whose usual environment of TensorFlow is there already."""
    interpreter = os.environ.get("LIKEWISE_TEST_PYTHON_TENSORFLOW")
    if interpreter is None:
        pytest.skip("LIKEWISE_TEST_PYTHON_TENSORFLOW is not set")
    made = Path(interpreter).parents[1]
    home.paths.environments.mkdir(parents=True)
    (home.paths.environments / made.name).symlink_to(made)
    return home


def test_two_versions_of_a_package_train_side_by_side_and_are_searched(made_home, tmp_path):
    job = tmp_path / "job.yaml"
    job.write_text(JOB)
    out, said = made_home.command("compare", str(job), "--no-twin", "--json").communicate(timeout=300)
    assert out, said
    comparison = json.loads(out)
    assert comparison["verdict"] == "agree"
    keras = {side: runs[0]["environment"]["versions"]["keras"] for side, runs in comparison["runs"].items()}
    assert keras["old"] == OLD != keras["new"]

    both = ["bisect", str(job), "--side", "new", "--between", f"keras=={OLD},keras=={keras['new']}", "--json"]
    out, said = made_home.command(*both).communicate(timeout=300)
    assert out, said
    found = json.loads(out)
    assert (found["package"], found["first_different"]) == ("keras", None)
    assert [one["verdict"] for one in found["tried"]] == ["agree"]
    assert found["versions"][0] == OLD

    out, said = made_home.command(*both[:-1], "--report", str(tmp_path / "again.json")).communicate(
        timeout=300
    )
    again = json.loads((tmp_path / "again.json").read_text())
    assert again["tried"] == found["tried"], "it is the same comparison"
    assert "was judged before" in said
    out, said = made_home.command(*both, "--fresh").communicate(timeout=300)
    assert out, said
    assert json.loads(out)["tried"][0]["experiment_id"] != found["tried"][0]["experiment_id"]

    out, said = made_home.command("workers", "--json").communicate(timeout=60)
    queues = [set(worker["queues"]) for worker in json.loads(out)["workers"]]
    usual = [one for one in queues if "train.tensorflow.any" in one]
    assert len(usual) == 1, "only the usual worker takes runs that ask for nothing else"
