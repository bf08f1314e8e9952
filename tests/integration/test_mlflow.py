"""A comparison is sent to a real MLflow server and read back by MLflow's own client.

`make mlflow` installs the server, and runs this; where LIKEWISE_TEST_MLFLOW names no Python, it is skipped.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request

import pytest

from tests.conftest import free_port

PYTHON = os.environ.get("LIKEWISE_TEST_MLFLOW")
pytestmark = [
    pytest.mark.skipif(PYTHON is None, reason="make mlflow runs this with a server of MLflow"),
    pytest.mark.timeout(600),
]
READ = """
import json, sys
from mlflow import MlflowClient
client = MlflowClient(tracking_uri=sys.argv[1])
where = client.get_experiment_by_name(sys.argv[2]).experiment_id
runs = {}
for run in client.search_runs([where]):
    curves = {name: [[one.step, one.value] for one in client.get_metric_history(run.info.run_id, name)]
              for name in run.data.metrics}
    runs[run.info.run_id] = {"name": run.info.run_name, "status": run.info.status, "tags": run.data.tags,
        "params": run.data.params, "curves": curves,
        "files": [one.path for one in client.list_artifacts(run.info.run_id)]}
print(json.dumps(runs))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a server of its own."""
    folder = tmp_path_factory.mktemp("mlflow")
    port = free_port()
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [PYTHON, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{folder}/runs.db",
             "--artifacts-destination", f"{folder}/kept"],
            cwd=folder, stdout=log, stderr=log, process_group=0,
        )  # fmt: skip
    address, patience = f"http://127.0.0.1:{port}", time.monotonic() + 300
    while True:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                assert answer.status == 200
                break
        except OSError:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < patience, (folder / "log").read_text()
            time.sleep(0.2)
    yield address
    os.killpg(process.pid, 15)
    process.wait(60)


def send(environment, *words):
    """Run the command where MLflow's client is installed."""
    return subprocess.run(
        [PYTHON, "-m", "likewise.producer", "mlflow", *words],
        env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(likewise):
    """The document of a comparison of two seeds."""
    answer = likewise("compare", "matched", "--set", "training.epochs=5", "--seeds", "2", "--no-twin",
                      "--no-trace", "--json")  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def test_a_comparison_is_a_run_with_one_for_each_side(server, environment, trained):
    answer = send(environment, trained["experiment_id"], "--uri", server, "--into", "ports", "--json")
    assert answer.returncode == 0, answer.stderr
    sent = json.loads(answer.stdout)
    again = send(environment, trained["experiment_id"], "--uri", server, "--into", "ports", "--json")
    assert again.returncode == 0, again.stderr
    assert (sent["sent"], json.loads(again.stdout)) == (True, {**sent, "sent": False})

    read = subprocess.run([PYTHON, "-c", READ, server, "ports"], capture_output=True, text=True, check=True)
    runs = json.loads(read.stdout.splitlines()[-1])
    assert set(runs) == {sent["run_id"], *sent["sides"].values()}
    parent = runs[sent["run_id"]]
    assert (parent["name"], parent["status"]) == ("matched", "FINISHED")
    assert parent["tags"]["likewise.verdict"] == trained["verdict"]
    assert {"comparison.html", "comparison.json", "comparison.parquet"} == set(parent["files"])
    for side, run_id in sent["sides"].items():
        run = runs[run_id]
        assert (run["name"], run["tags"]["mlflow.parentRunId"]) == (side, sent["run_id"])
        assert run["params"]["optimizer.learning_rate"] == "0.01"
        for row in trained["runs"][side]:
            curve = [[place + 1, loss] for place, loss in enumerate(row["losses"])]
            assert run["curves"][f"loss.seed_{row['seed']}"] == curve
        losses = [row["losses"] for row in trained["runs"][side]]
        means = [sum(both) / 2 for both in zip(*losses, strict=True)]
        assert [value for _, value in run["curves"]["loss"]] == pytest.approx(means, rel=1e-12)


@pytest.mark.parametrize(
    ("words", "told"),
    [((), "--uri names the server"), (("--uri", "http://127.0.0.1:9"), "MLflow at http://127.0.0.1:9: ")],
)
def test_a_server_that_is_not_there_is_told(environment, trained, words, told):
    answer = send(environment, trained["experiment_id"], *words)
    assert (answer.returncode, told in answer.stderr, "Traceback" in answer.stderr) == (2, True, False), (
        answer.stderr
    )


def test_without_the_extra_it_says_what_to_install(likewise, trained):
    answer = likewise("mlflow", trained["experiment_id"], "--uri", "http://127.0.0.1:9")
    assert (answer.returncode, "pip install 'likewise[mlflow]'" in answer.stderr) == (2, True), answer.stderr
