"""The guard alone: what it was told of ends with its supervisor, to the last grandchild."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from likewise.producer.local.processes import Guard

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = None
if len(sys.argv) > 1:
    child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
print(child.pid if child else "", flush=True)
time.sleep(600)
"""


@pytest.fixture
def family() -> Iterator[list[psutil.Process]]:
    """A process and its child, in a group of their own, deaf to SIGTERM."""
    parent = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, STUBBORN], stdout=subprocess.PIPE, process_group=0, text=True
    )
    child = int(parent.stdout.readline())
    parent.stdout.readline()  # the child is deaf by now, too
    yield [psutil.Process(parent.pid), psutil.Process(child)]
    for pid in (parent.pid, child):
        if psutil.pid_exists(pid):
            os.kill(pid, 9)
    parent.communicate()


def dead(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_a_group_ends_to_the_last_grandchild_when_the_supervisor_is_gone(family, until):
    guard = Guard()
    guard.add(family[0].pid, grace_s=0.2)
    guard.close()  # as the kernel would on the supervisor's death
    until(lambda: all(map(dead, family)), within_s=5, what="parent and child are gone")


def test_a_group_that_was_withdrawn_is_left_alone(family):
    guard = Guard()
    guard.add(family[0].pid, grace_s=0)
    guard.remove(family[0].pid)
    guard.close()
    assert not any(map(dead, family))
