"""Many seeds of one side as columns: row i of every array is seed i, in the order asked for.

Built from the arrays that the side's runs returned, in whatever pieces. A seed without a result is a row
of NaN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from producer.verdict.gaps import Load
from producer.verdict.models import Curves, SeedRun
from shared.result import Failure, Hashes, SeedArrays, Timings
from shared.store.arrays import ArrayRef

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
MOST_EPOCHS = 1_500
"""The most epochs of a quantile curve; of more, evenly chosen ones."""
MOST_PREDICTED = 10
"""Predictions of up to so many numbers are listed for every seed; larger ones only where a seed is listed."""

Float64 = NDArray[np.float64]


class SeedTable:
    """The seeds of one side. Arrays are loaded when first used and kept where they are small."""

    def __init__(
        self, pieces: Sequence[SeedArrays], seeds: Sequence[int], *, failure: Failure | None, arrays: Load
    ) -> None:
        """`failure` is why seeds without a result have none, where that is known."""
        self.seeds = tuple(seeds)
        self._pieces = pieces
        self._load = arrays
        self._failure = failure
        found = [seed for piece in pieces for seed in piece.seeds]
        places = {seed: place for place, seed in enumerate(found)}
        self._places = np.array([places.get(seed, -1) for seed in seeds], np.int64)
        self.failures = {one.seed: one for piece in pieces for one in piece.failures if one.seed is not None}
        self.succeeded: NDArray[np.bool_] = np.array(
            [seed in places and seed not in self.failures for seed in seeds]
        )
        known = next((piece for piece in pieces if piece.outputs is not None), None)
        self.outputs_of = known.outputs_of if known else None
        self.weight_names = tuple(known.weights) if known else ()

    @cached_property
    def losses(self) -> Float64:
        """(seeds, epochs), NaN after a seed's last."""
        return self._padded([piece.losses for piece in self._pieces])

    @cached_property
    def validation_losses(self) -> Float64:
        """(seeds, epochs); no epochs where nothing is held out."""
        return self._padded([piece.validation_losses for piece in self._pieces])

    @cached_property
    def epochs(self) -> NDArray[np.int64]:
        """Epochs trained: (seeds,); 0 without a result."""
        return self._column([piece.epochs for piece in self._pieces], missing=0)

    @cached_property
    def final_losses(self) -> Float64:
        """The last finished epoch's loss: (seeds,)."""
        return self._last(self.losses)

    @cached_property
    def final_validation_losses(self) -> Float64:
        """The last finished epoch's validation loss: (seeds,)."""
        return self._last(self.validation_losses)

    @cached_property
    def metrics(self) -> dict[str, dict[str, Float64]]:
        """Each metric (seeds,), by part of the data and name."""
        known = next((piece.metrics for piece in self._pieces if piece.metrics), {})
        return {
            part: {
                name: self._column([piece.metrics.get(part, {}).get(name) for piece in self._pieces])
                for name in metrics
            }
            for part, metrics in known.items()
        }

    @cached_property
    def predictions(self) -> NDArray[Any] | None:
        """The predictions for the rows asked for: (seeds, n, outputs)."""
        return self._stacked([piece.predictions for piece in self._pieces])

    @cached_property
    def timings(self) -> Float64:
        """Seconds by the fields of `Timings`: (seeds, 5)."""
        return self._column([piece.timings for piece in self._pieces])

    @cached_property
    def hashes(self) -> NDArray[np.int64]:
        """The hashes of initial weights and of batches: (seeds, 2, 4); zeros where a seed has none."""
        return self._column([piece.hashes for piece in self._pieces], missing=0)

    def outputs(self) -> NDArray[Any] | None:
        """Outputs of the samples compared (seeds, n, outputs); loaded anew each time: they may be large."""
        return self._stacked([piece.outputs for piece in self._pieces])

    def weights(self) -> dict[str, NDArray[Any]]:
        """The weights (seeds, *shape) by name, loaded anew each time."""
        columns = {
            name: self._stacked([piece.weights.get(name) for piece in self._pieces])
            for name in self.weight_names
        }
        return {name: column for name, column in columns.items() if column is not None}

    def curves(self) -> Curves | None:
        """Quantiles over seeds of the loss at each epoch; None where nothing was trained."""
        trained = np.isfinite(self.losses).any(axis=0)
        epochs = np.flatnonzero(trained)
        if not len(epochs):
            return None
        if len(epochs) > MOST_EPOCHS:
            epochs = epochs[np.unique(np.linspace(0, len(epochs) - 1, MOST_EPOCHS).astype(np.int64))]
        validated = self.validation_losses[:, epochs] if self.validation_losses.shape[1] else None
        return Curves(
            seeds=int(np.isfinite(self.losses).any(axis=1).sum()),
            quantiles=QUANTILES,
            epochs=tuple((epochs + 1).tolist()),
            losses=_quantiles(self.losses[:, epochs]),
            validation_losses=() if validated is None else _quantiles(validated),
        )

    def runs(self, *, listed: Sequence[int]) -> tuple[SeedRun, ...]:
        """Each seed's last values; for the seeds at the places `listed` their curves and arrays as well."""
        rows = zip(
            self.seeds,
            self._places.tolist(),
            self.epochs.tolist(),
            _optional(self.final_losses),
            self.timings.tolist(),
            self.hashes.astype(">i8"),
            strict=True,
        )
        metrics = {
            part: {name: _optional(values) for name, values in named.items()}
            for part, named in self.metrics.items()
        }
        stopped = self._column([piece.stopped_early for piece in self._pieces], missing=0).tolist()
        peaks = [
            (piece.peak_bytes, piece.device_peak_bytes) for piece in self._pieces for _ in piece.seeds
        ] or [(None, None)]
        outputs, weights = (self.outputs(), self.weights()) if len(listed) else (None, {})
        predictions = self.predictions
        told = []
        for row, (seed, place, epochs, final_loss, seconds, digests) in enumerate(rows):
            if place < 0:
                told.append(untrained(seed, self._failure))
                continue
            fine = bool(self.succeeded[row])
            whole = row in listed
            few = predictions is not None and fine and (whole or predictions[row].size <= MOST_PREDICTED)
            told.append(
                SeedRun(
                    seed=seed,
                    status="succeeded" if fine else "failed",
                    failure=self.failures.get(seed),
                    epochs=epochs,
                    losses=_known(self.losses[row]) if whole else (),
                    validation_losses=_known(self.validation_losses[row]) if whole else (),
                    final_loss=final_loss,
                    stopped_early=bool(stopped[row]),
                    metrics={
                        part: {name: v[row] for name, v in named.items()} for part, named in metrics.items()
                    }
                    if fine
                    else {},
                    predictions=predictions[row].tolist() if few and predictions is not None else None,
                    outputs=outputs[row].tolist() if whole and fine and outputs is not None else None,
                    outputs_of=self.outputs_of if fine else None,
                    weights={name: array[row].tolist() for name, array in weights.items()}
                    if whole and fine
                    else {},
                    hashes=_hashes(digests.tobytes().hex()),
                    timings=_timings(seconds),
                    peak_bytes=peaks[place][0],
                    device_peak_bytes=peaks[place][1],
                )
            )
        return tuple(told)

    def _last(self, curves: Float64) -> Float64:
        if not curves.shape[1]:
            return np.full(len(self.seeds), np.nan)
        last = np.maximum(np.isfinite(curves).sum(axis=1) - 1, 0)
        values: Float64 = np.take_along_axis(curves, last[:, None], axis=1)[:, 0]
        return values

    def _column(self, refs: Sequence[ArrayRef | None], *, missing: float = np.nan) -> NDArray[Any]:
        """One row a seed; `missing` where a piece has none."""
        parts = []
        for piece, ref in zip(self._pieces, refs, strict=True):
            parts.append(np.full(len(piece.seeds), missing) if ref is None else self._load(ref))
        if not parts:
            return np.full(len(self.seeds), missing)
        table = np.concatenate(parts)
        rows = table[self._places]
        if (self._places < 0).any():
            rows[self._places < 0] = missing
        return rows

    def _padded(self, refs: Sequence[ArrayRef | None]) -> Float64:
        """Curves of pieces that may end at different epochs."""
        curves = [None if ref is None else self._load(ref) for ref in refs]
        longest = max((curve.shape[1] for curve in curves if curve is not None), default=0)
        parts = []
        for piece, curve in zip(self._pieces, curves, strict=True):
            part = np.full((len(piece.seeds), longest), np.nan)
            if curve is not None:
                part[:, : curve.shape[1]] = curve
            parts.append(part)
        table = np.concatenate([*parts, np.full((1, longest), np.nan)])
        return table[self._places]  # the last row is that of no result, at −1

    def _stacked(self, refs: Sequence[ArrayRef | None]) -> NDArray[Any] | None:
        known = next((ref for ref in refs if ref is not None), None)
        if known is None:
            return None
        nothing = np.full((1, *known.shape[1:]), np.nan, known.dtype)
        parts = [
            np.broadcast_to(nothing, (len(piece.seeds), *known.shape[1:])) if ref is None else self._load(ref)
            for piece, ref in zip(self._pieces, refs, strict=True)
        ]
        return np.concatenate([*parts, nothing])[self._places]


