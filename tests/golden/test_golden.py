"""Old documents must still load, with every value where it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.resolve import resolve
from likewise.shared.job import Experiment
from likewise.shared.results.run_result import RunResult
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.run import Run
from likewise.shared.store.arrays import ArrayRef
from tests.listed import listed

HERE = Path(__file__).parent


def contains(whole: Any, part: Any) -> bool:
    """Whether everything in `part` stands at the same place in `whole`, which may have more."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(k in whole and contains(whole[k], v) for k, v in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(contains, whole, part))
    return bool(whole == part)


def test_every_golden_file_is_read_by_a_test() -> None:
    names = {path.name for path in HERE.iterdir() if path.suffix in {".json", ".yaml"}}

    assert names == {"job.v1.yaml", "job-words.v1.json", "result.v1.json", "run.v1.json"}


def test_a_job_file_of_version_1_means_what_it_meant() -> None:
    experiment = read_experiment(str(HERE / "job.v1.yaml")).experiment
    jobs = resolve(experiment)

    assert experiment.seed_list == (3, 5)
    assert experiment.optimizer.learning_rate == 0.01
    assert experiment.predict == ((30.0, 1.8),)
    assert [layer.type for layer in experiment.model.layers] == [
        "dense", "dropout", "flatten", "activation", "dense",
    ]  # fmt: skip
    assert jobs["tensorflow"].loss.model_dump() == {
        "type": "huber", "delta": 2.0, "reduction": "sum", "weighting": "by_count", "targets": "aligned",
    }  # fmt: skip
    assert jobs["torch"].loss.type == "mse"
    assert jobs["torch"].model.layers[0].model_dump()["units"] == 9


def test_the_defaults_of_version_1_are_what_they_were() -> None:
    experiment = read_experiment(str(HERE / "job-words.v1.json")).experiment

    assert contains(experiment.optimizer.model_dump(), {
        "type": "adam", "learning_rate": 0.001, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7,
        "weight_decay": 0.0, "clip_value": None, "clip_norm": None, "global_clip_norm": None,
        "schedule": None, "amsgrad": False,
        "epsilon_placement": "outside", "weight_decay_kind": "coupled", "clip_epsilon": 0.0,
    })  # fmt: skip
    assert contains(experiment.training.model_dump(), {
        "epochs": 1, "batch_size": None, "shuffle": False, "drop_last": False, "early_stopping": None,
        "shuffle_seed": None, "epoch_loss": "per_sample",
    })  # fmt: skip
    assert contains(experiment.model.layers[0].model_dump(), {
        "type": "dense", "name": None, "inputs": None, "units": 3, "activation": {"type": "linear"},
        "use_bias": True, "kernel_initializer": {"type": "glorot_uniform"},
        "bias_initializer": {"type": "zeros"},
    })  # fmt: skip
    assert (experiment.precision, experiment.execution, experiment.device, experiment.seeds) == (
        "float32", "auto", "auto", 1,
    )  # fmt: skip


def test_a_run_of_version_1_loads_with_every_value() -> None:
    text = (HERE / "run.v1.json").read_text(encoding="utf-8")
    loaded = json.loads(Run.model_validate_json(text).model_dump_json())

    assert contains(loaded, json.loads(text))


def test_a_result_of_version_1_that_lists_its_seeds_loads_with_every_value() -> None:
    document = json.loads((HERE / "result.v1.json").read_text(encoding="utf-8"))
    result = RunResult.model_validate_json(json.dumps(document))
    listed_before = document.pop("seeds")
    whole = json.loads(result.model_dump_json())
    held: dict[str, NDArray[Any]] = {}

    def load(ref: ArrayRef) -> NDArray[Any]:
        return held.setdefault(ref.sha256, np.full(ref.shape, 0.25, ref.dtype)).reshape(ref.shape)

    def named(array: NDArray[Any]) -> ArrayRef:
        """The golden file's one array, by the shape of each of its places."""
        return ArrayRef(sha256=next(iter(held)), dtype=array.dtype.name, shape=array.shape)

    found = [json.loads(seed.model_dump_json()) for seed in listed(result, load, named)]
    assert contains(whole, document)
    assert contains(found, listed_before)
    assert [seed["final_loss"] for seed in found] == [0.5, 9e30]


def test_a_listed_seed_that_no_version_wrote_is_refused() -> None:
    document = json.loads((HERE / "result.v1.json").read_text(encoding="utf-8"))
    document["seeds"][0]["colour"] = "red"
    with pytest.raises(ValidationError, match="colour"):
        RunResult.model_validate_json(json.dumps(document))


def test_arrays_of_a_version_that_had_one_peak_for_all_their_seeds_still_load() -> None:
    document = json.loads((HERE / "result.v1.json").read_text(encoding="utf-8"))
    whole = json.loads(RunResult.model_validate_json(json.dumps(document)).model_dump_json())
    del whole["arrays"][0]["memory"]
    whole["arrays"][0] |= {"peak_bytes": 5, "device_peak_bytes": None}
    result = RunResult.model_validate_json(json.dumps(whole))
    table = SeedTable.of(result, (0, 1), arrays=lambda _: np.zeros(0))
    assert (table.memory_of(0).peak_bytes, table.memory_of(0).device_peak_bytes) == (5, None)
    assert table.memory_of(1).peak_bytes is None


@pytest.mark.parametrize(("before", "now"), [(False, None), (True, "warm")])
def test_a_run_that_says_true_or_false_of_being_timed_still_loads(before: bool, now: str | None) -> None:
    document = json.loads((HERE / "run.v1.json").read_text(encoding="utf-8")) | {"timed": before}

    assert Run.model_validate_json(json.dumps(document)).timed == now


@pytest.mark.parametrize(("name", "model"), [("result.v1.json", RunResult), ("run.v1.json", Run)])
def test_a_field_that_the_model_lost_would_be_noticed(name: str, model: type[BaseModel]) -> None:
    document = json.loads((HERE / name).read_text(encoding="utf-8")) | {"gone": 1}

    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps(document))


@pytest.mark.parametrize("name", ["article", "digits", "houses"])
def test_an_experiment_survives_being_stored(name: str) -> None:
    experiment = read_experiment(name).experiment

    assert Experiment.model_validate_json(experiment.model_dump_json()) == experiment
