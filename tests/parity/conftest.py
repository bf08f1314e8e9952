"""Trains jobs in every framework, one process a framework with all jobs in it, and compares what came out.

A framework's environment is the interpreter in LIKEWISE_TEST_PYTHON_<FRAMEWORK>; the Makefile sets it.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest

from likewise.worker.adapters import adapter_names

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

Case = dict[str, Any]
Arrays = Mapping[str, np.ndarray]
Train = Callable[..., dict[str, Arrays]]
NONE = "no LIKEWISE_TEST_PYTHON_<FRAMEWORK> names the Python of an environment with %s"


@pytest.fixture(scope="session")
def make_case() -> Callable[..., Case]:
    """A small two-layer regression, with changes to the case or to the job's parts."""

    def make_case(name: str, **changes: Any) -> Case:
        hidden = {"type": "dense", "units": 6, "activation": changes.pop("activation", "tanh")}
        job = {
            "data": changes.pop("data", {"type": "inline", "x": [0.0], "y": [0.0]}),
            "model": {"layers": changes.pop("layers", [hidden, {"type": "dense", "units": 3}])},
            "loss": changes.pop("loss", "mse"),
            "optimizer": changes.pop("optimizer", {"type": "sgd", "learning_rate": 0.05}),
            "training": changes.pop("training", {"epochs": 1}),
            "precision": changes.pop("precision", "float64"),
            "initial_weights": changes.pop("initial_weights", "shared"),
            "execution": changes.pop("execution", "auto"),
        }
        case = {"task": "regression", "input_shape": [5], "outputs": 3, "samples": 37}
        return {"name": name, "job": job} | case | changes

    return make_case


@pytest.fixture(scope="session")
def train(unavailable: Callable[[str], NoReturn], tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Train cases in every framework at once; what came out by framework, then by `case/array`.

    `only` names one framework, and `fault` is planted in its adapter.
    """

    def train(
        cases: Sequence[Case], *, only: str | None = None, fault: str | None = None
    ) -> dict[str, Arrays]:
        folder = tmp_path_factory.mktemp("parity")
        document = {"cases": list(cases), "fault": fault}
        (folder / "cases.json").write_text(json.dumps(document))
        frameworks = [only] if only else adapter_names()
        pythons = {
            framework: interpreter(framework) or unavailable(NONE % framework) for framework in frameworks
        }
        running = {
            framework: start(python, framework, folder / "cases.json", folder / f"{framework}.npz")
            for framework, python in pythons.items()
        }
        try:
            return {name: finish(process, folder / f"{name}.npz") for name, process in running.items()}
        finally:
            for process in running.values():
                process.kill()

    return train


def interpreter(framework: str) -> str | None:
    """The environment's Python, if one is named."""
    return os.environ.get(f"LIKEWISE_TEST_PYTHON_{framework.upper()}")


def start(python: str, framework: str, cases: Path, out: Path) -> subprocess.Popen[str]:
    """A process that trains the cases."""
    return subprocess.Popen(
        [python, "-W", "error", HERE / "train_cases.py", framework, cases, out],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], out: Path) -> Arrays:
    """What it wrote, once it has ended; it must have kept quiet."""
    _, said = process.communicate(timeout=280)
    assert process.returncode == 0, said
    assert said == ""
    with np.load(out) as archive:
        return dict(archive)


class Pair:
    """One case's arrays in two frameworks."""

    def __init__(self, name: str, one: Arrays, other: Arrays) -> None:
        self._name, self._one, self._other = name, one, other

    def both(self, what: str) -> tuple[np.ndarray, np.ndarray]:
        """An array of the case in each framework."""
        return self._one[f"{self._name}/{what}"], self._other[f"{self._name}/{what}"]

    def weights(self, when: str) -> tuple[np.ndarray, np.ndarray]:
        """All of a moment (weights at `start`, `first`, `end`, or `gradient`) as a vector each."""
        prefix = f"{self._name}/{when}/"
        names = [name for name in self._one if name.startswith(prefix)]
        assert names == [name for name in self._other if name.startswith(prefix)]
        return tuple(  # type: ignore[return-value]
            np.concatenate([arrays[name].ravel().astype(np.float64) for name in names])
            for arrays in (self._one, self._other)
        )

    def difference(self, what: str) -> float:
        """max|a − b| / max|a| of an array, or of the weights of a moment."""
        return relative(
            *(self.weights(what) if what in ("start", "first", "end", "gradient") else self.both(what))
        )

    def first_update_difference(self) -> float:
        """The same of the first update, which is the gradient seen through the optimizer."""
        (start, start_other), (first, first_other) = self.weights("start"), self.weights("first")
        return relative(first - start, first_other - start_other)

    def residuals(self) -> dict[str, Any]:
        """Of the first loss, its gradients, and the weights at the end."""
        precision, _, case = self._name.partition(" ")
        one, other = self.both("losses")
        return {
            "precision": precision,
            "case": case,
            "first_loss": float(abs(one[0] - other[0]) / abs(one[0])) if one[0] else 0.0,
            "first_loss_ulps": self.first_loss_ulps(),
            "gradients": self.difference("gradient"),
            "weights": self.difference("end"),
            "steps": len(one),
        }

    def first_loss_ulps(self) -> float:
        """How many units in the last place of float32 the first losses are apart."""
        one, other = self.both("losses")
        return float(abs(one[0] - other[0]) / np.spacing(np.float32(one[0])))


def relative(one: np.ndarray, other: np.ndarray) -> float:
    """max|a − b| / max|a|, 0 for two arrays of zeros."""
    gap = float(np.max(np.abs(one - other)))
    return 0.0 if gap == 0 else gap / float(np.max(np.abs(one)))


@pytest.fixture(scope="session")
def pairs(record: Callable[..., None]) -> Callable[[str, dict[str, Arrays]], list[Pair]]:
    """A case in the first framework beside each of the others; how far they are apart is recorded."""

    def pairs(name: str, trained: dict[str, Arrays]) -> list[Pair]:
        first, *others = trained.values()
        assert others, "parity needs two frameworks"
        found = [Pair(name, first, other) for other in others]
        if name.startswith(("float32 ", "float64 ")):
            for pair in found:
                record("residuals", **pair.residuals())
        return found

    return pairs