def untrained(seed: int, failure: Failure | None) -> SeedRun:
    """A seed without a result: failed with its run, or nothing is known of it."""
    return SeedRun(seed=seed, status="failed" if failure else "missing", failure=failure)


def _quantiles(curves: Float64) -> tuple[tuple[float, ...], ...]:
    """One row for each of QUANTILES, over the curves that reach the epoch."""
    if np.isfinite(curves).all():
        found = np.quantile(curves, QUANTILES, axis=0)
    else:
        columns = (column[np.isfinite(column)] for column in curves.T)
        found = np.stack([np.quantile(one, QUANTILES) for one in columns if len(one)], axis=1)
    return tuple(tuple(row) for row in found.tolist())


def _optional(values: Float64) -> list[float | None]:
    """None for what is not finite."""
    return [value if fine else None for value, fine in zip(values.tolist(), np.isfinite(values), strict=True)]


def _known(curve: Float64) -> tuple[float, ...]:
    return tuple(curve[np.isfinite(curve)].tolist())


def _hashes(digests: str) -> Hashes | None:
    half = len(digests) // 2
    if not digests.strip("0"):
        return None
    return Hashes(initial_weights=digests[:half], batches=digests[half:])


def _timings(seconds: Sequence[float]) -> Timings | None:
    known: Mapping[str, float | None] = {
        name: None if np.isnan(value) else value
        for name, value in zip(Timings.model_fields, seconds, strict=True)
    }
    return None if known["train_s"] is None else Timings.model_validate(known)
