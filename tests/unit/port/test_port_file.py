"""A port.yaml, or two programs: what is read, and what is refused in one message."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from likewise.producer.cli.app import app
from likewise.producer.port.batch import read_batch
from likewise.producer.port.file import read_port
from likewise.shared.errors import DataError, LikewiseError

KERAS = "import keras\n\n\ndef build():\n    return keras.Sequential([])\n"
TORCH = "from torch import nn\n\n\ndef model():\n    return nn.Linear(1, 1)\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "k.py").write_text(KERAS)
    (tmp_path / "t.py").write_text(TORCH)
    (tmp_path / "none.py").write_text("import json\n")
    np.savez(tmp_path / "batch.npz", x=np.zeros((2, 3), np.float32), y=np.zeros(2, np.int32))
    return tmp_path


def test_two_programs_are_known_by_what_they_import(folder: Path) -> None:
    port = read_port([f"{folder}/k.py:build", f"{folder}/t.py"], folder / "batch.npz")
    one, two = port.programs
    assert (one.label, one.framework, one.maker) == ("keras", "tensorflow", "build")
    assert (two.label, two.framework, two.maker) == ("torch", "torch", None)


def test_a_port_file_names_sides_by_label(folder: Path) -> None:
    (folder / "port.yaml").write_text(
        "name: mine\ndata: {type: npz, path: batch.npz}\n"
        "sides:\n  old: {program: k.py:build}\n  new: {framework: torch, program: t.py}\n"
    )
    port = read_port([f"{folder}/port.yaml"], None)
    assert [one.label for one in port.programs] == ["old", "new"]
    assert port.batch == folder / "batch.npz"
    assert port.name == "mine"


def test_a_side_may_say_what_its_environment_has(folder: Path) -> None:
    (folder / "port.yaml").write_text(
        'sides:\n  old: {program: k.py:build, version: "2.20.*"}\n'
        "  new: {program: t.py, requirements: [pytorchcv, 'timm==1.0.*']}\n"
    )
    old, new = read_port([f"{folder}/port.yaml"], None).programs
    assert (old.version, old.requirements) == ("2.20.*", ())
    assert (new.version, new.requirements) == (None, ("pytorchcv", "timm==1.0.*"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sides: {a: {program: k.py}}", "sides: a port has two sides"),
        ("sides: {a: {program: k.py}, b: {program: missing.py}}", "sides.b.program"),
        (
            "sides: {a: {program: k.py}, b: {program: none.py}}",
            "imports none of keras, tensorflow, tf_keras, torch",
        ),
        ("sides: {a: {program: k.py}, b: {program: t.py, environment: nowhere}}", "has no bin/python"),
        ("sides: {a: {program: k.py}, b: {program: t.py}}\ndata: {type: npz, path: no.npz}", "data.path"),
        (
            "sides: {a: {program: k.py}, b: {program: t.py, environment: x, requirements: [timm]}}",
            "has an environment and requirements: nothing is installed into an environment of yours",
        ),
        ("sides: {a: {program: k.py, version: '>2'}, b: {program: t.py}}", "sides.a.version"),
        ("model: {layers: []}\nsides: {}", "likewise compare takes it"),
        ("sides: {a: {programm: k.py}, b: {program: t.py}}", "sides.a.programm"),
        ("sides: [", "is not YAML"),
    ],
)
def test_a_wrong_port_file_is_refused_with_the_field(folder: Path, text: str, words: str) -> None:
    (folder / "port.yaml").write_text(text)
    with pytest.raises(LikewiseError) as refused:
        read_port([f"{folder}/port.yaml"], None)
    assert words in str(refused.value)
    assert refused.value.exit_status == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["k.py"], "name two"),
        (["k.py", "t.py", "none.py"], "3 were named"),
        (["k.py", "gone.py"], "there is no file"),
        (["k.py", "t.py", "--batch", "gone.npz"], "no such file"),
        (["k.py", "t.py", "--until", "grads"], "the rungs are settings, mapping"),
        (["missing.yaml"], "cannot be read"),
    ],
)
def test_the_command_refuses_in_one_line(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(app, ["port", "check", *arguments])
    assert isinstance(result.exception, LikewiseError)
    assert result.exception.exit_status == 2
    assert words in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_batch_is_inputs_and_targets(folder: Path) -> None:
    batch = read_batch(folder / "batch.npz", precision="float64")
    assert batch.inputs["x"].dtype == np.float64
    assert batch.targets is not None
    assert batch.targets.dtype == np.int64


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": np.zeros(2)}, "no array that could be an input"),
        ({"x": np.zeros((3, 1)), "y": np.zeros(2)}, "other numbers of samples: x 3, y 2"),
        ({"x": np.zeros(2), "y": np.zeros(2), "labels": np.zeros(2)}, "which are the targets"),
    ],
)
def test_a_wrong_batch_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    np.savez(tmp_path / "b.npz", **arrays)
    with pytest.raises(DataError, match=words):
        read_batch(tmp_path / "b.npz", precision="float64")


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.npz").write_text("no zip")
    with pytest.raises(DataError, match="cannot be read as an npz file"):
        read_batch(tmp_path / "b.npz", precision="float64")
