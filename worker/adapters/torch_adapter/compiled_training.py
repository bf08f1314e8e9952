"""The Trainer whose blocks are run by compiled programs (see `program`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.job import Job
from shared.job.training import BatchPlan
from worker.adapters.base import Batch, Block, Marks, Trainer
from worker.adapters.shapes import bytes_per_sample
from worker.adapters.torch_adapter.model import Network
from worker.adapters.torch_adapter.program import Given, Program
from worker.adapters.torch_adapter.programs import Programs
from worker.adapters.torch_adapter.training import TorchTrainer, read_back

Tensor = Any


class CompiledTrainer(TorchTrainer):
    """Hands its state, and each block in portions, to the program for the block's batch size."""

    def __init__(self, job: Job, *, network: Network, samples: Batch, programs: Programs) -> None:
        super().__init__(job, network=network, samples=samples)
        self.execution = "compiled (torch.compile)"
        self._job = job
        self._programs = programs
        self._plan = BatchPlan.of(job.training, len(samples.x))
        self._programs_of: dict[int, Program] = {}
        self._tables: dict[tuple[int, str], Tensor] = {}

    @property
    def compiles(self) -> bool:  # type: ignore[override]
        """Whether a batch size of this training has no compiled program yet."""
        plan = self._plan
        sizes = [size for size in (plan.full and plan.batch_size, plan.remainder) if size]
        return not all(self._program(size).ready for size in sizes)

    def train(self, block: Block) -> NDArray[np.float64]:
        """Run the block's updates (see `Trainer.train`)."""
        steps, size = block.indices.shape
        program = self._program(size)
        indices, changing = self.on_device(block.indices), self.changing(block)
        state = {"weights": self.flat, "slots": self.slots, "buffers": dict(self.network.named_buffers())}
        losses = []
        for begin in range(0, steps, program.most):
            part = slice(begin, begin + program.most)
            rows = indices[part]
            given = {
                "samples": {
                    str(place): values.index_select(0, rows.flatten()).unflatten(0, rows.shape)
                    for place, values in enumerate(self.samples)
                },
                "masks": {path: self.on_device(mask[part]) for path, mask in block.masks.items()},
                "changing": {name: values[part] for name, values in changing.items()},
            }
            losses.append(
                program.run(state, self._tabled(given, size, program.most), self.fixed, steps=len(rows))
            )
        return read_back(losses)

    def train_marked(self, block: Block, *, every: int) -> tuple[NDArray[np.float64], Marks]:
        """Run the block's updates, in a call of its own from each mark to the next."""
        return Trainer.train_marked(self, block, every=every)

    def _program(self, batch_size: int) -> Program:
        if batch_size not in self._programs_of:
            self._programs_of[batch_size] = self._find_program(batch_size)
        return self._programs_of[batch_size]

    def _find_program(self, batch_size: int) -> Program:
        sample_bytes = sum(values[0].nbytes for values in self.samples)
        sample_bytes += bytes_per_sample(self.network.program.masks, self._job.precision)
        return self._programs.program(
            self._job,
            network=self.network,
            layout=self.layout,
            batch_size=batch_size,
            samples=self.samples,
            batch_bytes=batch_size * sample_bytes,
        )

    def _tabled(self, given: dict[str, dict[str, Tensor]], size: int, most: int) -> Given:
        """What is given, in tensors with room for `most` updates; beyond those given they hold anything."""
        return {
            kind: {name: self._table(f"{kind}.{name}", size, values, most) for name, values in parts.items()}
            for kind, parts in given.items()
        }

    def _table(self, name: str, size: int, values: Tensor, most: int) -> Tensor:
        table = self._tables.get((size, name))
        if table is None:
            table = self._tables[size, name] = values.new_zeros((most, *values.shape[1:]))
        table[: len(values)] = values
        return table
