"""A small valid job to spoil, a folder to put files in, and the command in a process of its own."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likewise.producer.job.jobfile import LoadedExperiment, read_experiment, validate
from likewise.producer.job.prepare import PreparedExperiment, prepare_experiment
from likewise.shared.errors import LikewiseError

ROOT = Path(__file__).resolve().parents[3]

JOB: dict[str, Any] = {
    "name": "small",
    "data": {"type": "inline", "x": [1, 2, 3, 4], "y": [2, 4, 6, 8]},
    "model": {"layers": [{"type": "dense", "units": 1, "name": "out"}]},
    "loss": "mse",
    "optimizer": {"type": "sgd", "learning_rate": 0.01},
    "training": {"epochs": 5},
}

Document = dict[str, Any]


@pytest.fixture
def document() -> Document:
    """A valid job as plain values."""
    return copy.deepcopy(JOB)


@pytest.fixture
def read(tmp_path: Path, document: Document) -> Callable[..., LoadedExperiment]:
    """Read the small job, or the given text, with `--set` values."""

    def read(*set_values: str, text: str | None = None, name: str = "job.yaml") -> LoadedExperiment:
        path = tmp_path / name
        path.write_text(json.dumps(document) if text is None else text, encoding="utf-8")
        return read_experiment(str(path), set_values)

    return read


@pytest.fixture
def prepare(tmp_path: Path, document: Document) -> Callable[..., PreparedExperiment]:
    """Prepare the small job with other sections."""

    def prepare(**sections: Any) -> PreparedExperiment:
        experiment = validate(document | sections, "job.yaml")
        return prepare_experiment(LoadedExperiment(experiment=experiment, source="job.yaml", base=tmp_path))

    return prepare


@pytest.fixture
def refusal() -> Callable[..., str]:
    """The message of the LikewiseError that a call ends in, without the file's folder."""

    def refusal(call: Callable[..., Any], *args: Any, **named: Any) -> str:
        with pytest.raises(LikewiseError) as caught:
            call(*args, **named)
        assert caught.value.exit_status == 2
        return str(caught.value).split("job.yaml: ", 1)[-1]

    return refusal


@pytest.fixture
def likewise(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The real command, in the temporary folder."""

    def likewise(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "likewise.producer", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"},
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return likewise
