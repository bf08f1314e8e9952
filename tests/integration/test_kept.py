"""Benches, explanations and sweeps are kept, found, shown again and deleted, on a real Redis with workers."""

from __future__ import annotations

import json
import re
import signal

import pytest

from likewise.producer.port.models import PortCheck
from likewise.shared.ledger.records import AnswerRecord, Subject
from likewise.shared.names import findings_key

CHECK = PortCheck(
    name="whole", sides=("keras", "torch"), versions={"keras": "1", "torch": "2"}, files={}, tolerance=1e-6,
    mapping=(), findings=(), modules=(), rungs=(), notes=(),
)  # fmt: skip
TORCH = ("--set", "frameworks=[torch]", "--variant", "eager", "--budget", "0", "--no-twin")
BRIEF = ("--set", "frameworks=[torch]", "--set", "training.epochs=5", "--no-twin", "--no-trace")


def listed(likewise, *words):
    answer = likewise("list", *words, "--json")
    assert answer.returncode == 0, answer.stderr
    return [(one["kind"], one["state"], one["verdict"]) for one in json.loads(answer.stdout)]


def test_a_bench_is_kept_shown_in_every_format_and_goes_with_its_experiment(likewise, desk):
    answer = likewise("bench", "matched", *TORCH, "--tag", "speed", "--note", "before lunch", "--json")
    bench = json.loads(answer.stdout)
    assert answer.returncode == 0, answer.stderr
    assert likewise("compare", "matched", *BRIEF).returncode == 0
    assert listed(likewise, "--tag", "speed", "--limit", "1") == [("bench", "finished", "inconclusive")]

    name = bench["experiment_id"]
    assert json.loads(likewise("show", name, "--json").stdout) == bench
    assert "whole warm run" in likewise("show", name, "--format", "md").stdout
    table = likewise("show", name, "--format", "csv").stdout.splitlines()
    assert len([line for line in table if line.startswith("samples_s.run,")]) == 6
    assert json.loads(likewise("show", name, "--kind", "comparison", "--json").stdout)["gaps"] == []
    wrong = likewise("show", name, "--kind", "explanation")
    assert (wrong.returncode, f"likewise explain {name} does it" in wrong.stderr) == (2, True)

    assert likewise("delete", name).returncode == 0
    assert not desk.client.exists(findings_key(name))


def test_an_interrupted_bench_has_its_rounds_and_goes_on(start, likewise):
    long = ("--set", "frameworks=[torch]", "--variant", "eager", "--no-twin", "--precision", "0.1")
    process = start("bench", "-v", "matched", *long, "--budget", "600")
    process.heard("2 rounds done")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert listed(likewise, "--limit", "1") == [("bench", "cancelled", None)]

    answer = likewise("show", "last", "--json")
    assert answer.returncode == 0, answer.stderr
    so_far = json.loads(answer.stdout)
    done = so_far["rounds"]
    assert done >= 2
    told = f"it was interrupted after {done:,} rounds; likewise bench {so_far['experiment_id']} goes on"
    assert told in so_far["warnings"]

    answer = likewise("bench", "last", "--budget", "0", "--no-twin", "--json")
    whole = json.loads(answer.stdout)
    assert answer.returncode == 0, answer.stderr
    assert (whole["experiment_id"], whole["rounds"]) == (so_far["experiment_id"], max(3, done + 1))

    def samples(bench):
        return next(row["samples"] for row in bench["rows"] if row["phase"] == "run")

    assert samples(whole)[: 2 * done] == samples(so_far)
    assert listed(likewise, "--limit", "1") == [("bench", "finished", "inconclusive")]
    refused = likewise("bench", "last", "--variant", "compiled")
    assert (refused.returncode, "on without --variant" in " ".join(refused.stderr.split())) == (2, True)


def test_an_explanation_is_kept_and_so_is_one_of_an_older_comparison(likewise):
    explained = json.loads(likewise("explain", "article", "--seeds", "2", "--json").stdout)
    assert listed(likewise, "--limit", "1") == [("explanation", "finished", None)]
    assert json.loads(likewise("show", "last", "--json").stdout) == explained

    compared = json.loads(likewise("compare", "article", "--no-twin", "--no-trace", "--json").stdout)
    assert likewise("show", "last", "--kind", "explanation").returncode == 2
    later = json.loads(likewise("explain", "last", "--seeds", "2", "--json").stdout)
    assert later["experiment_id"] == compared["experiment_id"]
    assert listed(likewise, "--limit", "1") == [("comparison", "finished", "differ")]
    assert json.loads(likewise("show", "last", "--kind", "explanation", "--json").stdout) == later
    assert json.loads(likewise("show", "last", "--json").stdout)["verdict"] == "differ"


def test_what_was_not_found_to_its_end_is_no_finished_experiment(start, likewise):
    process = start("explain", "article", "--seeds", "2", "--set", "training.epochs=300000")
    process.heard("the job itself is trained first")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    likewise("cancel", "last")
    assert listed(likewise, "--kind", "explanation", "--limit", "1") == [("explanation", "cancelled", None)]
    answer = likewise("watch", "last")
    assert "its explanation is not there yet, only the comparison" in " ".join(answer.stderr.split())


