"""`import likewise`: the commands as functions, their results as arrays and frames, and the notebook."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import likewise as python

ROOT = Path(__file__).resolve().parents[2]
JOB = {
    "name": "line",
    "data": {"type": "inline", "x": np.arange(-1.0, 5.0), "y": (-3, -1, 1, 3, 5, 7)},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": {"type": "sgd", "learning_rate": 0.01},
    "training": {"epochs": 10},
    "execution": "eager",
    "predict": [10.0],
}
BRIEF = {"quiet": True, "twin": False, "trace": False}


@pytest.fixture(autouse=True)
def services(likewise, environment, monkeypatch):
    """The session's Redis, with a worker of each framework; gives the command line beside it."""
    monkeypatch.setenv("LIKEWISE_REDIS_URL", environment["LIKEWISE_REDIS_URL"])
    return likewise


def test_a_comparison_from_python_is_that_of_the_command_line(services, tmp_path):
    with python.compare(JOB, set={"training.epochs": 12}, seeds=[0, 7], tags=["py"], **BRIEF) as compared:
        assert (compared.verdict, compared.sides) == ("agree", ("tensorflow", "torch"))
        curves, weights = compared.curves(), compared.weights("torch")
        assert curves["torch"].shape == (2, 12)
        assert {name: array.shape for name, array in weights.items()} == {
            "layers.0.kernel": (2, 1, 1), "layers.0.bias": (2, 1)
        }  # fmt: skip
        predicted = 10 * weights["layers.0.kernel"][:, 0, 0] + weights["layers.0.bias"][:, 0]
        np.testing.assert_allclose(compared.predictions("torch")[:, 0, 0], predicted, rtol=1e-6)
        with pytest.raises(python.LikewiseError, match="no side 'jax'; the sides are tensorflow, torch"):
            compared.weights("jax")
        page = compared.save(tmp_path / "line.html").read_text()
    shown = services("show", "last", "--json")
    assert without_date(json.loads(shown.stdout)) == without_date(compared.to_dict())
    assert str(compared) == services("show", "last").stdout.rstrip()
    assert page.startswith("<!doctype html>")
    assert compared._repr_html_().startswith('<iframe title="line: tensorflow and torch agree')
    again = python.get(compared.experiment_id[:8])
    assert without_date(again.to_dict()) == without_date(compared.to_dict())


def without_date(document):
    """What submits dates an experiment a moment before Redis does."""
    return {name: value for name, value in document.items() if name != "submitted_s"}


def test_values_are_a_data_frame(unavailable):
    try:
        import pandas
    except ImportError:
        unavailable("pandas is not installed")
    with python.compare(JOB, **BRIEF) as compared:
        frame = compared.to_frame()
    losses = frame[(frame.table == "losses") & (frame.side == "torch")]
    assert isinstance(frame, pandas.DataFrame)
    np.testing.assert_array_equal(losses.value.to_numpy(float), compared.curves()["torch"][0])


def test_other_commands_are_functions_too(services):
    queued = python.submit(JOB, quiet=True)
    assert queued.follow(quiet=True).sides == ("tensorflow", "torch")
    assert python.follow(queued.experiment_id, quiet=True).experiment_id == queued.experiment_id
    differ = JOB | {"overrides": {"torch": {"loss.reduction": "sum"}}}
    explained = python.explain(differ, seeds=2, quiet=True)
    assert explained.shares()["torch"]["loss.reduction"] == pytest.approx(1, abs=0.05)
    table = python.sweep(JOB, {"optimizer.learning_rate": [0.001, 0.01]}, quiet=True)
    assert table.best == {"optimizer.learning_rate": 0.01}
    timed = python.bench(
        JOB | {"frameworks": ["torch"]}, variants=["eager"], budget_s=0, twin=False, quiet=True
    )
    assert list(timed.medians()) == ["torch eager"]
    assert json.loads(services("show", "last", "--json").stdout) == timed.to_dict()


def test_what_is_wrong_is_an_error_with_the_sentence_of_the_command(services):
    answer = services("compare", "article", "--set", "training.epochs=-1")
    with pytest.raises(python.LikewiseError) as error:
        python.compare("article", set={"training.epochs": -1}, quiet=True)
    assert answer.stderr.strip() == f"likewise: {error.value}"
    with pytest.raises(python.LikewiseError, match=r"the job: model\.layers\.0\.units"):
        python.compare(JOB | {"model": {"layers": [{"type": "dense", "units": 0}]}})
    with pytest.raises(TypeError, match="there is no option 'seed'; there are against, key,"):
        python.compare(JOB, seed=1)


def test_a_port_is_two_programs_or_a_list_of_them():
    for programs in ([], ["a.py", "b.py", "c.py"]):
        with pytest.raises(python.LikewiseError, match=f"a port has two programs.*; {len(programs)} were"):
            python.port(*programs)
        with pytest.raises(python.LikewiseError, match=f"a port has two programs.*; {len(programs)} were"):
            python.port(programs)


def test_what_is_listed_of_it_is_what_it_is_for():
    assert [name for name in dir(python) if not name.startswith("__")] == python.__all__


def test_importing_it_imports_nothing_else():
    said = subprocess.run(
        [sys.executable, "-c", "import likewise, sys; likewise.__dir__(); print(*sys.modules)"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    loaded = {name.partition(".")[0] for name in said.stdout.split()}
    assert not loaded & {"numpy", "pydantic", "redis", "celery", "rich", "typer", "pandas"}


def test_the_notebook_runs(unavailable):
    try:
        import nbclient
        import nbformat
    except ImportError:
        unavailable("nbclient is not installed")
    notebook = nbformat.read(ROOT / "examples" / "article.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(ROOT)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output["data"] for output in outputs if "data" in output]
    assert "'differ'" in shown[0]["text/plain"]
    assert shown[1]["text/html"].startswith("<iframe")
    assert "loss.reduction" in str(shown[4])
