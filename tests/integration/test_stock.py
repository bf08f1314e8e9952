"""`execution: stock`: printed programs, trained by real workers, against declared layers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

JOB = """
schema_version: 1
name: pictures
data: {type: npz, path: pictures.npz, scale: 255.0, split: {validation: 0.2}}
model:
  layers:
    - {type: conv2d, filters: 8, kernel_size: 3, padding: same, activation: relu}
    - {type: dropout, rate: 0.3}
    - {type: batch_norm}
    - {type: max_pooling2d, pool_size: 2}
    - {type: flatten}
    - {type: dropout, rate: 0.2}
    - {type: dense, units: 4}
loss: {type: categorical_crossentropy}
optimizer: {type: adamw, learning_rate: 0.003, weight_decay: 0.01, schedule: {type: cosine, decay_steps: 30}}
training: {epochs: 3, batch_size: 16, shuffle: true, drop_last: true}
precision: float64
"""
SIDES = ("--sides", "torch:stock,tensorflow:stock,torch")
"""Both printed programs are judged by a side that trains declared layers."""


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    """Pictures of as many channels as rows, so that no size says how their axes lie."""
    draw = np.random.default_rng(0)
    file = tmp_path_factory.mktemp("stock") / "pictures.yaml"
    x = draw.integers(0, 256, (100, 8, 8, 8)).astype(np.uint8)
    np.savez(file.with_name("pictures.npz"), x=x, y=draw.integers(0, 4, 100))
    file.write_text(JOB)
    return file


def largest_gaps(found) -> dict[str, float]:
    """The largest gap of each other side, over all that is compared."""
    return {one["other"]: max(gap["relative"] for gap in one["gaps"]) for one in found["gaps"]}


def test_printed_programs_train_as_the_declared_layers_do(document, job):
    found = document("compare", str(job), *SIDES)

    assert found["verdict"] == "agree"
    runs = {side: found["runs"][side][0] for side in found["runs"]}
    assert runs["torch-stock"]["execution"] == "stock (a loop)"
    assert runs["tensorflow-stock"]["execution"] == "stock (fit)"
    assert len(runs["torch-stock"]["validation_losses"]) == 3
    np.testing.assert_allclose(runs["torch-stock"]["losses"], runs["torch"]["losses"], rtol=1e-12)
    np.testing.assert_allclose(runs["tensorflow-stock"]["losses"], runs["torch"]["losses"], rtol=1e-9)
    assert len({json.dumps(run["hashes"]) for run in runs.values()}) == 1


def test_a_printed_program_with_another_rate_is_told_apart(document, job):
    planted = "overrides={torch-stock: {optimizer.learning_rate: 0.02}}"
    found = document("compare", str(job), *SIDES, "--set", planted)

    assert found["verdict"] == "differ"
    assert found["first_divergences"] == []


def test_what_no_plain_program_says_is_refused_before_anything_is_queued(likewise, document):
    before = len(document("list"))
    answer = likewise("compare", "breast_cancer", "--sides", "torch:stock,torch")

    assert answer.returncode == 2
    assert answer.stderr.endswith(
        "a plain program of it cannot say training.early_stopping; leave that out of the job, or train it "
        "with execution: auto\n"
    )
    assert len(document("list")) == before


def test_a_stock_side_is_not_explained(likewise, job):
    answer = likewise("explain", str(job), "--sides", "torch:stock,torch")

    assert answer.returncode == 2
    assert "torch-stock trains a printed program, in which explain can switch no setting" in answer.stderr
