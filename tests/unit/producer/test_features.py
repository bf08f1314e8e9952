"""What becomes of a table's columns: scikit-learn's numbers, fitted to the training samples, and kept."""

# ruff: noqa: E501 (each message stands whole, as the user sees it)

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from likewise.producer.data.prepare import PreparedData
from likewise.producer.data.splits import SplitBy, split
from likewise.producer.data.table_samples import roles_of
from likewise.producer.job.prepare import PreparedExperiment
from likewise.shared.job.data import CsvData, Split

Prepare = Callable[..., PreparedExperiment]
Refusal = Callable[..., str]
Make = Callable[..., PreparedData]
ROWS = 60


@pytest.fixture
def made(prepare: Prepare, tmp_path: Path) -> Make:
    """Prepare a table of three columns and a target: numbers with gaps, text with gaps, dates."""

    def made(*, drop: tuple[str, ...] = (), **fields: Any) -> PreparedData:
        path = tmp_path / "a.csv"
        lines = [f"{h},{t},{d},{y}" for h, t, d, y in zip(*columns().values(), strict=True)]
        path.write_text("\n".join(["height,town,day,y", *lines]) + "\n")
        data = {"type": "csv", "path": "a.csv", "target": "y", "drop": list(drop), **fields}
        sections = {name: data.pop(name) for name in ("predict", "loss", "precision") if name in data}
        return prepare(data=data, **sections).runs["torch"].data

    return made


def columns() -> dict[str, list[Any]]:
    draw = np.random.default_rng(3)
    heights = [f"{v:.2f}" for v in draw.normal(170, 9, ROWS)]
    towns = [["north", "south", "west"][k] for k in draw.choice(3, ROWS, p=[0.2, 0.5, 0.3])]
    for row in (4, 17, 30):
        heights[row], towns[row + 1] = "", ""
    days = [f"20{10 + row % 9:02}-{row % 12 + 1:02}-{row % 28 + 1:02}" for row in range(ROWS)]
    return {"height": heights, "town": towns, "day": days, "y": [f"{v:.3f}" for v in draw.normal(3, 2, ROWS)]}


HELD_OUT = {"split": {"test": 0.3, "seed": 1}}


