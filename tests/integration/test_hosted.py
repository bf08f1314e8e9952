"""Users' programs on workers: `port check` through the queue, and what a worker refuses and survives."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.producer.port.channels import WorkerHosts
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.shipping import ship
from likewise.producer.runs.routing import Need
from likewise.shared.errors import NoWorkerError, RunFailedError
from likewise.shared.names import findings_key
from likewise.shared.run import ProgramFile
from tests.conftest import Desk, WorkerProcess

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "port"
NET = """
import torch

print("a line of the program's")

def model():
    return torch.nn.Linear(2, 1)
"""


MENDED = (
    ("stride=2, padding=1)", "stride=2)"),
    ("x = F.relu(self.conv(x))", "x = F.relu(self.conv(F.pad(x, (0, 1, 0, 1))))"),
    ("nn.BatchNorm2d(4)", "nn.BatchNorm2d(4, eps=1e-3, momentum=0.01)"),
    ("lr=1e-3)", "lr=1e-3, eps=1e-7)"),
)
"""The edits that `port check` names for the example."""


@pytest.fixture
def port(tmp_path: Path) -> Path:
    """The example of the documentation, as a port.yaml in a folder of the user's."""
    for file in EXAMPLE.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "port.yaml").write_text(
        "schema_version: 1\nname: digits\ndata: {type: npz, path: batch.npz}\n"
        "sides:\n  keras: {program: keras_code.py}\n  torch: {program: torch_code.py}\n"
        "training: {updates: 6, batch_size: 2}\nseeds: 2\n"
    )
    return tmp_path / "port.yaml"


def test_a_wrong_port_is_told_apart_on_workers_with_each_cause(likewise, port, programs_folder):
    answer = likewise("compare", str(port), "--check", "--json", "--seeds", "1")

    assert answer.returncode == 1, answer.stderr
    found = json.loads(answer.stdout)
    assert (found["verdict"], found["first_divergence"]) == ("differ", {"seed": 0, "update": 1})
    assert found["reasons"][1].endswith("(keras keras_code.py:8 and torch torch_code.py:11).")
    findings = found["check"]["findings"]
    assert [one["setting"] for one in findings] == ["padding", "epsilon", "momentum", "epsilon"]
    assert not {"this machine"} & set(found["hosts"].values())
    assert list(programs_folder.glob("ports/*/torch_code.py"))  # it was run there, and no code is in Redis
    assert json.loads(likewise("show", found["experiment_id"], "--json").stdout) == found


def need(label: str) -> Need:
    """Return what a program in PyTorch asks for, as this side."""
    return Need(label=label, framework="torch", device="auto")


def test_a_right_port_trains_alike_on_workers(likewise, port):
    torch = port.with_name("torch_code.py")
    text = torch.read_text()
    for wrong, right in MENDED:
        assert text.count(wrong) == 1
        text = text.replace(wrong, right)
    torch.write_text(text)
    keras = port.with_name("keras_code.py")  # whose layers are counted on from model to model without names
    keras.write_text(re.sub(r", name=\"\w+\"", "", keras.read_text()))

    found = json.loads(likewise("compare", str(port), "--check", "--json").stdout)

    assert found["verdict"] == "agree", found["reasons"]
    assert found["noise"] < 1e-5, "both trainings of the reference began with the same weights"
    assert [run["seed"] for run in found["runs"]["torch"]] == [0, 1]
    assert len(set(found["runs"]["keras"][0]["losses"] + found["runs"]["keras"][1]["losses"])) == 12


