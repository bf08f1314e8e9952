"""A worker's log as documents: what each entry is about, and what went wrong."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import logging
from likewise.shared.settings import Settings
from likewise.worker.service.logs import now_about, set_up
set_up(Settings(log_format="FORMAT"))
log = logging.getLogger("likewise.test")
now_about(worker="torch-cpu-vm-1", run="r1", experiment="e1", side="new")
log.warning("%d of %s\\nin two lines", 3, "four")
now_about(run=None, experiment=None, side=None)
try:
    1 / 0
except ZeroDivisionError:
    log.exception("it broke")
"""


def logged(form: str) -> list[str]:
    command = [sys.executable, "-c", SCRIPT.replace("FORMAT", form)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr.splitlines()


def test_an_entry_is_a_document_on_a_line_that_says_what_it_is_about() -> None:
    training, idle = map(json.loads, logged("json"))
    assert training.pop("time").endswith("+00:00")
    assert training == {
        "level": "warning", "logger": "likewise.test", "message": "3 of four\nin two lines",
        "worker": "torch-cpu-vm-1", "run": "r1", "experiment": "e1", "side": "new",
    }  # fmt: skip
    assert (idle["worker"], idle["message"]) == ("torch-cpu-vm-1", "it broke")
    assert "ZeroDivisionError: division by zero" in idle["exception"]
    assert not {"run", "experiment", "side"} & idle.keys()


def test_without_a_wish_an_entry_is_text() -> None:
    assert "WARNING likewise.test: 3 of four" in logged("text")[0]
