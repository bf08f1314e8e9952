"""Times a user's program: so many updates in a row as the user wrote them, and one pass over a batch.

The batches are those that are given, made ready before the clock starts, or those of the program's own
loader, whose work is a part of what is timed.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.worker import counters
from likewise.worker.port.contract import Arrays, ImportedProgram, ProgramError
from likewise.worker.port.loaders import batches_of, is_arrays, named_parts

_WARM_UPDATES = 3
"""Updates after the first one of a program's first run, which tell how long an update takes."""
_TARGETS = ("y", "targets", "labels")


@dataclass(frozen=True)
class TimedBatch:
    """One batch as the program is fed."""

    inputs: Mapping[str, Any]
    targets: Any
    whole: Mapping[str, Any]
    """Every array by the batch's own names, for a step of the user's own."""
    samples: int


@dataclass(frozen=True, kw_only=True)
class GivenBatches:
    """Arrays that the program is trained on."""

    inputs: Arrays
    targets: NDArray[Any] | None
    target: str
    more: Arrays
    """Arrays that the step alone takes."""
    order: NDArray[np.int64] | None
    """The rows of each update, (updates, rows); None for all of them in each."""


class TimedProgram:
    """The timed runs of one program; what it compiles in the first is there in those that follow."""

    def __init__(self, program: ImportedProgram, given: GivenBatches | None, *, size: int | None) -> None:
        """Make its batches ready; without any they come from data("train"), cut to `size` rows where that
        returns arrays.
        """
        self._program, self._size = program, size
        self._written = program.as_written()
        self._is_warm = False
        self._loaded: Any = None
        self._ready = None if given is None else self._made(given)
        self._stream = self._forever(
            self._from_loader if self._ready is None else lambda: iter(self._ready or ())
        )

    @property
    def infers(self) -> bool:
        """Return whether it has a forward pass of its own: it is one model."""
        return self._written.infer is not None

    def environment(self) -> dict[str, Any]:
        """Return what it runs on, as `Environment` has it, with its `precision`."""
        found = dict(self._written.environment)
        versions = {"python": platform.python_version(), "numpy": np.__version__, **found["versions"]}
        return {**found, "versions": versions, "platform": platform.platform(), "host": counters.this_host()}

    def run(self, updates: int, *, infers: bool) -> dict[str, Any]:
        """Return the seconds of so many updates and of a pass over a batch, with the memory they took.

        The first run has `first_s` of its first update and its first pass apart, and `quickest_s` of those
        after them; it chooses the number of updates itself.
        """
        cold, self._is_warm = not self._is_warm, True
        held = counters.reset_peak()
        self._written.reset_device_peak()
        before = counters.moment()
        with self._written.kept():
            self._written.begin()
            found = self._timed(_WARM_UPDATES if cold else updates, cold=cold, infers=infers)
        return {
            **found,
            "peak_bytes": counters.peak_bytes(),
            "grown_bytes": counters.grown_bytes(held),
            "device_peak_bytes": self._written.device_peak_bytes(),
            "conditions": counters.since(before),
        }

    def _timed(self, updates: int, *, cold: bool, infers: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"updates": 0, "samples": 0, "train_s": 0.0, "infer_s": None}
        found |= {"first_s": 0.0, "quickest_s": 0.0}
        batch = next(self._stream)
        if self._written.update is not None:
            if cold:
                found["first_s"] = self._seconds(lambda: self._update(batch))
                found["quickest_s"] = min(self._seconds(lambda: self._train(1)) for _ in range(updates))
            found["updates"] = updates
            found["train_s"] = self._seconds(lambda: found.update(samples=self._train(updates)))
        infer = self._written.infer
        if infers and infer is not None:
            if cold:
                found["first_s"] += self._seconds(lambda: infer(batch.inputs))
            found["infer_s"] = self._seconds(lambda: infer(batch.inputs))
        return found

    def _seconds(self, do: Callable[[], object]) -> float:
        self._written.synchronize()
        began = time.perf_counter()
        do()
        self._written.synchronize()
        return time.perf_counter() - began

    def _train(self, updates: int) -> int:
        """Train; return on how many samples."""
        samples = 0
        for _ in range(updates):
            batch = next(self._stream)
            self._update(batch)
            samples += batch.samples
        return samples

    def _update(self, batch: TimedBatch) -> None:
        if self._written.update is not None:
            self._written.update(batch.inputs, batch.targets, batch.whole)

    # ---- batches

    def _forever(self, batches: Callable[[], Iterator[TimedBatch]]) -> Iterator[TimedBatch]:
        while True:
            some = False
            for batch in batches():
                some = True
                yield batch
            if not some:
                raise ProgramError("data('train') gave no batch")

    def _made(self, given: GivenBatches) -> Sequence[TimedBatch]:
        orders = [None] if given.order is None else list(given.order)
        return [self._rows(given, rows) for rows in orders]

    def _rows(self, given: GivenBatches, rows: NDArray[np.int64] | None) -> TimedBatch:
        def ready(array: NDArray[Any]) -> Any:
            return self._written.tensor(array[rows] if rows is not None and array.ndim else array)

        inputs = {name: ready(array) for name, array in given.inputs.items()}
        targets = None if given.targets is None else ready(given.targets)
        more = {name: ready(array) for name, array in given.more.items()}
        whole = {**inputs, **more, **({} if targets is None else {given.target: targets})}
        samples = len(next(iter(given.inputs.values()))) if rows is None else len(rows)
        return TimedBatch(inputs, targets, whole, samples)

    def _from_loader(self) -> Iterator[TimedBatch]:
        """Yield the batches of the user's own loader once, as they come."""
        if self._loaded is None or isinstance(self._loaded, Iterator):
            self._loaded = self._program.data("train", seed=0)
        for batch in batches_of(self._loaded):
            parts = named_parts(batch)
            if is_arrays(self._loaded) or isinstance(self._loaded, Mapping):
                yield from map(self._fed, self._cut(parts))
            else:
                yield self._fed(parts)

    def _cut(self, parts: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        rows = len(next(iter(parts.values())))
        size = min(self._size or rows, rows)
        for begin in range(0, rows - size + 1, size):
            yield {name: one[begin : begin + size] for name, one in parts.items()}

    def _fed(self, parts: Mapping[str, Any]) -> TimedBatch:
        whole = {name: self._written.tensor(one) for name, one in parts.items()}
        target = next((one for one in _TARGETS if one in whole), None)
        inputs = {name: one for name, one in whole.items() if name != target}
        return TimedBatch(
            inputs, None if target is None else whole[target], whole, len(next(iter(whole.values())))
        )
