"""`likewise bench` as a user types it, with a real Redis and real workers."""

from __future__ import annotations

import json
import os
import re
import signal
from itertools import chain

from likewise.shared.names import host_key

A_SECOND_OR_TWO = ("--set", "training.epochs=1500", "--set", "execution=eager")


def newest(desk):
    return desk.ledger.experiments(limit=1)[0]


def test_a_bench_ends_when_its_experiment_is_cancelled_from_elsewhere(start, likewise, desk):
    process = start("bench", "-v", "matched", "--variant", "eager", "--budget", "600", "--no-twin")
    process.heard("round")
    assert likewise("cancel", "last").returncode == 0
    _, said = process.communicate(timeout=30)

    assert process.returncode == 3
    assert "was cancelled" in said.splitlines()[-1]
    assert newest(desk).cancelled


def test_ctrl_c_ends_a_timed_run_and_lets_go_of_the_host(start, desk, until):
    process = start("bench", "-v", "matched", *A_SECOND_OR_TWO, "--variant", "eager", "--no-twin")
    process.heard("warming up")
    held = until(lambda: desk.client.keys(host_key("*")), within_s=10, what="a timed run has the host")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert said.splitlines()[-1].endswith(
        f"is cancelled; likewise bench {newest(desk).experiment_id} goes on"
    )
    until(lambda: not desk.client.exists(*held), within_s=5, what="the host is free")
    timed = desk.ledger.experiment(newest(desk).related["timed"])
    assert timed.experiment.labels == ("tensorflow-eager",)
    assert {run.state for run in desk.ledger.records(timed.run_ids)} == {"cancelled"}


def test_a_bench_of_a_job_that_diverges_times_nothing_and_says_why_in_its_own_document(likewise):
    answer = likewise(
        "bench", "diabetes", "--set", "optimizer=sgd", "--set", "optimizer.learning_rate=1e6", "--json"
    )
    document = json.loads(answer.stdout)
    assert answer.returncode == 3, answer.stderr
    assert (document["rows"], document["ranking"]) == ([], None)
    assert "diverged" in document["ranking_withheld_because"]


def test_a_bench_outlives_a_worker_that_dies_and_says_so(start, start_worker, redis_server, desk, until):
    worker = start_worker("torch", redis_server.url, LIKEWISE_HOST_ID="fragile").wait_until(
        "idle", desk.ledger
    )
    child = worker.child_pid(desk.ledger)
    process = start("bench", "matched", "--set", "frameworks=[torch]", "--set", "training.epochs=10000",
                    "--variant", "eager", "--budget", "0", "--host", "fragile", "--json")  # fmt: skip

    def is_timed():
        timed = [one.related["timed"] for one in desk.ledger.experiments(limit=1) if "timed" in one.related]
        runs = (desk.ledger.records(desk.ledger.experiment(one).run_ids) for one in timed)
        return any(run.state == "leased" for run in chain.from_iterable(runs))

    until(is_timed, within_s=30, what="a timed run is in its hands")
    os.kill(child, signal.SIGKILL)
    answer, said = process.communicate(timeout=60)

    assert process.returncode == 0, said
    document = json.loads(answer)
    assert [len(row["samples"]) for row in document["rows"] if row["phase"] == "run"] == [6]
    assert any(told.startswith("runs of torch eager were begun again") for told in document["warnings"])


def test_three_sides_are_timed_as_they_are_and_ranked_by_their_labels(likewise):
    labels = ["torch-eager", "torch-compiled", "tensorflow"]
    sides = ("--sides", "torch:eager,torch:compiled,tensorflow")
    answer = likewise("bench", "matched", *sides, "--budget", "0", "--json")
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert (document["verdict"], document["rounds"]) == ("agree", 3)
    assert sorted(place["side"] for place in document["ranking"]) == sorted(labels)
    assert document["names"] == {label: label for label in labels}
    ways = {row["side"]: (row["framework"], row["variant"]) for row in document["rows"]}
    assert [ways[label] for label in labels] == [
        ("torch", "eager"), ("torch", "compiled"), ("tensorflow", "auto")
    ]  # fmt: skip
    ran = [document["environments"][label]["execution"] for label in labels[:2]]
    assert [execution.split()[0] for execution in ran] == ["eager", "compiled"]

    answer = likewise("bench", "matched", *sides, "--variant", "eager")
    assert answer.returncode == 2
    assert "a side has a way of its own" in " ".join(answer.stderr.split())


def test_sides_of_unlike_precision_that_agree_are_ranked_with_a_warning(likewise):
    sides = ("--sides", "torch/float64,torch/float32", "--set", "execution=eager", "--budget", "0", "--json")
    document = json.loads(likewise("bench", "matched", *sides).stdout)
    assert document["verdict"] == "agree"
    assert len(document["ranking"]) == 2
    assert any("they compute in different precisions" in told for told in document["warnings"])


def test_a_bench_keeps_to_one_host(likewise, start_worker, redis_server, desk):
    """Of two workers, any would take an ordinary run."""
    for host in ("atlas", "zeus"):
        start_worker("torch", redis_server.url, LIKEWISE_HOST_ID=host).wait_until("idle", desk.ledger)
    alone = ("bench", "matched", "--set", "frameworks=[torch]", "--variant", "auto", "--budget", "0")
    answer = likewise(*alone, "--host", "zeus", "--json")
    assert answer.returncode == 0, answer.stderr
    document = json.loads(answer.stdout)
    assert document["hosts"] == ["zeus"]
    assert document["rounds"] == 3

    answer = likewise("bench", "matched", "--host", "zeus")
    assert answer.returncode == 4
    told = " ".join(answer.stderr.split())
    assert re.search(r"host zeus has no worker for tensorflow; it has torch [0-9.]+ on cpu", told)
