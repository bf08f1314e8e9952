"""A grid of settings: its points, and what is refused before anything is run."""

from __future__ import annotations

from typing import Any

import pytest

from likewise.producer.job.jobfile import read_experiment
from likewise.producer.runs.results import one_a_side
from likewise.producer.runs.submit import parts_of
from likewise.producer.sweep.points import check_grid, grid_of, held_by_overrides, points_of, trained_at
from likewise.producer.sweep.runs import groups_of, prepare_sweep
from likewise.producer.sweep.table import is_ordered
from likewise.shared.errors import LikewiseError


def test_values_are_those_of_the_job_file_s_own_spelling() -> None:
    grid = grid_of(["optimizer.learning_rate=1e-3,0.1", "training.batch_size=null,8", "loss=mse,mae"])
    assert grid == {
        "optimizer.learning_rate": [0.001, 0.1],
        "training.batch_size": [None, 8],
        "loss": ["mse", "mae"],
    }


def test_points_are_every_combination_in_order() -> None:
    sweep = prepare_sweep("matched", [], ["optimizer.learning_rate=0.01,0.1", "training.epochs=5,6"])
    assert points_of(sweep.loaded.experiment) == [
        {"optimizer.learning_rate": rate, "training.epochs": epochs}
        for rate in (0.01, 0.1)
        for epochs in (5, 6)
    ]
    jobs = [one.runs["torch"].job for one in sweep.points]
    assert [(job.optimizer.learning_rate, job.training.epochs) for job in jobs] == [
        (0.01, 5), (0.01, 6), (0.1, 5), (0.1, 6)
    ]  # fmt: skip


def test_a_path_under_overrides_varies_one_framework_alone() -> None:
    grid = "overrides.torch.optimizer.learning_rate=0.02,0.03"
    sweep = prepare_sweep("matched", ["overrides.torch.loss.reduction=sum"], [grid])
    jobs = [one.runs[name].job for name in ("torch", "tensorflow") for one in sweep.points]
    assert [job.optimizer.learning_rate for job in jobs] == [0.02, 0.03, 0.01, 0.01]
    assert [job.loss.reduction for job in jobs] == ["sum", "sum", "mean", "mean"]
    assert groups_of(jobs[:2]) == groups_of(jobs[2:]) == [[0, 1]]


def test_a_framework_trains_the_same_job_once() -> None:
    grid = ["overrides.torch.optimizer.momentum=0.1,0.2,0.3", "training.epochs=5,6"]
    experiment = prepare_sweep("matched", [], grid).loaded.experiment
    assert trained_at(experiment) == {"tensorflow": [0, 1, 0, 1, 0, 1], "torch": [0, 1, 2, 3, 4, 5]}


def test_a_path_that_an_override_keeps_from_a_framework_is_known() -> None:
    def held(*grid: str) -> dict[str, dict[str, str]]:
        settings = ["model.layers.0.name=out", "overrides.torch={model.layers.out.units: 1, optimizer: sgd}"]
        found = held_by_overrides(prepare_sweep("matched", settings, grid).loaded.experiment)
        assert not found.pop("tensorflow")
        return found

    assert held("optimizer.learning_rate=0.1,0.2") == {"torch": {"optimizer.learning_rate": "optimizer"}}
    assert held("model.layers.0.units=1") == {"torch": {"model.layers.0.units": "model.layers.out.units"}}
    assert held("model.layers.0.use_bias=true,false") == {"torch": {}}
    varied = held("model.layers.0.units=1", "overrides.torch.model.layers.0.units=1")
    assert varied == {"torch": {}}, "each axis is somebody's"


@pytest.mark.parametrize("before", ["", "overrides.torch."])
def test_a_whole_mapping_is_set_before_a_part_of_it_in_any_order_of_the_grid(before: str) -> None:
    grid = [f"{before}optimizer.learning_rate=0.02,0.03", f"{before}optimizer=sgd,adam"]
    for given in (grid, grid[::-1]):
        jobs = [one.runs["torch"].job for one in prepare_sweep("matched", [], given).points]
        found = {(job.optimizer.type, job.optimizer.learning_rate) for job in jobs}
        assert found == {("sgd", 0.02), ("sgd", 0.03), ("adam", 0.02), ("adam", 0.03)}


def test_a_path_that_names_a_layer_varies_what_a_job_overrides_by_its_index() -> None:
    settings = ["model.layers.0.name=out", "overrides.torch.model.layers.0.use_bias=true"]
    sweep = prepare_sweep("matched", settings, ["overrides.torch.model.layers.out.use_bias=false"])
    assert sweep.first.runs["torch"].job.model.layers[0].model_dump()["use_bias"] is False


@pytest.mark.parametrize(
    ("grid", "ordered"),
    [
        (["training.epochs=1,2"], True),
        (["loss.reduction=sum,mean"], False),
        (["overrides.torch.optimizer.momentum=0.1,0.2"], False),
        (["overrides.tensorflow.optimizer.momentum=0.1,0.2"], True),
        (["overrides.tensorflow.loss.reduction=sum,mean"], False),
        (["overrides.torch.loss.reduction=sum,mean", "training.epochs=1,2"], True),
    ],
)
def test_points_are_ordered_where_the_reference_s_median_tells_them_apart(
    grid: list[str], ordered: bool
) -> None:
    assert is_ordered(prepare_sweep("matched", [], grid).loaded.experiment) is ordered