def test_a_check_is_kept_and_set_against_the_one_before(likewise, port, desk):
    words = ("port", "check", str(port), "--until", "settings", "--tag", "a-port", "--json")
    first = json.loads(likewise(*words, "--note", "as it was").stdout)
    torch = port.with_name("torch_code.py")
    torch.write_text(torch.read_text().replace("nn.BatchNorm2d(4)", "nn.BatchNorm2d(4, eps=1e-3)"))
    second = json.loads(likewise(*words).stdout)

    listed = json.loads(likewise("list", "--tag", "a-port", "--kind", "port-check", "--json").stdout)
    told = [(one["experiment_id"], one["state"], one["verdict"], one["note"]) for one in listed]
    assert told == [
        (second["experiment_id"], "finished", "differ", ""),
        (first["experiment_id"], "finished", "differ", "as it was"),
    ]
    assert json.loads(likewise("show", first["experiment_id"], "--json").stdout) == first

    beside = json.loads(likewise("show", first["experiment_id"], second["experiment_id"], "--json").stdout)
    assert [(one["side"], one["path"]) for one in beside["setting_differences"]] == [
        ("torch", "torch_code.py")
    ]
    findings = [one["sides"]["torch"]["findings"] for one in beside["experiments"]]
    assert findings == [len(first["findings"]), len(second["findings"])] == [findings[1] + 1, findings[1]]

    refused = likewise("explain", second["experiment_id"])
    assert (refused.returncode, "is a port-check, which has no runs" in refused.stderr) == (2, True)
    assert likewise("delete", second["experiment_id"]).returncode == 0
    assert not desk.client.exists(findings_key(second["experiment_id"]))
    assert likewise("show", second["experiment_id"]).returncode == 2


@pytest.fixture(scope="module")
def alone(start_redis: Any) -> Iterator[Desk]:
    """A producer at a Redis where no other worker is."""
    server = start_redis()
    found = Desk(server.url, producer_url=server.url_of("producer"))
    found.worker_url = server.url_of("worker")
    yield found
    found.close()


