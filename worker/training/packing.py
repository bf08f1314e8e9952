"""How trainings are stored in a result: one by one, or many as arrays with the seed along axis 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.result import MOST_LISTED_SEEDS, Failure, Hashes, SeedArrays, SeedResult, Timings
from shared.run import Run
from shared.store.arrays import ArrayRef
from worker.training.members import Trained
from worker.training.seed_record import Outcome

Store = Callable[[NDArray[Any]], ArrayRef]

MOST_BYTES = 32 * 2**20
"""Of one array: seeds are stored as soon as they come to this, so that memory stays bounded."""


def packer_for(run: Run, store: Store) -> Packer:
    """A packer that lists the trainings of few seeds, and makes arrays of many or of a sweep's points."""
    many = run.as_arrays or len(run.seeds) > MOST_LISTED_SEEDS or run.optimizers is not None
    return Packer(store, many=many)


class Packer:
    """Takes trainings as they end and stores them; `seeds` or `arrays` is what the result carries."""

    def __init__(self, store: Store, *, many: bool) -> None:
        self._store = store
        self._many = many
        self._waiting: list[Trained] = []
        self.seeds: list[SeedResult] = []
        self.arrays: list[SeedArrays] = []

    def take_up(self, seeds: Sequence[SeedResult], arrays: Sequence[SeedArrays]) -> None:
        """Put what an earlier attempt at the run stored before everything else."""
        self.seeds[:0] = seeds
        self.arrays[:0] = arrays

    @property
    def failures(self) -> list[Failure]:
        """Of all that were stored, in order."""
        listed = [seed.failure for seed in self.seeds if seed.failure]
        return listed + [failure for group in self.arrays for failure in group.failures]

    def add(self, trained: Trained) -> None:
        """The next training in the order of the run's members."""
        if not self._many:
            self.seeds.append(seed_result(trained, self._store))
            return
        if self._waiting and self._waiting[0].member.point != trained.member.point:
            self.flush()
        self._waiting.append(trained)
        if len(self._waiting) * _largest_bytes(trained) > MOST_BYTES:
            self.flush()

    def flush(self) -> None:
        """Store what waits."""
        if self._waiting:
            self.arrays.append(seed_arrays(self._waiting, self._store))
            self._waiting = []


def seed_result(trained: Trained, store: Store) -> SeedResult:
    """One training, its arrays stored. A failed one has no weights and outputs: they could be anything."""
    outcome = trained.outcome
    return SeedResult(
        seed=trained.member.seed,
        status="failed" if trained.failure else "succeeded",
        failure=trained.failure,
        epochs=len(trained.losses),
        losses=tuple(trained.losses),
        validation_losses=tuple(trained.validation_losses),
        final_loss=trained.losses[-1] if trained.losses else None,
        stopped_early=trained.stopped_early,
        metrics=outcome.metrics if outcome else {},
        predictions=store(outcome.predictions) if outcome and outcome.predictions is not None else None,
        outputs=store(outcome.outputs) if outcome else None,
        outputs_of=outcome.outputs_of if outcome else None,
        weights={name: store(array) for name, array in outcome.weights.items()} if outcome else {},
        hashes=trained.hashes,
        timings=trained.timings,
        peak_bytes=trained.peak_bytes,
        grown_bytes=trained.grown_bytes,
        device_peak_bytes=trained.device_peak_bytes,
    )


def seed_arrays(group: Sequence[Trained], store: Store) -> SeedArrays:
    """Trainings of one point of a sweep, stored together."""
    outcomes = [trained.outcome for trained in group]
    known = next((outcome for outcome in outcomes if outcome is not None), None)
    epochs = [len(trained.losses) for trained in group]
    validated = any(trained.validation_losses for trained in group)

    def stacked(array: NDArray[Any], pick: Callable[[Outcome], NDArray[Any] | None]) -> ArrayRef:
        """Of every training an array like the given one; NaN where it failed."""
        table = np.full((len(group), *array.shape), np.nan, array.dtype)
        for row, outcome in enumerate(outcomes):
            if outcome is not None:
                table[row] = pick(outcome)
        return store(table)

    def of_metric(part: str, name: str) -> ArrayRef:
        values = [outcome.metrics[part][name] if outcome else None for outcome in outcomes]
        return store(np.array([np.nan if value is None else value for value in values]))

    return SeedArrays(
        seeds=tuple(trained.member.seed for trained in group),
        point=group[0].member.point,
        failures=tuple(trained.failure for trained in group if trained.failure),
        epochs=store(np.array(epochs, np.int64)),
        losses=store(_padded([trained.losses for trained in group])),
        validation_losses=store(_padded([trained.validation_losses for trained in group]))
        if validated
        else None,
        stopped_early=store(np.array([trained.stopped_early for trained in group], np.int64)),
        **_of_outcomes(known, stacked=stacked, of_metric=of_metric),
        hashes=store(np.stack([_numbers(trained.hashes) for trained in group])),
        timings=store(np.stack([_seconds(trained.timings) for trained in group])),
        peak_bytes=max((t.peak_bytes for t in group if t.peak_bytes is not None), default=None),
        device_peak_bytes=max(
            (t.device_peak_bytes for t in group if t.device_peak_bytes is not None), default=None
        ),
    )


def _of_outcomes(
    known: Outcome | None,
    *,
    stacked: Callable[[NDArray[Any], Callable[[Outcome], NDArray[Any] | None]], ArrayRef],
    of_metric: Callable[[str, str], ArrayRef],
) -> dict[str, Any]:
    """What only trainings that succeeded have; `known` is one of them."""
    if known is None:
        return {}
    return {
        "metrics": {
            part: {name: of_metric(part, name) for name in metrics} for part, metrics in known.metrics.items()
        },
        "predictions": None
        if known.predictions is None
        else stacked(known.predictions, lambda one: one.predictions),
        "outputs": stacked(known.outputs, lambda one: one.outputs),
        "outputs_of": known.outputs_of,
        "weights": {
            name: stacked(array, lambda one, name=name: one.weights[name])  # type: ignore[misc]
            for name, array in known.weights.items()
        },
    }


def _padded(curves: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """(seeds, longest), NaN after a curve's end."""
    table = np.full((len(curves), max(map(len, curves), default=0)), np.nan)
    for row, curve in zip(table, curves, strict=True):
        row[: len(curve)] = curve
    return table


def _numbers(hashes: Hashes | None) -> NDArray[np.int64]:
    """As in `SeedArrays.hashes`, int64 (2, 4); zeros where a training failed before it had hashes."""
    if hashes is None:
        return np.zeros((2, 4), np.int64)
    digests = bytes.fromhex(hashes.initial_weights + hashes.batches)
    return np.frombuffer(digests, ">i8").astype(np.int64).reshape(2, 4)


def _seconds(timings: Timings | None) -> NDArray[np.float64]:
    fields = Timings.model_fields
    values = [getattr(timings, name, None) for name in fields]
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _largest_bytes(trained: Trained) -> int:
    """The size of the largest of its arrays."""
    curve = 8 * len(trained.losses)
    if trained.outcome is None:
        return curve
    arrays = [trained.outcome.outputs, *trained.outcome.weights.values()]
    if trained.outcome.predictions is not None:
        arrays.append(trained.outcome.predictions)
    return max(curve, *(array.nbytes for array in arrays))