def jobs_of(*grid: str, set_values: tuple[str, ...] = ()) -> Any:
    sweep = prepare_sweep("matched", list(set_values), list(grid))
    return [one.runs["torch"].job for one in sweep.points]


def test_points_of_the_same_data_share_one_loading_of_it() -> None:
    sweep = prepare_sweep("digits", [], ["training.epochs=5,6,7", "precision=float32,float64"])
    data = [run.data for one in sweep.points for run in one.runs.values()]
    assert len(data) == 12
    assert len({id(one) for one in data}) == 2, "one a precision"


@pytest.mark.parametrize(
    ("grid", "groups"),
    [
        (["optimizer.learning_rate=0.01,0.1,0.2"], [[0, 1, 2]]),
        (["optimizer.learning_rate=0.01,0.1", "training.epochs=5,6"], [[0, 2], [1, 3]]),
        (["optimizer=sgd,adam"], [[0], [1]]),
        (["optimizer.momentum=0.0,0.5,0.9"], [[0], [1, 2]]),
        (["optimizer.clip_norm=0.5,1,null"], [[0, 1], [2]]),
        (
            ["optimizer.weight_decay=0,0.1,0.2", "optimizer.weight_decay_kind=coupled,decoupled"],
            [[0], [1, 3, 5], [2, 4]],
        ),
        (["optimizer.schedule={type: step, step_size: 2},{type: cosine, decay_steps: 9},null"], [[0, 1, 2]]),
        (["loss=mse,mae"], [[0], [1]]),
        (["model.layers.0.units=1,1"], None),
    ],
)
def test_points_that_differ_in_numbers_of_the_optimizer_are_one_program(
    grid: list[str], groups: list[list[int]] | None
) -> None:
    if groups is None:
        with pytest.raises(LikewiseError, match="names 1 twice"):
            jobs_of(*grid)
        return
    assert groups_of(jobs_of(*grid)) == groups


def test_points_that_cannot_train_together_are_runs_of_their_own() -> None:
    jobs = jobs_of("optimizer.learning_rate=0.01,0.1", set_values=("execution=eager",))
    assert groups_of(jobs) == [[0], [1]]


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        ([], "nothing to sweep over"),
        (["optimizer.learning_rate"], "expected path=value"),
        (["optimizer.learning_rate="], "expected path=value"),
        (
            ["optimizer.learning_rate=0.1,,0.2"],
            "0.1,,0.2 is no list of values; separate them by single commas",
        ),
        (["optimizer.learning_rate=[0.1"], "is no list of values"),
        (["optimizer.learning_rat=0.1"], "did you mean learning_rate"),
        (["optimizer.learning_rate=0.1,fast"], "expected a number"),
        (["optimizer.learning_rate=0.1,-1"], "learning_rate"),
        (["seeds=1,2"], "same at every point"),
        (["overrides={},{torch: {}}"], "overrides: name one setting of one framework"),
        (["overrides.torch={}"], "overrides.torch: name one setting of one framework"),
        (["overrides.torch.seeds=1,2"], "seeds is the same for every side"),
        (["overrides.jax.optimizer.learning_rate=0.1"], "overrides.jax: is for a framework that is not in"),
        (["overrides.tourch.optimizer.learning_rate=0.1"], r"torch\) \(did you mean torch\?\)"),
        (["overrides.torch.optimizer.learning_rat=0.1"], "did you mean learning_rate"),
        (["overrides.torch.optimizer.learning_rate=0.1,fast"], "torch.optimizer.learning_rate = .fast.: exp"),
        (["training.epochs=1,2", "training.epochs=3"], "twice"),
        (
            ["model.layers.out.use_bias=true,false", "model.layers.0.use_bias=true"],
            "--grid model.layers.0.use_bias is the setting that model.layers.out.use_bias names, too; put",
        ),
        (
            ["model.layers.0.units=1,2"],
            "matched with --grid model.layers.0.units=2: model.layers.0.units = 2: ",
        ),
        (["training.epochs=" + ",".join(map(str, range(1, 1200)))], "1,199 points"),
    ],
)
def test_a_wrong_grid_is_refused_with_one_message_before_anything_is_run(grid: list[str], words: str) -> None:
    with pytest.raises(LikewiseError, match=words) as caught:
        prepare_sweep("matched", ["model.layers.0.name=out"], grid)
    assert caught.value.exit_status == 2


def test_a_grid_that_every_frameworks_override_hides_is_refused() -> None:
    settings = [f"overrides.{name}.training.epochs=5" for name in ("tensorflow", "torch")]
    words = r"--grid training.epochs varies nothing.*--grid overrides.tensorflow.training.epochs=value,value"
    with pytest.raises(LikewiseError, match=words):
        prepare_sweep("matched", settings, ["training.epochs=5,6"])


def test_a_job_file_may_declare_the_grid() -> None:
    experiment = read_experiment("matched", ["grid={optimizer.learning_rate: [0.01, 0.1]}"]).experiment
    check_grid(experiment, "matched")
    assert [point["optimizer.learning_rate"] for point in points_of(experiment)] == [0.01, 0.1]


def test_seeds_are_cut_into_even_parts_and_put_together_again() -> None:
    parts = parts_of(tuple(range(11)), most=3)
    assert parts == [(0, 1, 2, 3), (4, 5, 6, 7), (8, 9, 10)]
    assert one_a_side([]) == ()
