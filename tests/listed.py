"""The seeds of a result one by one, as tests like to look at them, and the way back into arrays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Many
from likewise.shared.results.run_result import Failure, Hashes, Memory, RunResult, SeedArrays, Timings
from likewise.shared.results.seed_table import Load, SeedTable
from likewise.shared.store.arrays import ArrayRef, InlineArray, encode_array


class Seed(Frozen):
    """One seed's training. Its arrays are references, as if each seed had stored its own."""

    seed: int = 0
    status: Literal["succeeded", "failed"] = "succeeded"
    failure: Failure | None = None
    epochs: int = 1
    losses: Many[float] = ()
    validation_losses: Many[float] = ()
    final_loss: float | None = None
    stopped_early: bool = False
    metrics: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    predictions: ArrayRef | None = None
    outputs: ArrayRef | None = None
    outputs_of: Literal["train", "validation", "test"] | None = None
    weights: dict[str, ArrayRef] = Field(default_factory=dict)
    hashes: Hashes | None = None
    timings: Timings | None = None
    peak_bytes: int | None = None
    grown_bytes: int | None = None
    device_peak_bytes: int | None = None


def listed(result: RunResult, load: Load, store: Callable[[NDArray[Any]], ArrayRef]) -> tuple[Seed, ...]:
    """Return the seeds that a result has, in its order, their arrays put into the store one by one."""
    return tuple(seed for piece in result.arrays for seed in _seeds(piece, load, store))


def _seeds(piece: SeedArrays, load: Load, store: Callable[[NDArray[Any]], ArrayRef]) -> Sequence[Seed]:
    table = SeedTable([piece], piece.seeds, failure=None, arrays=load)
    outputs, weights = table.outputs(), table.weights()
    found = []
    for row, number in enumerate(piece.seeds):
        fine = bool(table.succeeded[row])
        losses, validation = (
            tuple(curves[row][~np.isnan(curves[row])].tolist())
            for curves in (table.losses, table.validation_losses)
        )
        digests = [one.tobytes().hex() for one in table.hashes[row].astype(">i8")]
        outcome: dict[str, Any] = {
            "metrics": {
                part: {name: None if np.isnan(v[row]) else float(v[row]) for name, v in named.items()}
                for part, named in table.metrics.items()
            },
            "predictions": None if table.predictions is None else store(table.predictions[row]),
            "outputs": None if outputs is None else store(outputs[row]),
            "outputs_of": table.outputs_of,
            "weights": {name: store(array[row]) for name, array in weights.items()},
        }
        found.append(
            Seed(
                seed=number,
                status="succeeded" if fine else "failed",
                failure=table.failures.get(number),
                epochs=int(table.epochs[row]),
                losses=losses,
                validation_losses=validation,
                final_loss=losses[-1] if losses else None,
                stopped_early=bool(table.stopped_early[row]),
                hashes=Hashes(initial_weights=digests[0], batches=digests[1]) if table.hashed[row] else None,
                timings=table.timings_of(row),
                **table.memory_of(row).model_dump(),
                **(outcome if fine else {}),
            )
        )
    return found


def packed(seeds: Sequence[Seed]) -> tuple[SeedArrays, ...]:
    """Return the seeds as pieces of arrays, a piece a seed; hashes that are words are hashed."""
    return tuple(_piece(one) for one in seeds)


def _piece(one: Seed) -> SeedArrays:
    timings = [getattr(one.timings, name, None) for name in Timings.model_fields]
    memory = [getattr(one, name) for name in Memory.model_fields]
    return SeedArrays(
        seeds=(one.seed,),
        failures=() if one.failure is None else (one.failure.model_copy(update={"seed": one.seed}),),
        epochs=InlineArray.of(np.array([one.epochs], np.int64)),
        losses=InlineArray.of(np.array([one.losses], np.float64).reshape(1, -1)),
        validation_losses=InlineArray.of(np.array([one.validation_losses], np.float64))
        if one.validation_losses
        else None,
        stopped_early=InlineArray.of(np.array([one.stopped_early], np.int64)),
        metrics={
            part: {name: InlineArray.of(np.array([value], np.float64)) for name, value in named.items()}
            for part, named in one.metrics.items()
        },
        predictions=_row(one.predictions),
        outputs=_row(one.outputs),
        outputs_of=one.outputs_of,
        weights={name: _row(ref) for name, ref in one.weights.items()},  # type: ignore[misc]
        hashes=InlineArray.of(_numbers(one.hashes)),
        timings=InlineArray.of(np.array([timings], np.float64)),
        memory=InlineArray.of(np.array([memory], np.float64)),
    )


def encoded(array: NDArray[Any]) -> tuple[ArrayRef, bytes]:
    """Return an array's reference, with a hash of the bytes alone, and its bytes.

    So a row's array may stand for a table of one row.
    """
    ref, data = encode_array(array)
    digest = hashlib.sha256(data).hexdigest()
    return ref.model_copy(update={"sha256": digest, "sha256_of": "bytes"}), bytes(data)


def _row(ref: ArrayRef | None) -> ArrayRef | None:
    return None if ref is None else ref.model_copy(update={"shape": (1, *ref.shape)})


def _numbers(hashes: Hashes | None) -> NDArray[np.int64]:
    if hashes is None:
        return np.zeros((1, 2, 4), np.int64)
    digests = b"".join(
        bytes.fromhex(text) if len(text) == 64 else hashlib.sha256(text.encode()).digest()
        for text in (hashes.initial_weights, hashes.batches)
    )
    return np.frombuffer(digests, ">i8").astype(np.int64).reshape(1, 2, 4)
