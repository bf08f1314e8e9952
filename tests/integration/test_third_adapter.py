"""A third framework, in one folder beside the tests, trains through the whole path: nothing else knows it.

The folder is on the worker's path, with an entry point of `likewise.adapters` as an installed package has it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "third_adapter"


@pytest.fixture
def numpy_worker(monkeypatch, start_worker, redis_server, desk):
    monkeypatch.setenv("LIKEWISE_TEST_PYTHON_NUMPY", sys.executable)
    worker = start_worker("numpy", redis_server.url, PYTHONPATH=f"{ROOT}:{FOLDER}")
    return worker.wait_until("idle", desk.ledger)


def compared(likewise, *words, status=0):
    done = likewise("compare", *words, "--json")
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("numpy_worker")
@pytest.mark.parametrize("other", ["torch", "tensorflow"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_side_of_a_third_framework_agrees_with_each_of_the_two(likewise, other, precision):
    comparison = compared(likewise, "matched", "--sides", f"{other},numpy", "--set", f"precision={precision}")
    assert comparison["verdict"] == "agree"
    (seed,) = comparison["runs"]["numpy"]
    assert seed["status"] == "succeeded"
    assert seed["execution"] == "eager (NumPy)"
    assert seed["environment"]["framework"] == "numpy"
    (beside,) = comparison["runs"][other]
    assert seed["predictions"][0] == pytest.approx(beside["predictions"][0], rel=1e-5)
    assert seed["hashes"] == beside["hashes"]


@pytest.mark.usefixtures("numpy_worker")
def test_a_replay_that_an_adapter_lacks_is_left_out_in_words(likewise):
    done = likewise("compare", "article", "--sides", "torch,numpy")  # torch sums where numpy averages
    assert done.returncode == 0
    said = " ".join(done.stderr.split())
    assert "numpy is not replayed: the NumPy adapter does not lay an update open" in said


@pytest.mark.usefixtures("numpy_worker")
def test_seeds_that_an_adapter_cannot_train_together_are_trained_in_turn(likewise):
    comparison = compared(likewise, "matched", "--sides", "torch,numpy", "--seeds", "3")
    assert comparison["verdict"] == "agree"
    assert "trained one after another: the NumPy adapter has no program of many" in json.dumps(comparison)


@pytest.mark.usefixtures("numpy_worker")
def test_what_an_adapter_lacks_and_a_job_asks_for_is_refused_in_words(likewise):
    comparison = compared(likewise, "matched", "--sides", "torch,numpy:compiled", status=3)
    text = json.dumps(comparison)
    assert "the NumPy adapter compiles nothing; use execution: auto" in text


@pytest.mark.usefixtures("numpy_worker")
def test_a_layer_that_an_adapter_has_not_is_refused_in_words(likewise):
    comparison = compared(
        likewise, "digits", "--sides", "torch,numpy", "--set", "training.epochs=1", status=3
    )
    assert "linear dense layers alone" in json.dumps(comparison)
