"""The commands as a user types them, with a real Redis and real workers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from likewise.shared.names import experiment_key

ROOT = Path(__file__).resolve().parents[2]
LONG = ("--set", "training.epochs=1000000", "--set", "execution=eager")


def newest(desk):
    return desk.ledger.experiments(limit=1)[0]


def test_the_article_differs_and_the_cause_is_named(likewise):
    answer = likewise("compare", "article", "--json")
    document = json.loads(answer.stdout)

    assert answer.returncode == 0, answer.stderr
    assert document["verdict"] == "differ"
    assert "as if the learning rate were 0.06." in document["reasons"][0]
    assert {"path": "loss.reduction", "tensorflow": "mean", "torch": "sum"} in document["setting_differences"]
    there = document["first_divergence"]
    assert (there["seed"], there["step"], there["stage"], there["tensor"]) == (0, 1, "loss", "loss")
    assert there["relative_difference"] == pytest.approx(5)
    assert [(one["framework"], one["identical"]) for one in document["noise_floor"]] == [
        ("tensorflow", True),
        ("torch", True),
    ]
    assert answer.stderr == ""


def test_the_matched_job_agrees_and_text_goes_where_it_belongs(likewise):
    answer = likewise("compare", "matched", "--check")

    assert answer.returncode == 0
    assert answer.stdout.startswith("✔ agree  matched")
    assert "tensorflow: done" in answer.stderr
    assert "\x1b" not in answer.stdout + answer.stderr


def test_given_weights_give_the_pinned_numbers(likewise):
    weights = "{type: values, weights: {layers.0.kernel: [[0.37]], layers.0.bias: [0.0]}}"
    answer = likewise("compare", "article", "--set", f"initial_weights={weights}", "--json")
    runs = json.loads(answer.stdout)["runs"]

    assert runs["tensorflow"][0]["predictions"] == [[18.982839584350586]]
    assert runs["torch"][0]["predictions"] == [[18.999998092651367]]


ADAM = ("--set", "optimizer={type: adam}", "--set", "training.epochs=20", "--json")


def test_a_difference_too_small_for_float32_is_found_by_the_float64_twin(likewise, desk):
    planted = ("--set", "overrides={torch: {optimizer.learning_rate: 0.001000001}}")
    hidden = json.loads(likewise("compare", "diabetes", *ADAM, *planted, "--no-twin").stdout)
    found = json.loads(likewise("compare", "diabetes", *ADAM, *planted).stdout)
    clean = json.loads(likewise("compare", "diabetes", *ADAM).stdout)

    assert (hidden["verdict"], hidden["twin"]) == ("agree", None)
    assert (found["verdict"], found["twin"]["equal"]) == ("differ", False)
    assert (clean["verdict"], clean["twin"]["equal"]) == ("agree", True)

    record = desk.ledger.experiment(clean["experiment_id"])
    assert record.related["twin"] == clean["twin"]["experiment_id"]
    assert record.related["twin"] not in [one.experiment_id for one in desk.ledger.experiments()]
    assert json.loads(likewise("show", record.experiment_id, "--json").stdout)["twin"] == clean["twin"]
    assert likewise("delete", record.experiment_id).returncode == 0
    assert desk.ledger.experiment(record.related["twin"]) is None


def test_check_ends_with_1_unless_they_agree(likewise):
    assert likewise("compare", "article", "--check", "--json").returncode == 1


def test_a_failing_training_ends_with_3_and_the_other_ones_result_is_shown(likewise):
    change = ("--set", "overrides={torch: {optimizer.learning_rate: 1000.0}}")
    answer = likewise("compare", "matched", *change)

    assert answer.returncode == 3
    assert "torch diverged at epoch" in answer.stdout
    assert "state              succeeded" in answer.stdout


def test_seeds_are_a_count_or_a_list(likewise):
    answer = likewise("compare", "matched", "--seeds", "3,5", "--json")

    assert [seed["seed"] for seed in json.loads(answer.stdout)["runs"]["torch"]] == [3, 5]
    assert likewise("compare", "matched", "--seeds", "two").returncode == 2


def test_a_job_file_may_come_from_standard_input(likewise):
    job = json.dumps({
        "name": "piped", "data": {"type": "inline", "x": [1, 2], "y": [1, 2]}, "model": {"layers": [
        {"type": "dense", "units": 1}]}, "loss": "mse", "optimizer": "sgd", "training": {"epochs": 2},
    })  # fmt: skip
    answer = likewise("compare", "-", "--json", stdin=job)

    assert json.loads(answer.stdout)["name"] == "piped"


def test_a_submitted_experiment_is_watched_shown_listed_and_deleted(likewise):
    submitted = likewise("submit", "matched", "--json")
    experiment_id = json.loads(submitted.stdout)["experiment_id"]
    watched = likewise("watch", experiment_id[:9], "--json")
    shown = likewise("show", "last", "--json")
    listed = json.loads(likewise("list", "--json").stdout)

    assert json.loads(watched.stdout)["verdict"] == "agree"
    assert shown.stdout == watched.stdout
    assert (listed[0]["experiment_id"], listed[0]["verdict"]) == (experiment_id, "agree")
    resolved = likewise("show", "last", "--resolved").stdout.splitlines()
    assert any(line.split() == ["type", "mse", "mse", "written"] for line in resolved)
    for command in ("delete", "cancel"):
        assert "type 4 letters of the id or more" in likewise(command, experiment_id[:3]).stderr
    deleted = json.loads(likewise("delete", experiment_id[:4], "--json").stdout)
    assert deleted["deleted"] == experiment_id
    assert deleted["freed_bytes"] >= 0
    assert likewise("show", experiment_id).returncode == 2


def test_what_is_submitted_and_watched_is_judged_like_what_is_compared(likewise):
    answer = likewise("submit", "article")
    watched = json.loads(likewise("watch", "last", "--json").stdout)

    assert len(answer.stdout.split()) == 1
    assert f"likewise watch {answer.stdout.strip()}" in answer.stderr
    assert [one["stage"] for one in watched["first_divergences"]] == ["loss"]
    assert watched["noise_floor"]


def test_an_experiment_of_another_version_is_told_and_never_silently_left_out(likewise, desk):
    last = desk.submit()
    key = experiment_key(last.experiment_id)
    document = desk.client.hget(key, "experiment")
    desk.client.hset(key, "experiment", document.replace(b"{", b'{"of_later": 1, ', 1))
    try:
        listed, shown = likewise("list", "--json"), likewise("show", "last")
    finally:
        desk.client.hset(key, "experiment", document)

    assert last.experiment_id not in listed.stdout
    (told,) = listed.stderr.splitlines()
    assert told.startswith("note: 1 experiment is left out that this version cannot read; ")
    assert f"{last.experiment_id} cannot be read: of_later" in told
    assert shown.returncode == 3
    assert f"{last.experiment_id} cannot be read" in shown.stderr


def test_the_same_key_is_not_run_twice(likewise):
    first, second = (likewise("submit", "matched", "--key", "nightly-7").stdout for _ in range(2))

    assert first == second


def test_the_key_of_another_job_is_refused(likewise):
    likewise("submit", "matched", "--key", "nightly-8")
    answer = likewise("submit", "article", "--key", "nightly-8")

    assert answer.returncode == 2
    assert "nightly-8 was used before for another job, matched" in answer.stderr
    assert likewise("watch", "last").returncode == 0


def test_a_page_is_written_beside_the_result_or_later(likewise, tmp_path):
    page, later = tmp_path / "page.html", tmp_path / "later.html"
    likewise("compare", "article", "--report", str(page))
    likewise("report", "last", "-o", str(later))

    assert "tensorflow and torch differ" in page.read_text(encoding="utf-8")
    assert page.read_bytes() == later.read_bytes()


def test_a_comparison_is_printed_and_written_in_other_formats(likewise, tmp_path):
    path = tmp_path / "article.csv"
    answer = likewise("compare", "article", "--format", "md", "--report", str(path))
    again = likewise("show", "last", "--format", "csv")

    assert (answer.returncode, again.returncode) == (0, 0)
    assert answer.stdout.startswith("# article: tensorflow and torch differ\n")
    assert "| loss.reduction | mean | sum |" in answer.stdout
    assert path.read_bytes().startswith(b"table,row,side,seed,value,text\r\n")
    assert again.stdout.splitlines() == path.read_text(encoding="utf-8").splitlines()


def test_a_page_that_cannot_be_written_is_refused_before_anything_is_trained(likewise, tmp_path, desk):
    before = newest(desk).experiment_id
    answer = likewise("compare", "article", "--report", str(tmp_path / "no" / "page.html"))

    assert answer.returncode == 2
    assert "there is no folder" in answer.stderr
    assert newest(desk).experiment_id == before


def test_an_unknown_id_is_refused_with_the_nearest(likewise, desk):
    known = newest(desk).experiment_id
    assert "digits.yaml is a job, not an experiment's id" in likewise("show", "digits.yaml").stderr
    answer = likewise("show", known[:-1] + "x")

    assert answer.returncode == 2
    assert f"did you mean {known}?" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_cancels_the_runs_and_says_so_in_one_line(start, desk, until, ended_by):
    process = start("compare", "-v", "matched", *LONG)
    process.heard("training")
    process.send_signal(ended_by)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert said.splitlines()[-1].endswith("are cancelled")
    assert "Traceback" not in said
    until(
        lambda: all(run.state == "cancelled" for run in desk.ledger.records(newest(desk).run_ids)),
        within_s=5, what="both runs are cancelled",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("predict", "--data", __file__, "--side", "torch"), "no trained model of seed 0: that training was"),
        (("bundle",), "was cancelled, so there is nothing to bundle"),
        (("cancel",), "tensorflow was cancelled before, torch was cancelled before"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_cancelled_training_is_not_called_a_failed_one(likewise, cancelled, words, told):
    command, *more = words
    answer = likewise(command, cancelled, *more)

    assert told in " ".join(f"{answer.stdout} {answer.stderr}".split())
    assert "failed" not in answer.stderr


@pytest.fixture(scope="module")
def cancelled(likewise):
    """The id of an experiment that was cancelled while it trained or waited."""
    name = likewise("submit", "matched", *LONG).stdout.strip()
    likewise("cancel", name)
    likewise("watch", name)
    return name


def test_a_second_ctrl_c_leaves_at_once_and_without_a_traceback(start, likewise, promptly):
    def took_s():
        process = start("compare", "-v", "matched", *LONG)
        process.heard("training")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, said = process.communicate(timeout=30)
        took_s = time.monotonic() - began
        likewise("cancel", "last")

        assert process.returncode in (130, -signal.SIGINT)
        assert "Traceback" not in said
        return took_s

    promptly(took_s, within_s=3.0)


A_WHILE = ("--set", "training.epochs=1500", "--set", "execution=eager",
           "--set", "overrides={torch: {optimizer.learning_rate: 0.011}}")  # fmt: skip
"""Trains for some seconds and differs, so that a twin, a rerun and replays follow."""


ENDED = {"succeeded", "cancelled"}


def related(desk):
    """The states of the runs that belong to the newest experiment."""
    ids = newest(desk).related.values()
    return [run.state for one in ids for run in desk.ledger.records(desk.ledger.experiment(one).run_ids)]


def test_ctrl_c_cancels_the_twin_and_the_rerun_too(start, desk, until):
    process = start("compare", "matched", *A_WHILE)
    process.heard("once more as it was")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    name = newest(desk).experiment_id
    assert said.splitlines()[-1].startswith(f"interrupted: the runs of {name} are finished")
    assert said.splitlines()[-1].endswith(f"is cancelled; likewise show {name} shows it")
    until(lambda: set(related(desk)) <= ENDED, within_s=5, what="all have ended")
    assert "cancelled" in related(desk)


def test_a_command_ends_when_its_experiment_is_cancelled_from_elsewhere(start, likewise, desk):
    process = start("compare", "matched", *A_WHILE)
    process.heard("once more as it was")
    answer = likewise("cancel", "last", "--json")
    _, said = process.communicate(timeout=30)

    assert json.loads(answer.stdout)["runs"] == {"tensorflow": "succeeded", "torch": "succeeded"}
    assert process.returncode == 3
    assert "was cancelled" in said.splitlines()[-1]
    assert "cancelled" in related(desk)
    assert set(related(desk)) <= ENDED
    assert "fingerprints" not in newest(desk).related
    assert likewise("show", "last").stdout.startswith("✘ differ")


def test_ctrl_c_while_watching_leaves_the_runs_alone(start, likewise, desk):
    experiment_id = json.loads(likewise("submit", "matched", *LONG, "--json").stdout)["experiment_id"]
    process = start("watch", "-v", experiment_id)
    process.heard("training")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    state = json.loads(likewise("show", experiment_id, "--json").stdout)

    assert process.returncode == 130
    assert "goes on" in said
    assert {run["state"] for run in state["runs"].values()} == {"leased"}
    assert likewise("report", experiment_id).returncode == 2
    began = time.monotonic()
    assert likewise("cancel", experiment_id).returncode == 0
    answer = likewise("watch", experiment_id)
    assert answer.returncode == 3
    assert "was cancelled." in answer.stdout
    assert json.loads(likewise("list", "--json").stdout)[0]["state"] == "cancelled"
    assert time.monotonic() - began < 15
    assert desk.ledger.records(newest(desk).run_ids)[0].state == "cancelled"


def test_a_redis_that_is_not_there_is_told_in_one_line(environment):
    answer = subprocess.run(
        [sys.executable, "-m", "likewise.producer", "list"], capture_output=True, text=True, check=False,
        env=environment | {"LIKEWISE_REDIS_URL": "redis://:secret@127.0.0.1:1/0"}, timeout=60,
    )  # fmt: skip

    assert answer.returncode == 4
    assert "127.0.0.1:1" in answer.stderr
    assert "secret" not in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_a_gpu_job_is_refused_before_a_local_stack_is_started_for_it(environment, tmp_path):
    answer = subprocess.run(
        [sys.executable, "-m", "likewise.producer", "compare", "article", "--set", "device=cuda"],
        env={**environment, "LIKEWISE_REDIS_URL": "", "LIKEWISE_HOME": str(tmp_path / "home")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert answer.returncode == 4
    assert "device is cuda for tensorflow and torch" in answer.stderr
    assert not (tmp_path / "home").exists()
