"""Many seeds stored together say the same as the same seeds stored one by one."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from likewise.producer.compare import compare
from likewise.producer.report.comparison import ComparisonDocument
from likewise.producer.report.comparison_json import seeds as seeds_of
from likewise.producer.report.figures_of_training import losses
from likewise.producer.report.spreadsheet import write_csv
from likewise.producer.runs.results import merged
from likewise.producer.verdict.models import Comparison
from likewise.shared.job import Experiment
from likewise.shared.ledger.records import ExperimentRecord
from likewise.shared.results.run_result import Environment, Failure, Hashes, RunResult, SeedArrays, Timings
from likewise.shared.store.arrays import ArrayRef, encode_array
from tests.listed import Seed, packed

SEEDS, EPOCHS = 12, 6
DIVERGED = Failure(reason="diverged", message="The loss became NaN", seed=4, epoch=3, step=3)


class Store:
    """Arrays by content, in memory."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}

    def put(self, array: NDArray[Any]) -> ArrayRef:
        ref, _ = encode_array(np.asarray(array))
        self.arrays[ref.sha256] = np.asarray(array)
        return ref

    def get(self, ref: ArrayRef) -> NDArray[Any]:
        return self.arrays[ref.sha256].astype(ref.dtype).reshape(ref.shape)


ENVIRONMENT = Environment(
    framework="torch", framework_version="2.13.0", versions={}, device="cpu", threads=1,
    execution="vectorised", flags={}, platform="Linux", host="atlas",
)  # fmt: skip


class Numbers:
    """What a framework's seeds came to; seed 4 fails after 2 epochs where `fails`."""

    def __init__(self, noise: float, *, fails: bool = False, trained: int = EPOCHS) -> None:
        draw = np.random.default_rng(1)
        self.losses = draw.uniform(1, 2, (SEEDS, 1)) * 0.5 ** np.arange(trained) * (1 + noise)
        self.outputs = (draw.normal(size=(SEEDS, 5, 1)) * (1 + noise)).astype(np.float32)
        self.predictions = (draw.normal(size=(SEEDS, 1, 1)) * (1 + noise)).astype(np.float32)
        self.kernel = (draw.normal(size=(SEEDS, 3, 1)) * (1 + noise)).astype(np.float32)
        self.r2 = draw.uniform(0, 1, SEEDS)
        self.fails = fails
        self.epochs = np.full(SEEDS, trained)
        if fails:
            self.epochs[4] = 2

    def listed(self, store: Store) -> tuple[Seed, ...]:
        return tuple(self._seed(seed, store) for seed in range(SEEDS))

    def _seed(self, seed: int, store: Store) -> Seed:
        failed = self.fails and seed == 4
        curve = tuple(self.losses[seed, : self.epochs[seed]].tolist())
        more: dict[str, Any] = {} if failed else {
            "metrics": {"train": {"r2": float(self.r2[seed])}},
            "predictions": store.put(self.predictions[seed]),
            "outputs": store.put(self.outputs[seed]),
            "outputs_of": "train",
            "weights": {"layers.0.kernel": store.put(self.kernel[seed])},
        }  # fmt: skip
        return Seed(
            seed=seed,
            status="failed" if failed else "succeeded",
            failure=DIVERGED if failed else None,
            epochs=len(curve),
            losses=curve,
            final_loss=curve[-1],
            hashes=Hashes(initial_weights="ab" * 32, batches="cd" * 32),
            timings=Timings(queue_s=0.5, build_s=0.1, compile_s=0.0, train_s=0.2, predict_s=0.1),
            **more,
        )

    def stacked(self, store: Store, begin: int = 0, end: int = SEEDS) -> SeedArrays:
        def rows(array: NDArray[Any]) -> ArrayRef:
            array = array.astype(array.dtype if array.dtype.kind == "f" else float)
            if self.fails:
                array[4] = np.nan
            return store.put(array[begin:end])

        curves = np.where(np.arange(self.losses.shape[1]) < self.epochs[:, None], self.losses, np.nan)
        hashes = np.frombuffer(bytes.fromhex("ab" * 32 + "cd" * 32), ">i8").astype(np.int64)
        seconds = np.array([0.5, 0.1, 0.0, 0.2, 0.1])
        return SeedArrays(
            seeds=tuple(range(begin, end)),
            failures=(DIVERGED,) if self.fails and begin <= 4 < end else (),
            epochs=store.put(self.epochs[begin:end].astype(np.int64)),
            losses=store.put(curves[begin:end]),
            stopped_early=store.put(np.zeros(end - begin, np.int64)),
            metrics={"train": {"r2": rows(self.r2)}},
            predictions=rows(self.predictions),
            outputs=rows(self.outputs),
            outputs_of="train",
            weights={"layers.0.kernel": rows(self.kernel)},
            hashes=store.put(np.broadcast_to(hashes.reshape(2, 4), (end - begin, 2, 4)).copy()),
            timings=store.put(np.broadcast_to(seconds, (end - begin, 5)).copy()),
        )


