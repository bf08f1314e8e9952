"""A side goes to a live worker that has its version, and to no other."""

from __future__ import annotations

import json

import pytest

from likewise.producer.runs.submit import Submission, enqueue, new_id


@pytest.fixture(scope="module")
def version(likewise, desk) -> str:
    """The PyTorch of the workers that live."""
    assert likewise is not None
    (version,) = {one.version for one in desk.ledger.workers() if one.framework == "torch"}
    return version.partition("+")[0]


def test_sides_with_a_version_go_to_the_worker_that_has_it(likewise, desk, version):
    line = f"{version.rpartition('.')[0]}.*"
    sides = f"exact=torch=={version},line=torch=={line},tensorflow"
    answer = likewise("compare", "matched", "--sides", sides, "--no-trace", "--json")

    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert document["verdict"] == "agree"
    record = desk.ledger.experiment(document["experiment_id"])
    runs = {run.side: run for run in desk.ledger.runs(record.run_ids)}
    assert [run.version for run in runs.values()] == [version, version, None]
    queues = {run.side: run.queue for run in desk.ledger.records(record.run_ids)}
    assert queues["exact"] == queues["line"] != "train.torch.any"
    assert queues["tensorflow"] == "train.tensorflow.any"


def test_a_version_that_no_worker_has_is_refused_with_those_that_live(likewise, version):
    answer = likewise("compare", "matched", "--sides", "old=torch==1.0.0,tensorflow")

    assert answer.returncode == 4
    said = " ".join(answer.stderr.split())
    assert "no live worker serves old (torch 1.0.0); live workers: tensorflow" in said
    assert f"torch {version} on cpu" in said


@pytest.mark.usefixtures("torch_worker")
def test_a_worker_refuses_a_run_of_another_version(desk):
    first = desk.submit()
    desk.wait(first, "succeeded", within_s=20)
    (run,) = desk.ledger.runs(first.run_ids)
    changes = {"run_id": new_id(), "experiment_id": new_id(), "version": "1.0.0"}
    other = run.model_copy(update=changes)
    record = first.model_copy(update={"experiment_id": other.experiment_id, "run_ids": (other.run_id,)})
    enqueue(desk, Submission(record=record, runs=[other], queue="train.torch.any"))
    desk.wait(record, "failed", within_s=20)
    failure = desk.result(record).failure
    assert failure.reason == "invalid"
    assert "The run is for torch 1.0.0, but this worker trains with torch 2" in failure.message