def parts_of(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a column's training and test values as scikit-learn takes them."""
    values = columns()[name]
    table = (
        np.array([[float(v) if v else np.nan] for v in values])
        if name in ("height", "y")
        else np.array([[v or None] for v in values], dtype=object)
    )
    train, _, test = split(ROWS, Split(test=0.3, seed=1))
    return table[train], table[test]


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
def test_gaps_are_filled_as_scikit_learn_fills_them(made: Make, strategy: str) -> None:
    data = made(drop=("town", "day"), missing=strategy, **HELD_OUT)
    train, test = parts_of("height")
    imputer = SimpleImputer(strategy=strategy).fit(train)

    assert data.train.x == pytest.approx(imputer.transform(train))
    assert data.test is not None
    assert data.test.x == pytest.approx(imputer.transform(test))
    assert data.columns[0].fill == pytest.approx(imputer.statistics_[0])


def test_an_indicator_is_a_column_of_its_own(made: Make) -> None:
    data = made(drop=("town", "day"), missing={"height": "indicator"}, standardize=True, **HELD_OUT)
    train, test = parts_of("height")
    imputer = SimpleImputer(strategy="mean", add_indicator=True).fit(train)
    scaler = StandardScaler().fit(imputer.transform(train)[:, :1])

    assert data.feature_names == ("height", "height_missing")
    assert data.test is not None
    for part, values in ((data.train, train), (data.test, test)):
        expected = imputer.transform(values)
        assert part.x[:, 1] == pytest.approx(np.isnan(values[:, 0]).astype(float))
        assert part.x[:, :1] == pytest.approx(scaler.transform(expected[:, :1]))


@pytest.mark.parametrize(("words", "encoder"), [("one_hot", OneHotEncoder), ("ordinal", OrdinalEncoder)])
def test_categories_are_scikit_learns(made: Make, words: str, encoder: Any) -> None:
    data = made(drop=("height", "day"), missing="most_frequent", categories=words, **HELD_OUT)
    train, test = parts_of("town")
    imputer = SimpleImputer(strategy="most_frequent", missing_values=None).fit(train)
    fitted = encoder().fit(imputer.transform(train))

    assert data.test is not None
    for part, values in ((data.train, train), (data.test, test)):
        expected = fitted.transform(imputer.transform(values))
        assert np.array_equal(part.x, expected.toarray() if words == "one_hot" else expected)
    assert data.columns[0].words == tuple(fitted.categories_[0])


def test_standardising_leaves_categories_as_they_are(made: Make) -> None:
    data = made(
        drop=("day",), missing={"height": "drop", "town": "drop"}, categories="one_hot", standardize=True
    )
    kept = [row for row in range(ROWS) if columns()["height"][row] and columns()["town"][row]]
    heights = np.array([[float(columns()["height"][row])] for row in kept])

    assert data.feature_names == ("height", "town_north", "town_south", "town_west")
    assert data.train.x[:, :1] == pytest.approx(StandardScaler().fit_transform(heights))
    assert set(np.unique(data.train.x[:, 1:])) == {0.0, 1.0}
    assert data.scaling is not None
    assert data.scaling[:, 1:].tolist() == [[0, 0, 0], [1, 1, 1]]


def test_dates_are_parts_or_days_elapsed(made: Make) -> None:
    parts = made(drop=("height", "town"), dates="parts")
    elapsed = made(drop=("height", "town"), dates={"day": "elapsed"}, **HELD_OUT)
    days = np.array(columns()["day"], dtype="datetime64[D]")
    train, _, _ = split(ROWS, Split(test=0.3, seed=1))

    assert parts.feature_names == ("day_year", "day_month", "day_day", "day_weekday")
    assert parts.train.x[0].tolist() == [2010, 1, 1, 4]  # a Friday
    assert parts.train.x[:, 0].tolist() == [int(str(day)[:4]) for day in days]
    assert parts.train.x[:, 3].tolist() == [day.astype(object).weekday() for day in days]
    assert elapsed.train.x[:, 0].tolist() == (days[train] - days[train].min()).astype(int).tolist()


TIMES = {
    "to the minute": (["7:05", "13:45", "", "23:59"], [7 + 5 / 60, 13.75, 23 + 59 / 60], ["hour", "minute"]),
    "on the hour": (["07:00", "13:00", "NA", "23:00"], [7.0, 13.0, 23.0], ["hour"]),
    "to the second": (["7:05:30", "13:45:00", "", "30:00:00"], [7 + 5.5 / 60, 13.75, 30.0], ["hour", "minute", "second"]),
    "with the half of the day": (["12:05 AM", "1:45 PM", "", "12:30 p.m."], [5 / 60, 13.75, 12.5], ["hour", "minute"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TIMES)
def test_times_of_day_are_hours_or_parts(name: str, prepare: Prepare, tmp_path: Path) -> None:
    words, hours, parts = TIMES[name]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["at,y", *(f"{word},{i}.5" for i, word in enumerate(words))]) + "\n")
    data = {"type": "csv", "path": "t.csv", "target": "y", "missing": "drop"}
    elapsed = prepare(data={**data, "dates": "elapsed"}).runs["torch"].data
    assert elapsed.train.x[:, 0] == pytest.approx(hours)
    made = prepare(data={**data, "dates": {"at": "parts"}}).runs["torch"].data
    assert list(made.feature_names) == [f"at_{part}" for part in parts]
    scales = np.array([1.0, 60.0, 3600.0])[: len(parts)]
    assert (made.train.x / scales).sum(axis=1) == pytest.approx(hours)


def test_times_are_categories_where_the_job_says_so(prepare: Prepare, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("at,y\n9:05,1.5\n13:45,2.5\n13:45,3.5\n")
    data = {"type": "csv", "path": "t.csv", "target": "y", "categories": "one_hot"}
    assert list(prepare(data=data).runs["torch"].data.feature_names) == ["at_09:05", "at_13:45"]


def test_times_that_nothing_takes_in_are_refused(prepare: Prepare, tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "t.csv").write_text("at,y\n9:05,1.5\n13:45,2.5\n13:50,3.5\n")
    said = refusal(prepare, data={"type": "csv", "path": "t.csv", "target": "y"})
    assert said.endswith(
        "column at: holds times; dates: parts or dates: elapsed takes them in, drop: [at] leaves it out"
    )


def test_rows_to_predict_give_times(prepare: Prepare, tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "t.csv").write_text("at,y\n9:00,1.5\n13:00,2.5\n")
    data = {"type": "csv", "path": "t.csv", "target": "y", "dates": "elapsed"}
    made = prepare(data=data, predict=[{"at": "1:30 PM"}]).runs["torch"].data
    assert made.predict is not None
    assert made.predict.tolist() == [[13.5]]
    assert 'column at: 9.0 is not a time such as "13:45", in quotes' in refusal(
        prepare, data=data, predict=[{"at": 9}]
    )


def test_rows_to_predict_are_given_by_column(made: Make) -> None:
    rows = [
        {"town": "west", "height": 171.5, "day": "2015-03-05"},
        {"day": "2011-01-02", "town": "north", "height": None},
    ]
    data = made(
        missing={"height": "median", "town": "most_frequent"}, categories="one_hot", dates="elapsed",
        standardize=True, predict=rows,
    )  # fmt: skip
    assert data.predict_given is not None
    assert data.predict is not None
    assert data.scaling is not None
    fill, start = data.columns[0].fill, data.columns[2].start
    assert start is not None

    assert data.predict_given[0, :4].tolist() == [171.5, 0, 0, 1]
    assert data.predict_given[1, :4].tolist() == [fill, 1, 0, 0]
    assert data.predict_given[0, 4] == np.datetime64("2015-03-05", "D").astype(int) - start / 86400
    assert data.predict == pytest.approx((data.predict_given - data.scaling[0]) / data.scaling[1])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"town": "weest", "height": 1.0}, 'row 1, column town: "weest" is not among the training samples (did you mean west?)'),
        ({"town": "west", "hight": 1.0}, 'row 1 has "hight", which is not trained on (did you mean height?)'),
        ({"town": "west", "height": "tall"}, 'row 1, column height: "tall" is not a number'),
        ({"height": 1.0}, 'row 1 has no "town", and data.missing fills no gap of it'),
    ],
)  # fmt: skip
def test_rows_to_predict_that_do_not_fit_are_refused(
    made: Make, refusal: Refusal, row: dict[str, Any], message: str
) -> None:
    settings = {"missing": {"height": "mean", "town": "drop"}, "categories": "one_hot", "drop": ("day",)}
    assert refusal(made, predict=[row], **settings) == f"predict: {message}"