@pytest.fixture(scope="module")
def several(likewise):
    """A sweep, and two comparisons with labels."""
    alone = ("--set", "frameworks=[torch]", "--set", "training.epochs=5", "--tag", "found-again")
    likewise("sweep", "matched", "--grid", "optimizer.learning_rate=0.01,0.02", *alone)
    for name, note in (("zebra", "stripes"), ("ant", "small")):
        words = ("--set", f"name={name}", "--tag", "found-again", "--tag", name, "--note", note)
        likewise("compare", "matched", *BRIEF, *words)


@pytest.mark.usefixtures("several")
@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), ["ant", "zebra", "matched"]),
        (("--kind", "sweep"), ["matched"]),
        (("--kind", "comparison", "--limit", "1"), ["ant"]),
        (("STRIPES",), ["zebra"]),
        (("--name", "z*"), ["zebra"]),
        (("--tag", "ant"), ["ant"]),
        (("--sort", "name", "--side", "torch"), ["ant", "matched", "zebra"]),
        (("--sort", "name", "--reverse", "--limit", "2"), ["zebra", "matched"]),
        (("--side", "tensorflow"), []),
        (("--verdict", "differ"), []),
        (("--state", "queued"), []),
        (("--newer-than", "1h"), ["ant", "zebra", "matched"]),
        (("--older-than", "1h"), []),
    ],
)
def test_experiments_are_found_by_what_they_are(likewise, words, names):
    answer = likewise("list", *words, "--tag", "found-again", "--json")
    assert answer.returncode == 0, answer.stderr
    assert [one["name"] for one in json.loads(answer.stdout)] == names


@pytest.mark.usefixtures("several")
def test_labels_change_and_wrong_ones_are_refused(likewise):
    answer = likewise("label", "last", "--tag", "paper", "--untag", "ant", "--note", "figure 3", "--json")
    told = json.loads(answer.stdout)
    assert (told["tags"], told["note"]) == (["found-again", "paper"], "figure 3")
    (found,) = json.loads(likewise("list", "--tag", "paper", "--json").stdout)
    assert (found["tags"], found["note"]) == (told["tags"], told["note"])
    assert "figure 3" in likewise("list", "--tag", "paper").stdout
    refused = likewise("compare", "matched", "--tag", "two words")
    assert (refused.returncode, "one word without commas" in " ".join(refused.stderr.split())) == (2, True)
    assert "no experiment is as you ask" in likewise("list", "--tag", "nobody").stdout


def index_of(page):
    """Each experiment on a page: the part that it is, and the beginning of its id."""
    html = page.read_text(encoding="utf-8")
    found = re.findall(r'<li><a href="#([\w-]+)">[^<]+</a> <span>.*?</span> <span class="quiet">(\w+)', html)
    return dict(found), html


def test_one_page_has_the_newest_of_each_kind_of_the_same_job_and_says_what_is_not_on_it(
    likewise, tmp_path, desk
):
    job = ("--set", "name=whole", "--set", "frameworks=[torch]", "--set", "training.epochs=5")
    bare = (*job, "--no-twin", "--no-trace")

    def submitted(*words):
        answer = likewise(*words, "--json")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)["experiment_id"][:8]

    submitted("compare", "matched", *bare)
    newest = submitted("compare", "matched", *bare, "--seeds", "2")
    grid = ("--grid", "optimizer.learning_rate=0.01,0.02")
    swept = submitted("sweep", "matched", *job, *grid)
    page = tmp_path / "whole.html"
    timed = submitted(
        "bench", "matched", *job, "--variant", "eager", "--budget", "0", "--no-twin", "--report", str(page)
    )
    assert index_of(page)[0] == {"top": newest, "bench": timed, "sweep": swept}

    other = submitted("sweep", "matched", *job, *grid, "--set", "loss.reduction=sum")
    assert likewise("report", timed, "-o", str(page)).returncode == 0
    on_it, html = index_of(page)
    assert on_it == {"top": newest, "bench": timed, "sweep": swept}
    assert "the newest of 2" in html
    why = f"sweep {other} of "
    assert re.search(why + r".*?, since it is of another job: loss\.reduction is sum instead of mean\.", html)

    kept = AnswerRecord(
        experiment_id="e" * 20, submitted_s=desk.ledger.now(), kind="port-check",
        subject=Subject(name="whole", sides={}),
    )  # fmt: skip
    desk.ledger.add(kept, ())
    desk.ledger.keep_finding(kept.experiment_id, "port-check", CHECK.model_dump_json(), complete=True)
    assert likewise("report", "e" * 20, "-o", str(page)).returncode == 0
    on_it, html = index_of(page)
    assert on_it == {"top": newest, "bench": timed, "sweep": swept, "port-check": "eeeeeeee"}
    assert "found by its name" in html
    assert likewise("delete", "e" * 20).returncode == 0

    for alone in (("--only",), ("--kind", "comparison")):
        assert likewise("report", timed, "-o", str(page), *alone).returncode == 0
        assert index_of(page)[0] == {}
    for one in (newest, timed, swept, other):
        assert likewise("delete", one).returncode == 0