def result(framework: str, *, failed: bool, **seeds: Any) -> RunResult:
    return RunResult(
        run_id=f"run-{framework}",
        experiment_id="exp-00000001",
        framework=framework,
        status="failed" if failed else "succeeded",
        failure=DIVERGED if failed else None,
        environment=ENVIRONMENT,
        **seeds,
    )


def experiment() -> Experiment:
    return Experiment.model_validate(
        {
            "data": {"type": "inline", "x": [0.0], "y": [0.0]},
            "model": {"layers": [{"type": "dense", "units": 1}]},
            "loss": "mse",
            "optimizer": "sgd",
            "training": {"epochs": EPOCHS},
            "seeds": SEEDS,
        }
    )


def compared(store: Store, *results: RunResult) -> Comparison:
    from likewise.producer.job.resolve import resolve

    declared = experiment()
    record = ExperimentRecord(
        experiment_id="exp-00000001", submitted_s=0.0, experiment=declared, run_ids=("a", "b")
    )
    return compare(record, resolve(declared), results, store.get)


Both = Callable[[Numbers, Numbers], tuple[Comparison, Comparison]]


@pytest.fixture
def both() -> Both:
    """The comparison of two frameworks' numbers, listed and as arrays."""

    def make(mine: Numbers, theirs: Numbers) -> tuple[Comparison, Comparison]:
        store = Store()
        names = {"tensorflow": mine, "torch": theirs}
        listed = [result(n, failed=one.fails, arrays=packed(one.listed(store))) for n, one in names.items()]
        stacked = [result(n, failed=one.fails, arrays=(one.stacked(store),)) for n, one in names.items()]
        return compared(store, *listed), compared(store, *stacked)

    return make


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (Numbers(0.0), Numbers(0.0)),
        (Numbers(0.0), Numbers(1e-6)),
        (Numbers(0.0), Numbers(0.1)),
        (Numbers(0.0, fails=True), Numbers(1e-6)),
        (Numbers(0.0, fails=True), Numbers(0.1, fails=True)),
        (Numbers(0.0), Numbers(0.0, trained=4)),
    ],
    ids=["equal", "rounding", "apart", "one fails", "both fail", "stopped sooner"],
)
def test_arrays_give_the_comparison_of_the_listed_seeds(mine: Numbers, theirs: Numbers, both: Both) -> None:
    listed, stacked = both(mine, theirs)
    assert stacked.verdict == listed.verdict
    assert stacked.reasons == listed.reasons
    assert stacked.seed_gaps == listed.seed_gaps
    assert stacked.gaps == listed.gaps
    assert stacked.equivalence == listed.equivalence
    for one, other in zip(stacked.runs, listed.runs, strict=True):
        assert seeds_of(one, full=True) == seeds_of(other, full=True)
        assert one.final_loss == other.final_loss
        assert one.metrics == other.metrics
        assert one.total_train_s == pytest.approx(other.total_train_s)


def test_pieces_of_several_runs_are_one_table_in_the_experiment_s_order() -> None:
    store, numbers = Store(), Numbers(0.0, fails=True)
    whole = result("torch", failed=True, arrays=(numbers.stacked(store),))
    parts = [
        result("torch", failed=False, arrays=(numbers.stacked(store, 6, 12),)),
        result("torch", failed=True, arrays=(numbers.stacked(store, 0, 3), numbers.stacked(store, 3, 6))),
    ]
    assert merged(parts)["torch"].failure == DIVERGED
    runs = compared(store, *parts).runs[1]
    assert seeds_of(runs) == seeds_of(compared(store, whole).runs[1])