def test_rows_without_names_do_not_do_for_columns_that_are_changed(made: Make, refusal: Refusal) -> None:
    message = refusal(
        made, drop=("day",), missing="most_frequent", categories="one_hot", predict=[[1.0, 2.0]]
    )
    assert message.startswith("predict: give each row by column, such as {height: …, town: …}")


def test_standardised_targets_keep_their_own_units(made: Make) -> None:
    data = made(drop=("height", "town"), dates="elapsed", standardize_target=True, **HELD_OUT)
    train, test = parts_of("y")
    scaler = StandardScaler().fit(train)

    assert data.test is not None
    assert data.train.y == pytest.approx(scaler.transform(train))
    assert data.test.y == pytest.approx(scaler.transform(test))
    assert data.target_scaling == ((pytest.approx(scaler.mean_[0]),), (pytest.approx(scaler.scale_[0]),))


def test_nothing_is_learnt_from_samples_that_are_held_out(made: Make) -> None:
    plain = made(drop=("town", "day"), missing="median", standardize=True, **HELD_OUT)
    everything = made(drop=("town", "day"), missing="median", standardize=True)

    assert plain.scaling is not None
    assert everything.scaling is not None
    assert plain.scaling[0] != pytest.approx(everything.scaling[0])
    assert plain.train.x.mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("test", [0.2, 0.25, 0.37])
