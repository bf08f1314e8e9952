"""Trains as the NumPy adapter does, up to a point, and then does what the job's name says: it hangs, dies, …

A fault that ends with `-once` happens to the first training that meets it in a worker's folder alone.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from numpy_adapter.adapter import NumpyAdapter, NumpyTrainer

from likewise.shared.job import Job
from likewise.shared.program import ProgramSpec
from likewise.worker.adapters.trainer import Batch, Block, Trainer, Weights

SLOW_S = 0.001
"""Each update of a `slow` training takes so much longer."""
BLOCKS = 3
"""So many blocks of updates go well, of about a quarter of a second each but for the first."""
BLOCKS_BEFORE_ONE = 8
"""So many before what happens once, so that there is a checkpoint to go on from."""


def hangs() -> None:
    """Wait for a lock that nobody gives back; other threads of the process go on."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def hangs_alone() -> None:
    """Compute for ever in one call that lets no other thread of the process run."""
    re.match(r"(a+)+$", "a" * 64 + "b")


def exits() -> NoReturn:
    sys.exit("as a library may")


def raises() -> NoReturn:
    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("and cannot be printed")

    raise OddError


def interrupts() -> NoReturn:
    raise KeyboardInterrupt


def writes_badly() -> NoReturn:
    raise RuntimeError("a file of the name \udcff")  # as Python reads one that is no UTF-8


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def takes_memory() -> None:
    """Take more and more, each page of it."""
    held: list[NDArray[np.float64]] = []
    while True:
        held.append(np.ones(2**20))


def stalls() -> None:
    """Start a process in a session of its own, as some start their readers of data, and stand still."""
    with Path("started").open("a") as file:
        file.write(f"{subprocess.Popen(['sleep', '3600'], start_new_session=True).pid}\n")
    time.sleep(3_600)


FAULTS: Mapping[str, Callable[[], Any]] = {
    "hangs": hangs,
    "hangs-alone": hangs_alone,
    "exits": exits,
    "raises": raises,
    "interrupts": interrupts,
    "writes-badly": writes_badly,
    "dies": dies,
    "takes-memory": takes_memory,
    "stalls": stalls,
}


class FaultyTrainer(NumpyTrainer):
    def __init__(self, program: ProgramSpec, job: Job, *, weights: Weights, samples: Batch) -> None:
        super().__init__(program, job, weights=weights, samples=samples)
        self._name = job.name
        self._blocks = 0

    def train(self, block: Block) -> NDArray[np.float64]:
        losses = super().train(block)
        self._blocks += 1
        if self._name == "slow":
            time.sleep(SLOW_S * len(losses))
        fault = FAULTS.get(self._name.removesuffix("-once"))
        well = BLOCKS_BEFORE_ONE if self._name.endswith("-once") else BLOCKS
        if fault is not None and self._blocks > well and self._not_yet():
            fault()
        return losses

    def _not_yet(self) -> bool:
        if self._name.endswith("-once"):
            try:
                Path(f"{self._name}.happened").touch(exist_ok=False)
            except FileExistsError:
                return False
        return True


class FaultyAdapter(NumpyAdapter):
    name = "faulty"

    def build(self, program: ProgramSpec, job: Job, *, weights: Weights, samples: Batch) -> Trainer:
        return FaultyTrainer(program, job, weights=weights, samples=samples)


ADAPTER = FaultyAdapter()
