"""The programs that a warm worker keeps, by the structure of the jobs that they serve."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch

from shared.job import Job
from shared.job.optimizer import structure
from worker.adapters.torch_adapter.flat import Layout
from worker.adapters.torch_adapter.model import Network
from worker.adapters.torch_adapter.program import Program

Tensor = Any

MOST_PROGRAMS = 16


class Programs:
    """The programs used last. Jobs that differ in numbers, seeds, samples or epochs share them."""

    def __init__(self, most: int = MOST_PROGRAMS) -> None:
        self._most = most
        self._kept: OrderedDict[tuple[Any, ...], Program] = OrderedDict()

    def program(
        self,
        job: Job,
        *,
        network: Network,
        layout: Layout,
        batch_size: int,
        samples: Sequence[Tensor],
        batch_bytes: int,
    ) -> Program:
        """The program for batches of this size from samples like these, new or kept."""
        key = (
            network.program,
            job.loss,
            structure(job.optimizer),
            batch_size,
            torch.get_num_threads(),  # compiled into the loops
            *((values.dtype, tuple(values.shape[1:])) for values in samples),
        )
        if key not in self._kept:
            self._kept[key] = Program(job, network=network, layout=layout, batch_bytes=batch_bytes)
        self._kept.move_to_end(key)
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return self._kept[key]
