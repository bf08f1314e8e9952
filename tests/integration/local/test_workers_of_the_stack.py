"""The workers of the local stack: started, restarted, renewed with the code, and never orphaned."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from likewise.shared.connection import connect
from likewise.shared.errors import StackError
from likewise.shared.ledger.ledger import Ledger

ROOT = Path(__file__).resolve().parents[3]
LONG = 1_000_000
"""Epochs that outlast any test."""


def test_a_worker_is_ready_when_the_command_goes_on_and_stays_warm(served_home):
    url = served_home.up("torch")
    (worker,) = Ledger(connect(url), retention_s=60).workers()
    assert (worker.framework, worker.state) == ("torch", "idle")
    assert served_home.said == ["starting the local stack", "starting the worker of torch"]
    assert served_home.up("torch") == url


def test_a_worker_sees_no_package_of_the_producer(served_home):
    served_home.up("torch")
    worker = psutil.Process(served_home.state.workers["torch"].pid)
    (path,) = (value for name, value in worker.environ().items() if name == "PYTHONPATH")
    (package,) = Path(path).iterdir()
    assert package.name == "likewise"
    held = {entry.name for entry in package.iterdir()} - {"__pycache__"}
    assert held == {"__init__.py", "shared", "worker"}
    assert "password" not in " ".join(worker.cmdline())


def test_a_framework_joins_a_running_stack_without_disturbing_the_others(served_home, environments):
    if len(list(environments.iterdir())) < 2:
        pytest.skip("the suite was given one framework only")
    served_home.up("torch")
    first = served_home.state.workers["torch"].pid
    served_home.up("tensorflow")
    assert set(served_home.state.workers) == {"torch", "tensorflow"}
    assert served_home.state.workers["torch"].pid == first


def test_a_killed_worker_comes_back_and_what_it_started_is_gone(served_home, until):
    served_home.up("torch")
    first = psutil.Process(served_home.state.workers["torch"].pid)
    children = first.children(recursive=True)
    assert children
    first.kill()
    until(
        lambda: not any(child.is_running() for child in children), within_s=10, what="its children are gone"
    )
    served_home.up("torch", patiently=True)
    assert served_home.state.workers["torch"].pid != first.pid


def test_a_training_keeps_the_stack_up_and_its_end_lets_it_go(served_home, desk_at, until):
    url = served_home.up("torch", idle_minutes=3 / 60)
    desk = desk_at(url)
    record = desk.submit(epochs=LONG)
    desk.wait(record, "leased", within_s=30)
    busy_since = time.monotonic()

    def idle_time_is_over_twice():
        assert served_home.is_up()
        return time.monotonic() - busy_since > 7

    until(idle_time_is_over_twice, within_s=20, what="7 s of training")
    desk.ledger.cancel(record.run_ids[0])
    until(lambda: not served_home.processes(), within_s=30, what="the idle stack has ended")


def test_a_killed_supervisor_leaves_no_training_behind(served_home, desk_at, until):
    desk = desk_at(served_home.up("torch"))
    desk.wait(desk.submit(epochs=LONG), "leased", within_s=30)
    os.kill(served_home.state.pid, signal.SIGKILL)
    until(lambda: not served_home.processes(), within_s=10, what="every process of the stack is gone")


def test_down_hands_a_training_back_and_ends_every_process(served_home, desk_at):
    desk = desk_at(served_home.up("torch"))
    record = desk.submit(epochs=LONG)
    desk.wait(record, "leased", within_s=30)
    assert served_home.down()
    assert served_home.processes() == []
    again = desk_at(served_home.up("torch"))
    run = again.wait(record, "leased", within_s=30)
    assert run.attempt == 2
    again.ledger.cancel(record.run_ids[0])


def test_changed_code_restarts_the_workers(served_home, tmp_path):
    checkout = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "likewise", checkout / "likewise", ignore=ignored)

    def up():
        status, _, problems = served_home.answer("up", "torch", PYTHONPATH=str(checkout))
        assert status == 0, problems
        return served_home.state.workers["torch"].pid

    first = up()
    assert up() == first
    with (checkout / "likewise" / "worker" / "training" / "runner.py").open("a") as stream:
        stream.write("\n# changed\n")
    assert up() != first


def test_other_settings_restart_the_workers(served_home):
    served_home.up("torch")
    first = served_home.state.workers["torch"].pid
    served_home.up("torch", threads=2)
    worker = psutil.Process(served_home.state.workers["torch"].pid)
    assert worker.pid != first
    assert worker.environ()["LIKEWISE_THREADS"] == "2"


def test_a_worker_that_cannot_start_is_told_with_its_last_words(make_home, tmp_path):
    # A Python without any of the worker's packages.
    interpreter = tmp_path / "environments" / "torch" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.symlink_to(Path(sys._base_executable))  # type: ignore[attr-defined]
    home = make_home("home", tmp_path / "environments")
    with pytest.raises(StackError, match=r"torch worker does not start \(.*No module named") as caught:
        home.up("torch")
    assert "\n" not in str(caught.value)
    assert "worker-torch.log" in str(caught.value)


def test_an_environment_that_is_not_there_is_told(make_home, tmp_path):
    with pytest.raises(StackError, match=r"LIKEWISE_ENVIRONMENTS is .* which has no torch/bin/python"):
        make_home("home", tmp_path / "nowhere").up("torch")