@pytest.fixture(scope="module")
def worker(alone: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A worker of PyTorch that waits 3 s for an answer, and gives a program 0.9 GB."""
    folder = tmp_path_factory.mktemp("hosting")
    (folder / "programs").mkdir()
    found = WorkerProcess(
        "torch",
        alone.worker_url,
        folder,
        LIKEWISE_PROGRAMS=str(folder / "programs"),
        LIKEWISE_HANG_S="3",
        LIKEWISE_MAX_MEMORY_GB="0.9",
    )
    found.programs = folder / "programs"
    yield found.wait_until("idle", alone.ledger)
    found.close()


@pytest.fixture
def host(alone: Any, worker: Any) -> Iterator[Callable[..., Hosted]]:
    """Has the worker host a program, by its text or by the files that a run names."""
    hosts = WorkerHosts(session=alone, tell=lambda _: None)
    opened: list[Hosted] = []

    def hosted(text: str = "", files: tuple[ProgramFile, ...] = ()) -> Hosted:
        worker.wait_until("idle", alone.ledger)
        if text:
            file = worker.programs / "net.py"
            file.write_text(text)
            files = ship(file, worker.programs).files
        channel = hosts.channel(need("torch"), files)
        opened.append(Hosted("torch", "torch", channel, place=files[0].file))
        return opened[-1]

    yield hosted
    for one in opened:
        one.close()


def why(host: Hosted, ask: Callable[[Hosted], Any] = lambda one: one.open(Path(), None, "float64")) -> str:
    with pytest.raises(RunFailedError) as failed:
        ask(host)
    return str(failed.value)


def failure(alone: Any, host: Hosted) -> tuple[str, str]:
    """The run's own failure, once its program has ended."""
    run_id = host._channel._run.run_id
    host._channel._end()
    (record,) = alone.ledger.records([run_id])
    return record.failure.reason, record.failure.message


def test_programs_that_are_not_what_the_run_names_are_refused(host, worker):
    (worker.programs / "net.py").write_text(NET)
    (worker.programs.parent / "outside.py").write_text(NET)
    right = hashlib.sha256(NET.encode()).hexdigest()

    said = why(host(files=(ProgramFile(file="net.py", sha256="0" * 64),)))
    assert said == f"torch: The program net.py has the SHA-256 {right[:12]}…; the run is for 000000000000…"
    said = why(host(files=(ProgramFile(file="../outside.py", sha256=right),)))
    assert said == "torch: The program ../outside.py leads out of the worker's folder of programs"


def test_what_a_program_reads_from_beside_it_is_there_and_refused_where_it_was_changed(
    worker, alone, tmp_path
):
    (tmp_path / "side.py").write_text(
        "import numpy as np, torch\n\ndef model():\n    net = torch.nn.Linear(2, 1)\n"
        "    net.weight.data = torch.as_tensor(np.load('start.npz')['kernel'])\n    return net\n"
    )
    np.savez(tmp_path / "start.npz", kernel=np.array([[3.0, 4.0]]))
    shipped = ship(tmp_path / "side.py", worker.programs)
    hosts = WorkerHosts(session=alone, tell=lambda _: None)
    for spoilt in (False, True):
        worker.wait_until("idle", alone.ledger)
        if spoilt:
            (worker.programs / shipped.data[0].file).write_bytes(b"others")
        channel = hosts.channel(need("torch"), shipped.files, data=shipped.data)
        with Hosted("torch", "torch", channel, place=shipped.place) as side:
            if spoilt:
                assert "start.npz has the SHA-256" in why(side)
            else:
                side.open(Path(), None, "float64")
                assert next(one.tolist() for one in side.weights().values()) == [[3.0], [4.0]]


def test_a_file_that_the_run_does_not_name_is_not_imported(host, worker):
    (worker.programs / "other.py").write_text("SIZE = 2")
    said = why(host("import importlib, torch\nimportlib.import_module('other')\n"))

    assert said.startswith(
        "torch: net.py cannot be imported, at net.py:2: RefusedFileError: other.py is not among"
    )


def test_an_exception_comes_back_with_the_users_line_and_prints_go_to_the_log(host, alone, worker):
    program = host(NET.replace("return", "raise ValueError('no such size')\n    return"))

    said = "model() failed at net.py:7: ValueError: no such size"
    assert why(program) == f"torch: {said}"
    assert failure(alone, program) == ("program_failed", said)
    assert "net.py: a line of the program's" in worker.log.read_text()


LOSSES = """
import os, time

def loss(outputs, targets):
    if float(targets[0]) == 1:
        os._exit(3)
    time.sleep(600)
"""
EATS = """
import numpy as np
import torch

def model():
    eaten = []
    while True:
        eaten.append(np.ones(2**24))
"""


@pytest.mark.parametrize(
    ("text", "target", "ending"),
    [
        (NET + LOSSES, 1, ("program_failed", "The program ended its process with status 3")),
        (NET + LOSSES, 2, ("hung", "The program has not answered for 3 s (LIKEWISE_HANG_S); it was ended")),
        (
            EATS,
            0,
            ("out_of_memory", "of the 0.9 GB that its worker has (LIKEWISE_MAX_MEMORY_GB); it was ended"),
        ),
    ],
    ids=["exits", "hangs", "eats"],
)
def test_a_program_that_exits_hangs_or_eats_memory_ends_alone(host, alone, worker, text, target, ending):
    child = worker.child_pid(alone.ledger)
    program = host(text)

    def ask(one: Hosted) -> None:
        one.open(Path(), None, "float64")
        one.loss({"0": np.zeros((1, 1))}, np.array([float(target)]))

    reason, said = ending
    assert said in why(program, ask)
    assert failure(alone, program)[0] == reason
    worker.wait_until("idle", alone.ledger)
    assert worker.child_pid(alone.ledger) == child


def test_two_sides_do_not_wait_for_the_same_worker(host, worker, alone):
    first = host(NET)
    first.open(Path(), None, "float64")
    hosts = WorkerHosts(session=alone, tell=lambda _: None, runs={worker.presence(alone.ledger).run_id})
    second = hosts.channel(need("second"), ship(worker.programs / "net.py", worker.programs).files)

    with pytest.raises(NoWorkerError, match=r"every worker for second \(torch\) hosts another side of this"):
        Hosted("second", "torch", second).open(Path("net.py"), None, "float64")
    second.close()
