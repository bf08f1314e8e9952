"""validate, schema and init as real processes: what they print, and how they end."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from likewise.producer.job.examples import example_path
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.prepare import prepare_experiment

Likewise = Callable[..., subprocess.CompletedProcess[str]]


def test_validate_says_what_the_article_is(likewise: Likewise) -> None:
    done = likewise("validate", "article")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "example article is a valid job, 'article'",
        "  data        inline: 6 training samples; 1 feature; regression",
        "  model       dense 1: 2 parameters",
        "  training    mse (mean), sgd at 0.01; 500 epochs of 1 step, the whole set at once",
        "  sides       tensorflow, torch; 1 seed each",
        '  differs     loss.reduction: tensorflow "mean", torch "sum"',
    ]


def test_validate_prints_one_document_for_a_program(likewise: Likewise) -> None:
    done = likewise("validate", "digits", "--json", "--set", "seeds=[4, 5]")
    document = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, "")
    assert (document["valid"], document["problems"], document["seeds"]) == (True, [], [4, 5])
    assert document["setting_differences"] == []
    assert document["runs"]["torch"]["parameters"] == 4810
    assert document["runs"]["torch"]["samples"] == {
        "train": 1258,
        "validation": 180,
        "test": 359,
        "predict": 0,
    }


def test_validate_tells_and_checks_the_grid_too(likewise: Likewise) -> None:
    grid = "grid={optimizer.learning_rate: [0.01, 0.1], training.epochs: [5, 6, 7]}"
    done = likewise("validate", "matched", "--set", grid)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "  grid        6 points for likewise sweep: optimizer.learning_rate 0.01, 0.1; "
        "training.epochs 5, 6, 7"
    ) in done.stdout.splitlines()

    wrong = likewise("validate", "matched", "--json", "--set", "grid={optimizer.learning_rat: [0.1]}")
    assert (wrong.returncode, json.loads(wrong.stdout)["valid"]) == (2, False)
    assert "did you mean learning_rate" in wrong.stdout


def test_validate_prints_problems_as_a_document_too(likewise: Likewise) -> None:
    done = likewise("validate", "article", "--json", "--set", "training.epochs=0")
    document = json.loads(done.stdout)

    assert (done.returncode, document["valid"]) == (2, False)
    assert document["problems"] == [
        {
            "source": "example article",
            "path": "training.epochs",
            "message": "must be 1 or more",
            "value": "0",
            "hint": "for example `epochs: 100`",
        }
    ]


def test_validate_reads_standard_input(likewise: Likewise) -> None:
    text = example_path("matched").read_text(encoding="utf-8")
    done = likewise("validate", "-", given=text)

    assert done.returncode == 0
    assert done.stdout.startswith("standard input is a valid job")


BOMB = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"] + [
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)
])  # fmt: skip
SMALL = "model: {layers: [{type: dense, units: 1}]}\nloss: mse\noptimizer: sgd\ntraining: {epochs: 1}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00\x01\x02",
        "data: [",
        BOMB,
        "schema_version: 2",
        "a: !!python/object/apply:os.system [echo]",
        SMALL + "data: {type: inline, x: [[1, 2], [3]], y: [1, 2]}",
        SMALL + "data: {type: inline, x: [.nan], y: [1]}",
        SMALL + "data: {type: csv, path: nowhere.csv, target: y}",
        SMALL + "data: {type: inline, x: [1], y: [1]}\nprédict\u2028: \x1b[2J",
        SMALL + "data: {type: inline, x: [1], y: [1]}\ntraining: {epochs: -1}",
        SMALL.replace("units: 1", "units: 0") + "data: {type: inline, x: [1], y: [1]}",
        SMALL.replace("mse", "msee") + "data: {type: inline, x: [1], y: [1]}",
        SMALL.replace("epochs: 1", "epochs: 1, batch_size: 9, drop_last: true")
        + "data: {type: inline, x: [1], y: [1]}",
    ],
    ids=lambda text: repr(text[-30:]),
)
def test_a_bad_job_file_ends_with_status_2_and_one_message(likewise: Likewise, text: str) -> None:
    done = likewise("validate", "-", given=text)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("likewise: standard input: ") or done.stderr.startswith(
        "likewise: data.path "
    )
    assert "Traceback" not in done.stderr
    assert done.stderr.replace("\n", "").isprintable()


def test_schema_prints_the_schema(likewise: Likewise) -> None:
    done = likewise("schema")

    assert done.returncode == 0
    assert json.loads(done.stdout)["title"] == "Likewise job file"
    assert likewise("schema", "--json").stdout == done.stdout


def test_init_writes_a_starter_that_is_valid(likewise: Likewise, tmp_path: Path) -> None:
    done = likewise("init")

    assert done.stdout == "wrote job.yaml\nnext: likewise validate job.yaml\n"
    assert prepare_experiment(read_experiment(str(tmp_path / "job.yaml"))).advice == ()


def test_init_writes_over_nothing_unless_told_to(likewise: Likewise, tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("mine", encoding="utf-8")
    done = likewise("init")

    assert (done.returncode, done.stderr) == (
        2,
        "likewise: job.yaml is there already; --force writes over it\n",
    )
    assert (tmp_path / "job.yaml").read_text(encoding="utf-8") == "mine"
    assert likewise("init", "--force").returncode == 0
    assert (tmp_path / "job.yaml").read_text(encoding="utf-8") != "mine"


def test_init_takes_its_file_as_other_commands_do(likewise: Likewise, tmp_path: Path) -> None:
    assert likewise("init", "-o", "mine.yaml").returncode == 0
    assert (tmp_path / "mine.yaml").is_file()


def test_init_copies_an_example_with_its_data(likewise: Likewise, tmp_path: Path) -> None:
    done = likewise("init", "mine.yaml", "--from", "houses", "--json")

    assert json.loads(done.stdout) == {"written": ["mine.yaml", "houses.csv"]}
    assert prepare_experiment(read_experiment(str(tmp_path / "mine.yaml"))).advice == ()


@pytest.mark.parametrize(
    ("text", "target", "loss", "units"),
    [
        ("a,b,y\n" + "1,2,3.5\n2,3,4.5\n" * 20, "y", "mse", 1),
        ("a,b,y\n" + "1,2,0\n2,3,1\n" * 20, "y", "binary_crossentropy", 1),
        ("a,b,y\n" + "1,2,0\n2,3,1\n3,4,2\n" * 20, "y", "categorical_crossentropy", 3),
        ("a,b,kind of pet\n" + "1,2,cat\n2,3,dog\n" * 20, "kind of pet", "binary_crossentropy", 1),
        ("name,a,y: z\n" + "u,2,cat\nv,3,dog\nw,4,cow\n", "y: z", "categorical_crossentropy", 3),
        ("größe,zimmer,preis €\n" + "1,2,3.5\n2,3,4.5\n" * 20, "preis €", "mse", 1),
        ("id;a;y\nx;1;10\ny;2;20\n", "y", "mse", 1),
    ],
)
def test_init_writes_a_valid_job_for_a_csv_file(
    likewise: Likewise, tmp_path: Path, text: str, target: str, loss: str, units: int
) -> None:
    (tmp_path / "my data.csv").write_text(text, encoding="utf-8")
    (tmp_path / "jobs").mkdir()
    done = likewise("init", "jobs/a.yaml", "--csv", "my data.csv", "--target", target)
    prepared = prepare_experiment(read_experiment(str(tmp_path / "jobs" / "a.yaml")))
    job = prepared.runs["torch"].job

    assert done.returncode == 0
    assert target in (tmp_path / "jobs" / "a.yaml").read_text(encoding="utf-8")
    assert (job.loss.type, job.model.layers[-1].model_dump()["units"]) == (loss, units)
    assert prepared.advice == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "hauses"], "--from hauses: no such example; did you mean houses?"),
        (
            ["--from", "a.csv"],
            "--from a.csv: is a file and no example's name; a job for a table: --csv a.csv",
        ),
        (["--csv", "a.csv"], "--csv needs --target, the column to predict: one of x, y"),
        (["--csv", "a.csv", "--target", "Y"], '--target "Y": a.csv has no such column (did you mean y?)'),
        (["--csv", "b.csv", "--target", "y"], "there is no such file"),
        (["--target", "y"], "--target goes with --csv FILE"),
        (["--csv", "a.csv", "--from", "houses"], "--from and --csv exclude each other; keep one"),
        (["job.txt"], "job.txt: a job file's name ends in .yaml or .yml"),
        (["no/such/job.yaml"], "no/such/job.yaml: there is no folder no/such; make it first"),
        (["no/such/job.yaml", "--csv", "a.csv", "--target", "y"], "there is no folder no/such; make it"),
        (["there.yaml", "--csv", "b.csv", "--target", "y"], "there.yaml is there already; --force writes"),
        (["a.yaml", "-o", "b.yaml"], "is named twice, as a.yaml and as --output b.yaml; keep one"),
        (["--csv", "far.csv", "--target", "y"], "far.csv: line 3, column x: 1.7e+308 is too large"),
        (["--csv", "notes.csv", "--target", "y"], "holds 9 different words in 9 rows, such as"),
    ],
)
def test_init_refuses_what_it_cannot_do(
    likewise: Likewise, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n", encoding="utf-8")
    (tmp_path / "there.yaml").write_text("mine", encoding="utf-8")
    (tmp_path / "far.csv").write_text("x,y\n" + "1,2\n1.7e308,3\n-1.7e308,4\n" * 9, encoding="utf-8")
    notes = "".join(f"{row / 7},some words {row}\n" for row in range(9))
    (tmp_path / "notes.csv").write_text(f"x,y\n{notes}", encoding="utf-8")
    done = likewise("init", *arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["validate", "schema", "init"])
def test_each_command_explains_itself_with_an_example(likewise: Likewise, command: str) -> None:
    done = likewise(command, "--help")

    assert done.returncode == 0
    assert re.search(rf"Examples?:\s+likewise {command}", done.stdout)
