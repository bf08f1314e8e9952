"""The table of a sweep in a terminal."""

from __future__ import annotations

import io
from typing import Any

import pytest

from likewise.producer.console import make_console
from likewise.producer.report.document import print_parts
from likewise.producer.report.layout import Drawing, Page
from likewise.producer.report.sweep import SweepDocument
from likewise.producer.sweep.table import Point, SideAtPoint, Sweep, order_of
from likewise.shared.results.run_result import Failure

SEEDS = SideAtPoint(succeeded=5, seeds=5, best=0.321, median=0.331, low=0.322, high=0.337)
LONG = {"optimizer.learning_rate": 0.03, "model.layers.0.units": 8, "training.epochs": 5}


def point(settings: dict[str, Any], **changes: Any) -> Point:
    told = {"verdict": "agree", "reason": "", "gap": 1.7e-7} | changes
    return Point(settings=settings, frameworks={"tensorflow": SEEDS, "torch": SEEDS}, **told)


def text(*points: Point, width: int = 80, **changes: Any) -> str:
    told = {"frameworks": ("tensorflow", "torch")} | changes
    sweep = Sweep(
        experiment_id="9cc3c1e83971c500805f", name="houses", seeds=5, seed_list=range(5), ordered=True,
        measure="final loss", grid={}, points=points, **told,
    )  # fmt: skip
    stream = io.StringIO()
    print_parts(SweepDocument(sweep), make_console(stream, width=width))
    return stream.getvalue()


def test_few_settings_stand_beside_the_columns() -> None:
    assert text(point({"optimizer.learning_rate": 0.03})).splitlines()[2:6] == [
        "                      best   median   5 to 95 %",
        "learning_rate 0.03                    agree, gap 1.7e-07",
        "  tensorflow         0.321    0.331   0.322 to 0.337",
        "  torch              0.321    0.331   0.322 to 0.337",
    ]


def test_a_setting_of_one_framework_alone_is_told_as_its_own() -> None:
    told = text(point({"overrides.torch.optimizer.learning_rate": 0.03, "training.epochs": 5}), width=1000)
    assert "torch's learning_rate 0.03, training.epochs 5" in told


