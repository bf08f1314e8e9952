"""The steps of the example workflow are run as they stand, but for installing and what is GitHub's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

WORKFLOW = Path(__file__).parents[2] / "docs" / "compare-in-ci.yml"
JOB = {
    "name": "line",
    "data": {"type": "inline", "x": [-1, 0, 1, 2], "y": [-3, -1, 1, 3]},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": {"type": "sgd", "learning_rate": 0.01},
    "training": {"epochs": 2},
}


@pytest.mark.parametrize(("reduction", "status"), [("mean", 0), ("sum", 1)])
def test_the_steps_of_the_workflow_run_as_they_stand(likewise, environment, tmp_path, reduction, status):
    assert likewise("version").returncode == 0
    overrides = {"torch": {"loss.reduction": reduction}}
    (tmp_path / "job.yaml").write_text(json.dumps({**JOB, "overrides": overrides}))
    (tmp_path / "likewise").write_text(f'#!/bin/sh\nexec {sys.executable} -m likewise.producer "$@"\n')
    (tmp_path / "likewise").chmod(0o755)
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["compare"]["steps"]
    own = {step["name"]: step["run"] for step in steps if "run" in step}
    assert own.pop("Install") == "pip install likewise"
    assert "--body-file comment.md" in own.pop("Comment on the pull request")
    runs = {
        name: subprocess.run(
            ["bash", "-e", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={**environment, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
                 "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")},
        )
        for name, command in own.items()
    }  # fmt: skip
    ended = {name: run.returncode for name, run in runs.items()}
    assert ended == {**dict.fromkeys(own, 0), "Compare": status}, runs

    suite = ElementTree.parse(tmp_path / "likewise.xml").find("testsuite")
    assert (suite.get("tests"), suite.get("failures")) == ("3", str(status))
    summary = (tmp_path / "summary.md").read_text()
    assert summary == (tmp_path / "comment.md").read_text()
    assert summary.startswith("<!-- Written by Likewise: line -->\n### line: ")
    kept = {path.name for path in tmp_path.glob("likewise.*")}
    assert kept == {"likewise.xml", "likewise.html", "likewise.parquet", "likewise.zip"}
