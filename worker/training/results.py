"""What each training of a run comes to, and how that is stored.

Results are arrays with the seed along axis 0, one seed as 10,000.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job import Job
from likewise.shared.results.run_result import Failure, Hashes, Memory, SeedArrays, Timings
from likewise.shared.store.arrays import INLINE_BYTES, AnyArray, ArrayRef, InlineArray
from likewise.worker.adapters.trainer import Floats, Weights
from likewise.worker.training.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class Member:
    """Is one training of a run: a seed, and the job with the optimizer of one point of a sweep."""

    seed: int
    job: Job
    point: int = 0


OutputsOf = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """Says what one training came to, as far as it came. Only one that succeeded has outputs and weights."""

    member: Member
    failure: Failure | None = None
    losses: list[float] = field(default_factory=list)
    """There is one loss for each finished epoch, and all are finite."""
    validation_losses: list[float] = field(default_factory=list)
    stopped_early: bool = False
    metrics: Metrics = field(default_factory=dict)
    outputs: Floats | None = None
    outputs_of: OutputsOf | None = None
    predictions: Floats | None = None
    weights: Weights = field(default_factory=dict)
    hashes: Hashes | None = None
    timings: Timings | None = None
    memory: Memory = field(default_factory=Memory)

    @property
    def answers(self) -> bool:
        """Return whether it came to outputs: of the samples, or of rows to predict alone."""
        return self.outputs is not None or self.predictions is not None


Store = Callable[[NDArray[Any]], ArrayRef]


MOST_BYTES = 32 * 2**20
"""The most bytes of one array. Seeds are stored once they come to this, so that memory stays bounded."""


class Packer:
    """Takes trainings as they end and stores them; `arrays` is what the result carries."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[Trained] = []
        self.arrays: list[SeedArrays] = []

    def take_up(self, arrays: Sequence[SeedArrays]) -> None:
        """Put what an earlier attempt at the run stored before everything else."""
        self.arrays[:0] = arrays

    @property
    def failures(self) -> list[Failure]:
        """Return the failures of all trainings that were stored, in order."""
        return [failure for group in self.arrays for failure in group.failures]

    def add(self, trained: Trained) -> None:
        """Take the next training in the order of the run's members."""
        if self._waiting and self._waiting[0].member.point != trained.member.point:
            self.flush()
        self._waiting.append(trained)
        if len(self._waiting) * _largest_bytes(trained) > MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Store the trainings that wait."""
        if self._waiting:
            self.arrays.append(seed_arrays(self._waiting, self._store))
            self._waiting = []


def seed_arrays(group: Sequence[Trained], store: Store) -> SeedArrays:
    """Return trainings of one point of a sweep, stored together.

    A failed one has no weights and outputs: they could be anything.
    """
    validated = any(trained.validation_losses for trained in group)
    keep = _Keep(store)
    return SeedArrays(
        seeds=tuple(trained.member.seed for trained in group),
        point=group[0].member.point,
        failures=tuple(trained.failure for trained in group if trained.failure),
        epochs=keep(np.array([len(trained.losses) for trained in group], np.int64)),
        losses=keep(_padded([trained.losses for trained in group])),
        validation_losses=keep(_padded([trained.validation_losses for trained in group]))
        if validated
        else None,
        stopped_early=keep(np.array([trained.stopped_early for trained in group], np.int64)),
        **_of_successes(group, keep),
        hashes=keep(np.stack([_numbers(trained.hashes) for trained in group])),
        timings=keep(np.stack([_values(trained.timings, Timings) for trained in group])),
        memory=keep(np.stack([_values(trained.memory, Memory) for trained in group])),
    )


class _Keep:
    """Keeps an array where it belongs: a small one in the document, another in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, array: NDArray[Any]) -> AnyArray:
        return InlineArray.of(array) if array.nbytes <= INLINE_BYTES else self._store(array)


def _of_successes(group: Sequence[Trained], keep: _Keep) -> dict[str, Any]:
    """Return the fields of `SeedArrays` that only trainings that succeeded have; NaN for the others."""
    known = next((trained for trained in group if trained.answers), None)
    if known is None:
        return {}

    def stacked(pick: Callable[[Trained], NDArray[Any] | None]) -> AnyArray | None:
        like = pick(known)
        if like is None:
            return None
        table = np.full((len(group), *like.shape), np.nan, like.dtype)
        for row, trained in enumerate(group):
            if trained.answers:
                table[row] = pick(trained)
        return keep(table)

    def of_metric(part: str, name: str) -> AnyArray:
        values = [trained.metrics[part][name] if trained.metrics else None for trained in group]
        return keep(np.array(values, np.float64))

    return {
        "metrics": {
            part: {name: of_metric(part, name) for name in metrics} for part, metrics in known.metrics.items()
        },
        "predictions": stacked(lambda one: one.predictions),
        "outputs": stacked(lambda one: one.outputs),
        "outputs_of": known.outputs_of,
        "weights": {
            name: stacked(lambda one, name=name: one.weights[name])  # type: ignore[misc]
            for name in known.weights
        },
    }


def _padded(curves: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return the curves as a table (seeds, longest), with NaN after a curve's end."""
    table = np.full((len(curves), max(map(len, curves), default=0)), np.nan)
    for row, curve in zip(table, curves, strict=True):
        row[: len(curve)] = curve
    return table


def _numbers(hashes: Hashes | None) -> NDArray[np.int64]:
    """Return the hashes as `SeedArrays.hashes` has them, int64 (2, 4), or zeros where a training has none."""
    if hashes is None:
        return np.zeros((2, 4), np.int64)
    digests = bytes.fromhex(hashes.initial_weights + hashes.batches)
    return np.frombuffer(digests, ">i8").astype(np.int64).reshape(2, 4)


def _values(holder: object, fields: type[Timings | Memory]) -> NDArray[np.float64]:
    """Return what `holder` has under the names of the fields; NaN where it has nothing."""
    return np.array([getattr(holder, name, None) for name in fields.model_fields], np.float64)


def _largest_bytes(trained: Trained) -> int:
    """Return the size of the largest of its arrays."""
    arrays = [array for array in (trained.outputs, trained.predictions) if array is not None]
    sizes = [array.nbytes for array in [*arrays, *trained.weights.values()]]
    return max(8 * len(trained.losses), *sizes, 0)
