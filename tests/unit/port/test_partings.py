"""Where the calls of two programs part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.exchanged import RecordedCall
from likewise.producer.port.partings import first_parting

DRAWS = np.random.default_rng(0)
TENSOR = DRAWS.normal(size=(4, 6))


def call(kind: str, left: NDArray[np.float64]) -> RecordedCall:
    told = {"path": None, "kind": kind, "line": None, "zeros": None, "in_place": False}
    return RecordedCall(told, None, left)


def test_a_call_that_only_the_reference_has_has_no_counterpart() -> None:
    add, mean = call("add", TENSOR), call("mean", TENSOR.mean(1))
    relu = call("relu", np.maximum(TENSOR, 0))
    here = [add, relu, call("global_average_pooling1d", np.maximum(TENSOR, 0).mean(1))]
    assert first_parting((here, [call("add", TENSOR), mean]), 1e-7) == (relu, None)


def test_what_one_program_writes_out_is_held_against_the_call_of_as_many_numbers() -> None:
    norm = call("batch_normalization", TENSOR / 2)
    here = [call("moments", TENSOR.mean(1)), norm]
    other = call("layer_norm", TENSOR / 3)
    assert first_parting((here, [other]), 1e-7) == (norm, other)


def test_a_mask_of_infinities_is_a_counterpart_of_one_of_large_numbers() -> None:
    masked = np.where(TENSOR > 1, -1e9, TENSOR)
    subtract = call("subtract", masked)
    fill, softmax = call("masked_fill", np.where(TENSOR > 0, -np.inf, TENSOR)), call("softmax", TENSOR + 3)
    assert first_parting(([subtract], [fill, softmax]), 1e-7) == (subtract, fill)
