"""The limits of a process: what each of them refuses, in words that name the setting."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from likewise.shared.job import Job
from likewise.shared.limits import DEFAULT_LIMITS, Limits, Size, excesses
from likewise.shared.program import compile_job
from likewise.shared.settings import Settings
from likewise.shared.store.arrays import ArrayRef, references


def job(**changes: Any) -> Job:
    document = {
        "data": {"type": "inline", "x": [1, 2], "y": [1, 2]},
        "model": {"layers": [{"type": "dense", "units": 3}, {"type": "dense", "units": 1}]},
        "loss": {"type": "mse"},
        "optimizer": {"type": "sgd"},
        "training": {"epochs": 10},
        **changes,
    }
    return Job.model_validate_json(json.dumps(document))


def refused(one: Job, *, limits: Limits = DEFAULT_LIMITS, **size: int) -> str:
    measured = Size(**{"samples": 2, "data_bytes": 32, "trainings": 1, **size})
    return "\n".join(map(str, excesses(one, compile_job(one, (1,)), measured, limits)))


def test_a_usual_job_is_within_them() -> None:
    assert refused(job()) == ""


@pytest.mark.parametrize(
    ("setting", "most", "said"),
    [
        ("max_layers", 1, "model.layers: 2 layers, and at most 1 are taken here (LIKEWISE_MAX_LAYERS)"),
        ("max_weights", 9, "model.layers: 10 weights, and at most 9 are taken here (LIKEWISE_MAX_WEIGHTS)"),
        ("max_epochs", 9, "training.epochs: 10 epochs, and at most 9 are taken here (LIKEWISE_MAX_EPOCHS)"),
        ("max_seconds", 0.25, "limits.seconds: 0.5 seconds, and at most 0.25 are taken here"),
        ("max_data_gb", 31e-9, "data: 32 bytes of arrays, and at most 31 are taken here"),
        ("max_data_gb", 199e-9, "seeds: 200 bytes of results, and at most 199 are taken here"),
        ("max_memory_gb", 103e-9, "model.layers: 104 bytes of memory"),
    ],
)
def test_each_setting_bounds_what_it_names(setting: str, most: float, said: str) -> None:
    limits = Limits.of(Settings(**{setting: most}))
    one = job(limits={"seconds": 0.5})
    assert said in refused(one, limits=limits)
    assert said not in refused(one)


def test_seeds_are_counted_with_the_points_of_a_sweep() -> None:
    assert "seeds: 200,000 trainings" in refused(job(), trainings=200_000)


def test_a_thousand_million_units_are_refused() -> None:
    one = job(model={"layers": [{"type": "dense", "units": 10**9}]})
    assert "2,000,000,000 weights" in refused(one)


@pytest.mark.parametrize("shape", [[-1], [2**63], [1] * 33])
def test_an_array_has_a_shape_that_numpy_could_have(shape: list[int]) -> None:
    with pytest.raises(ValidationError):
        ArrayRef.model_validate_json(json.dumps({"sha256": "0" * 64, "dtype": "int8", "shape": shape}))


def test_each_array_that_a_document_refers_to_is_found_with_its_chunks() -> None:
    shapes = {(): 1, (0,): 1, (3,): 1, (131_072,): 1, (131_073,): 2, (3, 7, 100_000): 17, (2**62, 4): 2**47}
    refs = [
        ArrayRef(sha256=f"{place:064x}", dtype="float64", shape=shape) for place, shape in enumerate(shapes)
    ]
    document = json.dumps({"of": [ref.model_dump() for ref in refs], "none": {"sha256": "f" * 64}})
    chunks = {ref.sha256: count for ref, count in zip(refs, shapes.values(), strict=True)}
    assert references(document) == chunks
    assert references("".join(ref.model_dump_json() for ref in refs)) == chunks
    said = json.dumps({"message": refs[2].model_dump_json(), "hash": refs[3].sha256})
    assert references(said) == {}, "a text that has the words is none"


def test_the_bytes_of_a_large_shape_do_not_wrap_around() -> None:
    ref = ArrayRef(sha256="0" * 64, dtype="float64", shape=(2**62, 4))
    assert ref.nbytes == 2**67
