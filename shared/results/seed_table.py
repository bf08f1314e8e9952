"""The numbers of the seeds of one side as columns: row i of every array is seed i, in the order asked for.

Built from the arrays that the side's runs returned, in whatever pieces; one seed has the same form as 10,000.
A seed without a result is a row of NaN. Knows nothing of other sides, of verdicts or of how numbers are
shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from likewise.shared.errors import ResultError
from likewise.shared.results.run_result import Failure, Hashes, Memory, RunResult, SeedArrays, Timings
from likewise.shared.store.arrays import AnyArray, ArrayRef, InlineArray

Float64 = NDArray[np.float64]
Stored = Literal["predictions", "outputs", "weights"]
"""What of a seed may be too large for its document."""
Load = Callable[[ArrayRef], NDArray[Any]]
"""Gives the array of a reference."""


def in_own_units(values: NDArray[Any], scaling: Sequence[Sequence[float]] | None) -> NDArray[Any]:
    """Return standardised values (..., targets) in the targets' own units; without a scaling as they are."""
    if scaling is None:
        return values
    mean, scale = np.array(scaling, dtype=np.float64)
    own: Float64 = values.astype(np.float64) * scale + mean
    return own


class Reading(Protocol):
    """Reads what a training returned as another wording of the same job would return it."""

    def outputs(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return outputs or predictions (…, outputs)."""

    def losses(self, curves: Float64) -> Float64:
        """Return reported losses (seeds, epochs)."""

    def weights(self, weights: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return weights (seeds, *shape), by name."""


class SeedTable:
    """The seeds of one side. Arrays are loaded when first used and kept where they are small."""

    def __init__(
        self,
        pieces: Sequence[SeedArrays],
        seeds: Sequence[int],
        *,
        failure: Failure | None,
        arrays: Load,
        reading: Reading | None = None,
    ) -> None:
        """Take the pieces apart; `failure` is why seeds without a result have none, where that is known."""
        self._reading = reading
        self.seeds = tuple(seeds)
        self.failure = failure
        self._pieces = pieces
        self._load = arrays
        places = {seed: place for place, seed in enumerate(seed for piece in pieces for seed in piece.seeds)}
        self._places = np.array([places.get(seed, -1) for seed in seeds], np.int64)
        self.failures = {one.seed: one for piece in pieces for one in piece.failures if one.seed is not None}
        self.returned: NDArray[np.bool_] = self._places >= 0
        """Whether a seed has a row in a result, though it may have failed: (seeds,)."""
        self.succeeded: NDArray[np.bool_] = np.array(
            [seed in places and seed not in self.failures for seed in seeds], np.bool_
        )
        known = next((piece for piece in pieces if piece.outputs is not None), None)
        self.outputs_of: Literal["train", "validation", "test"] | None = known.outputs_of if known else None
        self.weight_names = tuple(known.weights) if known else ()
        self.target_scaling: tuple[tuple[float, ...], ...] | None = None
        self.output_columns: Mapping[str, tuple[int, int]] = {}
        """Where the numbers of each named output begin and end in a row; empty for an only output."""

    @classmethod
    def of(cls, result: RunResult | None, seeds: Sequence[int], *, arrays: Load) -> SeedTable:
        """Return the table of one result's seeds; of no result, a table without any."""
        if result is None:
            return cls((), seeds, failure=None, arrays=arrays)
        table = cls(result.arrays, seeds, failure=result.failure, arrays=arrays)
        table.target_scaling = result.target_scaling
        table.output_columns = result.output_columns
        return table

    def why_failed(self, row: int) -> Failure | None:
        """Return why a seed has no numbers; None where it succeeded, or nothing is known."""
        return self.failures.get(self.seeds[row]) if self.returned[row] else self.failure

    @cached_property
    def losses(self) -> Float64:
        """Return the losses (seeds, epochs), NaN after a seed's last."""
        losses = self._padded([piece.losses for piece in self._pieces])
        return losses if self._reading is None else self._reading.losses(losses)

    @cached_property
    def validation_losses(self) -> Float64:
        """Return the validation losses (seeds, epochs); no epochs where nothing is held out."""
        return self._padded([piece.validation_losses for piece in self._pieces])

    @cached_property
    def epochs(self) -> NDArray[np.int64]:
        """Return the epochs trained: (seeds,); 0 without a result."""
        return self._column([piece.epochs for piece in self._pieces], missing=0).astype(np.int64)

    @cached_property
    def stopped_early(self) -> NDArray[np.bool_]:
        """Return whether patience ran out: (seeds,)."""
        return self._column([piece.stopped_early for piece in self._pieces], missing=0).astype(np.bool_)

    @cached_property
    def final_losses(self) -> Float64:
        """Return the last finished epoch's loss: (seeds,)."""
        return self._last(self.losses)

    @cached_property
    def final_validation_losses(self) -> Float64:
        """Return the last finished epoch's validation loss: (seeds,)."""
        return self._last(self.validation_losses)

    @cached_property
    def metrics(self) -> dict[str, dict[str, Float64]]:
        """Return each metric (seeds,), by part of the data and name; NaN where it is undefined."""
        names: dict[str, dict[str, None]] = {}
        for piece in self._pieces:
            for part, named in piece.metrics.items():
                names.setdefault(part, {}).update(dict.fromkeys(named))
        return {
            part: {
                name: self._column([piece.metrics.get(part, {}).get(name) for piece in self._pieces])
                for name in named
            }
            for part, named in names.items()
        }

    @cached_property
    def predictions(self) -> NDArray[Any] | None:
        """Return the predictions for the rows asked for: (seeds, n, outputs)."""
        return self._read(self._stacked([piece.predictions for piece in self._pieces]))

    @cached_property
    def timings(self) -> Float64:
        """Return the seconds by the fields of `Timings`: (seeds, fields)."""
        return self._column([piece.timings for piece in self._pieces], like=(len(Timings.model_fields),))

    @cached_property
    def memory(self) -> Float64:
        """Return the bytes by the fields of `Memory`: (seeds, fields)."""
        return self._column([piece.memory for piece in self._pieces], like=(len(Memory.model_fields),))

    @cached_property
    def hashes(self) -> NDArray[np.int64]:
        """Return the hashes of initial weights and of batches: (seeds, 2, 4); zeros where a seed has none."""
        refs = [piece.hashes for piece in self._pieces]
        return self._column(refs, missing=0, like=(2, 4)).astype(np.int64)

    @cached_property
    def rows(self) -> tuple[SeedRow, ...]:
        """Return the seeds one by one, in the table's order."""
        return tuple(SeedRow(self, row) for row in range(len(self.seeds)))

    @property
    def hashed(self) -> NDArray[np.bool_]:
        """Return whether a seed has hashes: (seeds,)."""
        known: NDArray[np.bool_] = (self.hashes != 0).reshape(len(self.seeds), -1).any(axis=1)
        return known

    def timings_of(self, row: int) -> Timings | None:
        """Return the timings of one seed; None where it was not timed."""
        known = dict(zip(Timings.model_fields, _optional(self.timings[row]), strict=True))
        return None if known["train_s"] is None else Timings.model_validate(known)

    def memory_of(self, row: int) -> Memory:
        """Return the memory of one seed."""
        values = [None if value is None else int(value) for value in _optional(self.memory[row])]
        return Memory.model_validate(dict(zip(Memory.model_fields, values, strict=True)))

    def outputs(self) -> NDArray[Any] | None:
        """Return the outputs of the samples compared (seeds, n, outputs), loaded anew: they may be large."""
        return self._read(self._stacked([piece.outputs for piece in self._pieces]))

    def weights(self) -> dict[str, NDArray[Any]]:
        """Return the weights (seeds, *shape) by name, loaded anew each time."""
        columns = {
            name: self._stacked([piece.weights.get(name) for piece in self._pieces])
            for name in self.weight_names
        }
        known = {name: column for name, column in columns.items() if column is not None}
        return known if self._reading is None else self._reading.weights(known)

    def array(self, measure: Literal["predictions", "outputs"]) -> NDArray[Any] | None:
        """Return the predictions or the outputs: (seeds, n, outputs)."""
        return self.predictions if measure == "predictions" else self.outputs()

    def has(self, measure: Stored) -> bool:
        """Return whether any seed has arrays of the measure."""
        return any(getattr(piece, measure) for piece in self._pieces)

    def same_bytes(self, other: SeedTable, measure: Stored) -> bool:
        """Return whether the arrays are known to be the same bytes, without loading them."""
        if self._reading is not None or other._reading is not None:
            return False
        same = self.seeds == other.seeds and np.array_equal(self._places, other._places)
        return same and [(piece.seeds, getattr(piece, measure)) for piece in self._pieces] == [
            (piece.seeds, getattr(piece, measure)) for piece in other._pieces
        ]

    def only(self, seeds: Sequence[int]) -> SeedTable:
        """Return the table of some of the seeds."""
        return self._with(seeds, self._reading)

    def read_as(self, reading: Reading | None) -> SeedTable:
        """Return the table with its numbers read in another wording; None reads them as they are."""
        return self if reading == self._reading else self._with(self.seeds, reading)

    def _with(self, seeds: Sequence[int], reading: Reading | None) -> SeedTable:
        table = SeedTable(self._pieces, seeds, failure=self.failure, arrays=self._load, reading=reading)
        table.output_columns = self.output_columns
        return table

    def by_output(self, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return rows (…, outputs) by output; those of an only one under no name."""
        if not self.output_columns:
            return {"": rows}
        return {name: rows[..., slice(*columns)] for name, columns in self.output_columns.items()}

    def _read(self, outputs: NDArray[Any] | None) -> NDArray[Any] | None:
        return outputs if outputs is None or self._reading is None else self._reading.outputs(outputs)

    def _last(self, curves: Float64) -> Float64:
        if not curves.shape[1]:
            return np.full(len(self.seeds), np.nan)
        last = np.maximum(np.isfinite(curves).sum(axis=1) - 1, 0)
        values: Float64 = np.take_along_axis(curves, last[:, None], axis=1)[:, 0]
        return values

    def _array(self, array: AnyArray) -> NDArray[Any]:
        return array.array() if isinstance(array, InlineArray) else self._load(array)

    def _column(
        self, arrays: Sequence[AnyArray | None], *, missing: float = np.nan, like: tuple[int, ...] = ()
    ) -> NDArray[Any]:
        """Return one row a seed, each of the shape `like`; `missing` where a piece has none."""
        parts: list[NDArray[Any]] = [
            np.full((len(piece.seeds), *like), missing) if array is None else self._array(array)
            for piece, array in zip(self._pieces, arrays, strict=True)
        ]
        dtype = parts[0].dtype if parts else np.float64
        return _joined([*parts, np.full((1, *like), missing, dtype)])[self._places]

    def _padded(self, arrays: Sequence[AnyArray | None]) -> Float64:
        """Return the curves of pieces that may end at different epochs."""
        curves = [None if array is None else self._array(array) for array in arrays]
        longest = max((curve.shape[1] for curve in curves if curve is not None), default=0)
        parts = []
        for piece, curve in zip(self._pieces, curves, strict=True):
            part = np.full((len(piece.seeds), longest), np.nan)
            if curve is not None:
                part[:, : curve.shape[1]] = curve
            parts.append(part)
        table = np.concatenate([*parts, np.full((1, longest), np.nan)])
        return table[self._places]  # the last row is that of no result, at −1

    def _stacked(self, arrays: Sequence[AnyArray | None]) -> NDArray[Any] | None:
        found = [None if array is None else self._array(array) for array in arrays]
        known = next((array for array in found if array is not None), None)
        if known is None:
            return None
        nothing = np.full((1, *known.shape[1:]), np.nan, known.dtype)
        parts = [
            np.broadcast_to(nothing, (len(piece.seeds), *known.shape[1:])) if array is None else array
            for piece, array in zip(self._pieces, found, strict=True)
        ]
        return _joined([*parts, nothing])[self._places]


@dataclass(frozen=True, eq=False)
class SeedRow:
    """One seed of one side: a view of a row of the table."""

    table: SeedTable
    row: int

    @property
    def seed(self) -> int:
        """Return the number of the seed."""
        return self.table.seeds[self.row]

    @property
    def status(self) -> Literal["succeeded", "failed", "missing"]:
        """Return what came of it; `missing` means that there is no result, such as of a cancelled run."""
        if self.table.succeeded[self.row]:
            return "succeeded"
        return "failed" if self.failure is not None else "missing"

    @property
    def failure(self) -> Failure | None:
        """Return why it failed, if it did."""
        return self.table.why_failed(self.row)

    @property
    def epochs(self) -> int | None:
        """Return how many epochs it trained; None without a result."""
        return int(self.table.epochs[self.row]) if self.table.returned[self.row] else None

    @property
    def losses(self) -> tuple[float, ...]:
        """Return the loss of each finished epoch."""
        return _known_of(self.table.losses[self.row])

    @property
    def validation_losses(self) -> tuple[float, ...]:
        """Return the validation loss of each finished epoch; empty where nothing is held out."""
        return _known_of(self.table.validation_losses[self.row])

    @property
    def final_loss(self) -> float | None:
        """Return the loss of the last finished epoch."""
        return _known(self.table.final_losses[self.row])

    @property
    def stopped_early(self) -> bool:
        """Return whether patience ran out."""
        return bool(self.table.stopped_early[self.row])

    @property
    def metrics(self) -> dict[str, dict[str, float | None]]:
        """Return the metrics by part of the data and name; only a seed that succeeded has them."""
        if not self.table.succeeded[self.row]:
            return {}
        return {
            part: {name: _known(values[self.row]) for name, values in named.items()}
            for part, named in self.table.metrics.items()
        }

    @property
    def predictions(self) -> NDArray[Any] | None:
        """Return the predictions (n, outputs) for the rows asked for, in the target's own units.

        Only a seed that succeeded has them.
        """
        predicted = self.table.predictions
        if predicted is None or not self.table.succeeded[self.row]:
            return None
        return in_own_units(predicted[self.row], self.table.target_scaling)

    @property
    def hashes(self) -> Hashes | None:
        """Return the hashes of the initial weights and of the batches; None where a seed has none."""
        numbers = self.table.hashes[self.row]
        if not numbers.any():
            return None
        initial_weights, batches = (part.tobytes().hex() for part in numbers.astype(">i8"))
        return Hashes(initial_weights=initial_weights, batches=batches)

    @property
    def timings(self) -> Timings | None:
        """Return the seconds that it took; None where it was not timed."""
        return self.table.timings_of(self.row)

    @property
    def memory(self) -> Memory:
        """Return the bytes that it took."""
        return self.table.memory_of(self.row)


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays one after another. Raises ResultError where they are not of one shape."""
    try:
        return np.concatenate(parts)
    except ValueError as error:
        raise ResultError(f"a result cannot be read: its pieces do not go together: {error}") from None


def _optional(values: Float64) -> list[float | None]:
    """Return the numbers with None for what is not finite."""
    return [value if fine else None for value, fine in zip(values.tolist(), np.isfinite(values), strict=True)]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _known_of(curve: Float64) -> tuple[float, ...]:
    return tuple(curve[np.isfinite(curve)].tolist())