def test_a_stratified_split_has_scikit_learns_counts(test: float) -> None:
    classes = np.repeat([0, 1, 2], [70, 21, 9])
    _, held_out = train_test_split(classes, test_size=round(test * 100), stratify=classes, random_state=0)
    _, _, rows = split(100, Split(test=test, stratify=True), SplitBy(classes=classes))

    assert np.abs(np.bincount(classes[rows]) - np.bincount(held_out)).max() <= 1
    assert len(rows) == len(held_out)


def test_a_class_of_one_sample_is_trained_on() -> None:
    classes = np.array([0] * 99 + [1])
    for seed in range(20):
        train, _, _ = split(100, Split(test=0.5, stratify=True, seed=seed), SplitBy(classes=classes))
        assert 99 in train


@pytest.mark.parametrize(("rounding", "expected"), [("round", 3), ("floor", 2), ("ceil", 3)])
def test_a_split_rounds_as_it_says(rounding: Any, expected: int) -> None:
    assert len(split(11, Split(test=0.25, rounding=rounding))[2]) == expected
    assert len(split(100, Split(test=0.15, rounding=rounding))[2]) == 15


def test_groups_stay_together_and_the_latest_are_the_test(prepare: Prepare, tmp_path: Path) -> None:
    lines = [f"{row},{row % 5},{(7 * row) % 20},{'train' if row < 15 else 'test'},{row}" for row in range(20)]
    (tmp_path / "a.csv").write_text("\n".join(["a,who,when,part,y", *lines]) + "\n")

    def parts(**by: Any) -> tuple[set[float], set[float]]:
        data = {"type": "csv", "path": "a.csv", "target": "y", "features": ["a"], "split": by}
        run = prepare(data=data).runs["torch"].data
        assert run.test is not None
        return set(run.train.y[:, 0]), set(run.test.y[:, 0])

    train, test = parts(test=0.4, groups="who")
    assert {y % 5 for y in train} & {y % 5 for y in test} == set()
    train, test = parts(test=0.25, time="when")
    assert min((7 * y) % 20 for y in test) > max((7 * y) % 20 for y in train)
    assert parts(column="part") == ({float(y) for y in range(15)}, {float(y) for y in range(15, 20)})


def test_a_class_that_a_split_loses_is_told(prepare: Prepare, tmp_path: Path) -> None:
    classes = np.array(["usual"] * 39 + ["rare"])
    seed = next(seed for seed in range(99) if 39 in split(40, Split(test=0.5, seed=seed))[2])
    lines = [f"{row},{classes[row]}" for row in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["a,y", *lines]) + "\n")
    data = {"type": "csv", "path": "a.csv", "target": "y", "split": {"test": 0.5, "seed": seed}}
    told = prepare(data=data, loss="binary_crossentropy").advice

    assert told[0].startswith("of class rare (1 sample) no sample is left to train on")
    kept = prepare(
        data=data | {"split": {"test": 0.5, "seed": seed, "stratify": True}}, loss="binary_crossentropy"
    )
    assert kept.advice == (
        "of class rare (1 sample) none is held out for test, whose scores say nothing of it",
    )


@pytest.mark.timeout(20)
def test_the_roles_of_many_columns_are_found_in_time_that_grows_as_they_do() -> None:
    names = [f"c{i}" for i in range(200_000)]
    half = {"features": names[:100_000], "drop": names[100_000:-1]}
    data = CsvData.model_validate({"type": "csv", "path": "a.csv", "target": names[-1], **half})

    assert roles_of(names, data, "a.csv").features == tuple(names[:100_000])
    assert len(roles_of(names, CsvData(type="csv", path="a.csv", target="c0"), "a.csv").features) == 199_999