def test_seeds_that_no_run_returned_are_missing() -> None:
    store = Store()
    part = result("torch", failed=False, arrays=(Numbers(0.0).stacked(store, 0, 5),))
    runs = compared(store, part).runs[1]
    assert [seed.status for seed in runs.seeds] == ["succeeded"] * 5 + ["missing"] * 7
    assert runs.curves is not None
    assert runs.curves.seeds == 5


def test_many_seeds_are_told_by_their_last_values_and_quantiles_unless_full(both: Both) -> None:
    _, comparison = both(Numbers(0.0), Numbers(1e-6))
    document = ComparisonDocument(comparison=comparison).to_json()
    (seed, *_) = document["runs"]["torch"]
    assert "losses" not in seed
    assert seed["final_loss"] is not None
    assert document["summary"]["torch"]["environment"] == ENVIRONMENT.model_dump(mode="json")
    curves = document["summary"]["torch"]["curves"]
    assert len(curves["losses"]) == len(curves["quantiles"]) == 5
    assert len(curves["losses"][0]) == EPOCHS
    assert document["seed_gaps"] == []
    full = ComparisonDocument(comparison=comparison, full=True).to_json()
    assert len(full["runs"]["torch"][7]["losses"]) == EPOCHS
    assert len(full["seed_gaps"]) == SEEDS


def test_csv_has_every_epoch_of_every_seed_however_many_there_are(both: Both) -> None:
    _, comparison = both(Numbers(0.0), Numbers(1e-6))
    stream = io.StringIO(newline="")
    write_csv(ComparisonDocument(comparison=comparison), stream)
    lines = [line for line in csv.DictReader(io.StringIO(stream.getvalue())) if line["table"] == "losses"]
    found = {(line["side"], int(line["seed"]), int(line["row"])): float(line["value"]) for line in lines}
    assert found == {
        (run.side, seed.seed, epoch): loss
        for run in comparison.runs
        for seed in run.seeds
        for epoch, loss in enumerate(seed.losses, start=1)
    }
    assert len({seed for _, seed, _ in found}) == SEEDS


def test_without_full_no_seed_is_listed_with_its_curve_and_small_predictions_of_each_are() -> None:
    store = Store()
    runs = [
        result(name, failed=False, arrays=(Numbers(0.0).stacked(store),)) for name in ("tensorflow", "torch")
    ]
    comparison = compared(store, *runs)
    seeds = ComparisonDocument(comparison=comparison).to_json()["runs"]["torch"]
    assert all("losses" not in seed for seed in seeds)
    assert seeds[5]["predictions"] is not None, "few enough to be told"
    assert len(comparison.runs[0].seeds[5].losses) == EPOCHS


def test_predictions_of_many_seeds_are_tested_however_many_rows_were_asked_for() -> None:
    store, numbers = Store(), Numbers(0.0)
    numbers.predictions = np.random.default_rng(2).normal(size=(SEEDS, 20, 1)).astype(np.float32)
    runs = [result(name, failed=False, arrays=(numbers.stacked(store),)) for name in ("tensorflow", "torch")]
    comparison = compared(store, *runs)
    assert [test.measure for test in comparison.equivalence] == ["final loss", "train r2", "predictions"]


def test_of_several_predictions_the_one_that_decides_is_named() -> None:
    store, mine, theirs = Store(), Numbers(0.0), Numbers(0.0)
    mine.predictions = np.random.default_rng(2).normal(size=(SEEDS, 4, 3)).astype(np.float32)
    theirs.predictions = mine.predictions.copy()
    theirs.predictions[:, 2, 1] += 5
    numbers = {"tensorflow": mine, "torch": theirs}
    runs = [result(name, failed=False, arrays=(one.stacked(store),)) for name, one in numbers.items()]
    comparison = compared(store, *runs)
    assert comparison.equivalence[-1].where == "row 3, output 2"
    assert any("the prediction in row 3, output 2 of torch is" in one for one in comparison.reasons)


def test_the_page_draws_bands_for_many_seeds(both: Both) -> None:
    _, comparison = both(Numbers(0.0), Numbers(1e-6))
    figure = losses(comparison)
    assert figure is not None
    bands = [series for series in figure.series if series.kind == "band"]
    assert len(bands) == 2 * 2
    assert len(figure.series) == len(bands) + 2
    median = np.median(Numbers(0.0).losses, axis=0)
    np.testing.assert_allclose(figure.series[2].y, median)