@pytest.mark.parametrize("width", [60, 80])
def test_settings_too_long_for_the_terminal_are_not_folded_into_a_column(width: int) -> None:
    lines = text(point(LONG), width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert lines[2].startswith("                best   median")
    assert "  tensorflow   0.321    0.331   0.322 to 0.337" in lines
    if width == 80:
        assert lines[3] == "learning_rate 0.03, model.layers.0.units 8, training.epochs 5"
        assert lines[4].strip() == "agree, gap 1.7e-07"


def test_an_agreement_that_rests_on_the_tests_over_seeds_says_so() -> None:
    told = text(point(LONG, over_seeds=True, gap=2.1), width=1000)
    assert "agree over seeds, gap 2.1" in told
    assert "only the tests over seeds find the results equivalent" in told
    assert "over seeds find" not in text(point(LONG))


def test_a_gap_that_only_the_losses_have_says_so_where_there_is_room() -> None:
    told = {"verdict": "differ", "gap": 0.069, "gap_in": "losses"}
    assert "differ, gap 0.069 in the losses" in text(point(LONG, **told))
    narrow = text(point(LONG, **told), width=60).splitlines()
    assert any(line.endswith(" differ, gap 0.069") for line in narrow)
    assert "losses" not in text(point(LONG, verdict="differ", gap=0.069, gap_in="outputs"))


def test_why_they_differ_is_told_once() -> None:
    points = [point(LONG, verdict="differ", reason="The sum.")] * 3
    told = text(*points, width=1000)
    assert told.count("- differ: The sum.") == 1
    told = text(*points, point(LONG, verdict="differ", reason="torch diverged."), width=1000)
    assert "- differ: The sum. (1 other reason elsewhere: --json has each)" in told


def test_one_framework_alone_has_no_verdict() -> None:
    alone = Point(settings=LONG, verdict="inconclusive", reason="", gap=None, frameworks={"torch": SEEDS})
    told = text(alone, width=1000, frameworks=("torch",))
    assert "inconclusive" not in told
    assert "0.321" in told


def test_what_is_inconclusive_and_what_the_workers_said_is_explained() -> None:
    told = text(point(LONG, verdict="inconclusive"), width=1000, notes={"torch": ("One after another.",)})
    assert "do not decide whether it is rounding" in told
    assert "- torch: One after another." in told
    assert "rounding" not in text(point(LONG, verdict="inconclusive", gap=None)), "both diverged"


@pytest.mark.parametrize(
    ("needed", "words"),
    [
        ([20], "about 20 seeds would decide, should mean and spread stay as they are."),
        (
            [20, 7, None],
            "about 7 to 20 seeds would decide, should mean and spread stay as they are, by the point",
        ),
        ([None], "and no number of seeds that can be asked for would be likely to decide."),
    ],
)
def test_tests_that_are_open_say_how_many_seeds_would_decide(needed: list[int | None], words: str) -> None:
    told = {"verdict": "inconclusive", "gap": 0.5, "open_over_seeds": True}
    text_ = text(*(point(LONG, seeds_to_decide=one, **told) for one in needed), width=1000)
    assert "- inconclusive: the tests over 5 seeds are open" in text_
    assert words in text_
    assert "whether it is rounding" not in text_


def test_why_a_training_failed_is_told_unless_it_diverged() -> None:
    for reason, told in (("out_of_memory", True), ("diverged", False)):
        failure = Failure.model_validate({"reason": reason, "message": "so much"})
        failed = SideAtPoint(succeeded=0, seeds=5, failure=failure)
        one = point(LONG, verdict="inconclusive", gap=None, reason="torch ended: so much.")
        one = one.model_copy(update={"frameworks": {"tensorflow": failed, "torch": failed}})
        assert ("- torch ended: so much." in text(one, width=1000)) is told


def test_large_losses_are_whole_numbers() -> None:
    large = SEEDS.model_copy(update={"median": 7306.6, "high": 22720.0})
    told = text(Point(settings=LONG, verdict="agree", reason="", gap=0.0, frameworks={"torch": large}),
                width=1000, frameworks=("torch",))  # fmt: skip
    assert "0.321    7,307   0.322 to 22,720" in told


def test_a_point_where_most_seeds_failed_is_not_the_best_for_what_is_left() -> None:
    left = SEEDS.model_copy(update={"succeeded": 2, "median": 0.001})
    none = SideAtPoint(succeeded=0, seeds=5)
    worse = SEEDS.model_copy(update={"succeeded": 3, "median": 0.5})
    assert sorted([none, left, worse, SEEDS], key=order_of) == [SEEDS, worse, left, none]


def page(grid: dict[str, list[Any]]) -> Page:
    """The page of a sweep whose last point failed in torch and differs."""
    rates, batches = grid["optimizer.learning_rate"], grid.get("training.batch_size", [None])
    settings = [
        {"optimizer.learning_rate": rate} | ({} if batch is None else {"training.batch_size": batch})
        for rate in rates
        for batch in batches
    ]
    points = [point(one) for one in settings[:-1]]
    failed = {"tensorflow": SEEDS, "torch": SideAtPoint(succeeded=0, seeds=5)}
    last = Point(settings=settings[-1], frameworks=failed, verdict="differ", reason="", gap=0.5)
    sweep = Sweep(
        experiment_id="9cc3c1e83971c500805f", name="houses", seeds=5, seed_list=range(5), ordered=True,
        measure="final loss", grid=grid, points=[*points, last], frameworks=("tensorflow", "torch"),
    )  # fmt: skip
    return SweepDocument(sweep).page()


def drawings(found: Page) -> dict[str, Drawing]:
    every = [block for section in found.sections for block in section.blocks]
    return {block.name: block for block in every if isinstance(block, Drawing)}


def test_points_of_several_settings_are_lines_across_parallel_axes() -> None:
    grid = {"optimizer.learning_rate": [0.1, 1.0, 10.0], "training.batch_size": [8, 16]}
    drawn = drawings(page(grid))["parallel"]

    assert drawn.figure.x.names == ["learning_rate", "batch_size", "tensorflow", "torch"]
    assert "learning_rate goes from 0.1 to 10" in drawn.says
    lines = {one.label: one for one in drawn.figure.series}
    assert len(lines) == 6
    first, *_, last = sorted(lines.values(), key=lambda one: one.y[:2])
    assert (first.name, first.y, first.texts[0][1:]) == (
        "agree",
        [0.0, 0.0, 0.5, 0.5],
        ["8", "0.331", "0.331"],
    )
    assert (last.name, last.x, last.y) == ("differ", [0.0, 1.0, 2.0], [1.0, 1.0, 0.5]), "torch has no value"


def test_of_one_setting_the_heat_map_says_it_all() -> None:
    assert "parallel" not in drawings(page({"optimizer.learning_rate": [0.1, 1.0]}))
