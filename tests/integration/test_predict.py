"""New rows are predicted by a trained model as the training itself predicted them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest

FLATS = {
    "name": "flats",
    "data": {
        "type": "csv", "path": "flats.csv", "skip_lines": 1, "target": "price",
        "categories": "one_hot", "dates": "parts", "missing": {"rooms": "indicator"},
        "standardize": True, "standardize_target": True,
    },
    "model": {"layers": [{"type": "dense", "units": 6, "activation": "tanh"}, {"type": "batch_norm"},
                         {"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": {"type": "sgd", "learning_rate": 0.01},
    "training": {"epochs": 3, "batch_size": 16},
    "seeds": 2,
    "execution": "eager",
    "predict": [
        {"city": "1", "area": 60, "rooms": 2, "heated": True, "sold": "2024-03-01"},
        {"city": "Ulm", "area": 88, "rooms": None, "heated": False, "sold": "2024-05-05"},
    ],
}  # fmt: skip
KINDS = {
    "name": "kinds",
    "data": {"type": "csv", "path": "flats.csv", "skip_lines": 1, "target": "city",
             "features": ["area", "price"], "standardize": True},
    "model": {"layers": [{"type": "dense", "units": 3}]},
    "loss": {"type": "categorical_crossentropy", "from_logits": True},
    "optimizer": {"type": "sgd", "learning_rate": 0.1},
    "training": {"epochs": 3, "batch_size": 16},
    "frameworks": ["torch"],
    "predict": [[60.0, 200_000.0], [88.0, 310_000.0]],
}  # fmt: skip
NEW = "id,city,area,rooms,heated,sold\n7,1,60,2,true,2024-03-01\n8,Ulm,88,,false,2024-05-05\n"
READ = {
    "csv": lambda file: pyarrow.csv.read_csv(file).to_pydict(),
    "parquet": lambda file: pyarrow.parquet.read_table(file).to_pydict(),
    "json": lambda file: pyarrow.Table.from_pylist(json.loads(Path(file).read_text())["rows"]).to_pydict(),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the samples, the job files and new rows."""
    folder = tmp_path_factory.mktemp("flats")
    numbers = np.random.default_rng(0)
    lines = ["Flats of 2024, which new rows have no title like", "rooms,area,city,heated,sold,price"]
    for row in range(90):
        area, city = round(20 + 100 * numbers.random(), 1), ("1", "Köln", "Ulm")[row % 3]
        rooms = "" if row % 17 == 0 else row % 5 + 1
        sold = f"2024-{row % 12 + 1:02d}-{row % 28 + 1:02d}"
        lines.append(f"{rooms},{area},{city},{str(row % 2 == 0).lower()},{sold},{area * (3_000 + row):.0f}")
    (folder / "flats.csv").write_text("\n".join(lines) + "\n")
    (folder / "new.csv").write_text(NEW)
    for job in (FLATS, KINDS):
        (folder / f"{job['name']}.json").write_text(json.dumps(job))
    return folder


@pytest.fixture(scope="module")
def trained(likewise, folder):
    """The documents of both comparisons, by name."""
    documents = {}
    for name in ("flats", "kinds"):
        answer = likewise("compare", str(folder / f"{name}.json"), "--no-twin", "--no-trace", "--json")
        assert answer.returncode == 0, answer.stderr
        documents[name] = json.loads(answer.stdout)
    return documents


def predict(likewise, trained, name, file, *words):
    """What the command answers for a file of new rows."""
    return likewise("predict", trained[name]["experiment_id"], "--data", str(file), *words)


@pytest.mark.parametrize(("side", "seed"), [("torch", 0), ("tensorflow", 1)])
def test_new_rows_are_predicted_as_the_training_did(likewise, trained, folder, side, seed):
    answer = predict(likewise, trained, "flats", folder / "new.csv", "--side", side, "--seed", str(seed),
                     "--json")  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert (found["side"], found["seed"], found["notes"]) == (side, seed, ["not predicted from: id"])
    wanted = np.array(trained["flats"]["runs"][side][seed]["predictions"]).reshape(-1)
    np.testing.assert_allclose([row["price"] for row in found["rows"]], wanted, rtol=1e-6)
    other = np.array(trained["flats"]["runs"][side][1 - seed]["predictions"]).reshape(-1)
    assert np.abs(other - wanted).min() > 1, "another seed is another model"


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_classes_come_back_by_name_in_every_file(likewise, trained, tmp_path, ending):
    new, file = tmp_path / "new.jsonl", tmp_path / f"predicted.{ending}"
    new.write_text('{"price": 200000, "area": 60.0}\n{"price": 310000, "area": 88.0}\n')
    answer = predict(likewise, trained, "kinds", new, "-o", str(file))
    assert answer.returncode == 0, answer.stderr
    read = READ[ending](file)
    logits = np.array(trained["kinds"]["runs"]["torch"][0]["predictions"])
    every = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert list(read) == ["city", "probability.1", "probability.Köln", "probability.Ulm"]
    chosen = [("1", "Köln", "Ulm")[place] for place in every.argmax(axis=1)]
    assert [str(one) for one in read["city"]] == chosen
    np.testing.assert_allclose(np.array([*read.values()][1:]).T, every, rtol=1e-6)
    again = predict(likewise, trained, "kinds", new, "-o", str(file))
    assert (again.returncode, "is there already; --force writes over it" in again.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (NEW.replace("60", "sixty"), 'line 2, column area: "sixty" is no number'),
        (NEW.replace("2024-05-05", "May"), 'line 3, column sold: "May" is no date'),
        (NEW.replace("Ulm", "Ulmm"), 'line 3, column city: "Ulmm" is not among the training samples (did'),
        (NEW.replace("area", "aera"), "lacks the column area (did you mean aera?), which torch"),
        (NEW.replace("60", "1e300"), "line 2, column area: 1e+300 is too large for float32, in which it"),
        (NEW.replace("88", ""), "line 3, column area: has no value, and data.missing fills no gap of it"),
    ],
)  # fmt: skip
def test_a_row_that_does_not_fit_is_told_by_its_line_and_column(likewise, trained, tmp_path, text, told):
    (tmp_path / "new.csv").write_text(text)
    answer = predict(likewise, trained, "flats", tmp_path / "new.csv", "--side", "torch")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert told in " ".join(answer.stderr.split()), answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("new.csv",), "--side says whose model is wanted: tensorflow or torch"),
        (("new.csv", "--side", "jax"), "--side is 'jax'; the sides are tensorflow, torch"),
        (("new.csv", "--side", "torch", "--seed", "7"), "--seed is 7; the seeds are 0, 1"),
        (("new.csv", "--side", "torch", "-o", "out.xlsx"), "does not end in .csv, .json, .parquet"),
        (("nofile.csv", "--side", "torch"), '--data "nofile.csv": there is no such file'),
    ],
)
def test_what_cannot_be_predicted_is_refused_with_what_can(likewise, trained, folder, words, told):
    file, *options = words
    answer = predict(likewise, trained, "flats", folder / file, *options)
    assert (answer.returncode, told in " ".join(answer.stderr.split())) == (2, True), answer.stderr
