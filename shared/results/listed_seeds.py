"""Reads the results of older versions, which listed each of few seeds by itself.

Every listed seed becomes a piece of arrays with one row. Its arrays in the blob store stay where they are:
the bytes of an array of shape (n, m) are those of one of shape (1, n, m), and so is their hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from shared.store.arrays import InlineArray

Document = Mapping[str, Any]
_KNOWN = frozenset(
    {
        *("seed", "status", "failure", "epochs", "losses", "validation_losses", "final_loss"),
        *("stopped_early", "metrics", "predictions", "outputs", "outputs_of", "weights", "hashes"),
        *("timings", "peak_bytes", "grown_bytes", "device_peak_bytes"),
    }
)
_TIMINGS = ("queue_s", "build_s", "compile_s", "train_s", "predict_s")
_MEMORY = ("peak_bytes", "grown_bytes", "device_peak_bytes")
_NO_HASHES = {"initial_weights": "0" * 64, "batches": "0" * 64}


def as_arrays(document: Document) -> dict[str, Any]:
    """Return the document of a result with its listed seeds as pieces of arrays.

    Raises ValueError for a listed seed that no version can have written.
    """
    found = dict(document)
    try:
        pieces = [_piece(seed) for seed in found.pop("seeds")]
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"a listed seed cannot be read: {type(error).__name__}: {error}") from None
    found["arrays"] = [*pieces, *found.get("arrays", ())]
    return found


def _piece(seed: Document) -> dict[str, Any]:
    """Return the `SeedArrays` document of one listed seed."""
    if odd := sorted(seed.keys() - _KNOWN):
        raise ValueError(f"a listed seed has the unknown field {odd[0]}")
    failure = seed.get("failure")
    hashes = seed.get("hashes") or _NO_HASHES
    digests = bytes.fromhex(hashes["initial_weights"] + hashes["batches"])
    timings = seed.get("timings") or {}
    validation = seed.get("validation_losses") or ()
    return {
        "seeds": [seed["seed"]],
        "failures": [] if failure is None else [{**failure, "seed": seed["seed"]}],
        "epochs": _inline(np.array([seed["epochs"]], np.int64)),
        "losses": _curve(seed.get("losses") or ()),
        "validation_losses": _curve(validation) if validation else None,
        "stopped_early": _inline(np.array([seed.get("stopped_early", False)], np.int64)),
        "metrics": {
            part: {name: _numbers([value]) for name, value in named.items()}
            for part, named in (seed.get("metrics") or {}).items()
        },
        "predictions": _one_row(seed.get("predictions")),
        "outputs": _one_row(seed.get("outputs")),
        "outputs_of": seed.get("outputs_of"),
        "weights": {name: _one_row(ref) for name, ref in (seed.get("weights") or {}).items()},
        "hashes": _inline(np.frombuffer(digests, ">i8").astype(np.int64).reshape(1, 2, 4)),
        "timings": _numbers([[timings.get(name) for name in _TIMINGS]]),
        "memory": _numbers([[seed.get(name) for name in _MEMORY]]),
    }


def _one_row(ref: Document | None) -> dict[str, Any] | None:
    """Return the same array with an axis of one seed before its own."""
    return None if ref is None else {**ref, "shape": [1, *ref["shape"]]}


def _curve(losses: Sequence[float]) -> dict[str, Any]:
    return _inline(np.array([losses], np.float64).reshape(1, len(losses)))


def _numbers(values: Sequence[Any]) -> dict[str, Any]:
    """Return numbers of which some may be null, as float64."""
    return _inline(np.array(values, np.float64))


def _inline(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return InlineArray.of(array).model_dump()
