"""`likewise init --csv`: each kind of table goes in, and what is left out is named with its reason."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import json
import lzma
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from likewise.producer.data.sniffing import looked_at
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.new_file import NewFiles, NewJob, write_new
from likewise.producer.job.prepare import PreparedRun, prepare_experiment
from likewise.producer.job.table_job import TableJob, lines_of
from likewise.shared.errors import DataError, UsageError

Init = Callable[..., tuple[NewFiles, PreparedRun]]
ROWS = 40


@pytest.fixture
def init(tmp_path: Path) -> Init:
    """Write a job for a table, and prepare it as `validate` does."""

    def init(content: str | bytes, *, target: str = "y", name: str = "a.csv") -> tuple[NewFiles, PreparedRun]:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        job = tmp_path / "job.yaml"
        new = write_new(job, NewJob(csv=[tmp_path / name], targets=target.split("|")), force=True)
        return new, prepare_experiment(read_experiment(str(job))).runs["torch"]

    return init


def table(*header: str, rows: int = ROWS, sep: str = ",", **cells: Callable[[int], Any]) -> str:
    lines = [sep.join(header), *(sep.join(str(cells[name](i)) for name in header) for i in range(rows))]
    return "\n".join(lines) + "\n"


def numbers(i: int) -> float:
    return round(float(np.sin(7.0 * i)), 3)


def made(new: NewFiles) -> TableJob:
    assert new.table is not None
    return new.table


def left_out(new: NewFiles) -> dict[str, str]:
    return {plan.name: plan.why for plan in made(new).columns if plan.left_out}


def test_gaps_and_text_are_taken_in(init: Init) -> None:
    text = table(
        "town", "height", "y",
        town=lambda i: "" if i == 5 else "north" if i % 2 else "south",
        height=lambda i: "" if i in (3, 4) else numbers(i), y=lambda i: "ab"[i % 2],
    )  # fmt: skip
    new, run = init(text)

    assert left_out(new) == {}
    assert run.data.feature_names == ("town_north", "town_south", "height")
    assert run.data.class_names == ("a", "b")
    told = (new.written[0]).read_text()
    assert "height: median" in told
    assert "2 of 40 values are missing" in told


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (lambda i: i + 1, "index"),
        (lambda _: 4, "constant"),
        (lambda _: "same", "constant"),
        (lambda i: f"note {i * 37 % 101}", "text: 40 different values in 40 rows"),
        (lambda i: "" if i % 10 else 1.5 + i, "gaps: 36 of 40 values are missing"),
        (lambda _: "", "gaps: it has no value"),
        (lambda i: f"0{i % 9 + 1}/0{i % 7 + 1}/2024", "date: day and month could be either"),
    ],
    ids=["index", "constant number", "constant word", "text", "gaps", "empty", "date"],
)
def test_each_column_that_is_left_out_has_its_reason(
    init: Init, values: Callable[[int], Any], reason: str
) -> None:
    new, run = init(table("id", "x", "y", id=values, x=numbers, y=numbers))

    assert left_out(new)["id"].startswith(reason)
    assert run.data.feature_names == ("x",)
    comment = next(line for line in new.written[0].read_text().splitlines() if line.startswith("    - id"))
    assert reason in comment


@pytest.mark.parametrize("order", [1, 7], ids=["in order", "shuffled"])
def test_an_unnamed_column_of_row_numbers_is_an_index(init: Init, order: int) -> None:
    rows = table("_", "x", "y", _=lambda i: i * order % 40 + 1, x=numbers, y=numbers, rows=40)
    new, _ = init('""' + rows.removeprefix("_"))

    assert left_out(new)["column_1"].startswith("index: it numbers the rows")


def test_a_measurement_that_counts_up_is_no_index(init: Init) -> None:
    new, run = init(table("month", "y", month=lambda i: i, y=lambda i: 120_092_643 + 31_000 * i))

    assert left_out(new) == {}
    assert run.job.data.standardize_target
    assert run.data.train.y.mean() == pytest.approx(0, abs=1e-12)
    assert run.data.train.y.std() == pytest.approx(1)


@pytest.mark.parametrize(
    ("cell", "settings"),
    [
        (lambda i: f'"${3000 + 7 * i:,}"', {"thousands": ",", "unit_signs": ("$",)}),
        (lambda i: f'"{3000 + 7 * i:,}"', {"thousands": ","}),
        (lambda i: f"{3000 + 7 * i} €", {"unit_signs": ("€",)}),
        (lambda i: f"'{3000 + 7 * i:,}'".replace(",", "."), {}),
        (lambda i: f'"(${3000 + 7 * i:,})"', {"thousands": ",", "unit_signs": ("$",)}),
        (lambda i: f'"{i + 3},{i % 7}5"', {"decimal": ","}),
        (lambda i: "unknown" if i == 3 else 3000 + 7 * i, {"missing_values": ("unknown",)}),
    ],
    ids=["dollars", "thousands", "euros", "quoted", "negative", "comma", "unknown"],
)
def test_numbers_are_numbers_however_they_are_written(
    init: Init, cell: Callable[[int], Any], settings: dict[str, Any]
) -> None:
    text = table("x", "y", x=lambda i: i * i % 17, y=cell)
    if not settings:
        with pytest.raises(UsageError, match="40 different words in 40 rows"):
            init(text)
        return
    _, run = init(text)

    assert run.job.loss.type == "mse"
    for name, value in settings.items():
        assert getattr(run.job.data, name) == value


def test_decimal_commas_between_semicolons(init: Init) -> None:
    cells = {name: lambda i, k=k: f"{i % 9},{(i * k) % 1000:03}" for k, name in enumerate("aby", start=3)}
    new, run = init(table("a", "b", "y", sep=";", **cells))

    assert (left_out(new), run.job.data.decimal) == ({}, ",")
    assert run.data.target_scaling is not None or abs(run.data.train.y).max() < 9


def test_points_between_thousands_are_known_by_the_decimal_commas_of_another_column(init: Init) -> None:
    text = table("area", "y", sep=";", area=lambda i: f"{30 + i},5", y=lambda i: f"{100 + 3 * i}.000")
    _, run = init(text)

    assert (run.job.data.decimal, run.job.data.thousands) == (",", ".")
    mean, scale = run.data.target_scaling or ((0.0,), (1.0,))
    y = run.data.train.y.reshape(-1) * scale[0] + mean[0]
    assert y.min() == pytest.approx(100_000)


def test_fractions_with_points_beside_decimal_commas_are_no_thousands(init: Init) -> None:
    text = table(
        "x",
        "area",
        "y",
        sep=";",
        x=lambda i: f"{i % 7}.25",
        area=lambda i: f"{30 + i},5",
        y=lambda i: 3 * i,
    )
    _, run = init(text)

    assert run.job.data.thousands is None


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["3k", "4M", "12", "1.5k"], "numbers: "),
        (["1. März 2024", "3. Mai 2024", "2. Dez. 2024"], "date: the month of dates such as "),
        (["1 janvier 2024", "14 juillet 2023"], "date: the month of dates such as "),
        (["3 de enero de 2024", "4 de marzo de 2024"], "date: the month of dates such as "),
    ],
)
def test_numbers_and_dates_that_no_setting_reads_are_no_categories(
    init: Init, words: list[str], told: str
) -> None:
    new, run = init(
        table("odd", "a", "y", odd=lambda i: f'"{words[i % len(words)]}"', y=lambda i: 3 * i, a=numbers)
    )

    assert tuple(run.job.data.drop) == ("odd",)
    assert left_out(new)["odd"].startswith(told)


def test_codes_are_looked_at_for_no_nines(init: Init) -> None:
    codes = ["01234", "02345", "00099"]
    _, run = init(table("code", "a", "y", code=lambda i: codes[i % 3], a=numbers, y=lambda i: 3 * i + 1))

    assert not run.job.data.missing_values


def test_numbers_with_points_and_with_commas_are_told_as_what_they_are(init: Init, tmp_path: Path) -> None:
    def either(i: int) -> str:
        return f"{numbers(i):.3f}".replace(".", "," if i % 2 else ".")

    told = (
        'mixes decimal points and decimal commas, such as "-0.062" and "-0,044", and no setting reads both; '
        "write its numbers in one way in the file"
    )
    mixed = table("area", "rooms", "y", sep=";", area=either, rooms=lambda i: i % 5, y=numbers)
    new, _ = init(mixed)

    assert left_out(new) == {"area": f"numbers: it {told}"}
    with pytest.raises(UsageError, match=re.escape(f"column area: {told}; a target is")):
        init(mixed, target="area")

    job = tmp_path / "job.yaml"
    init(mixed)
    job.write_text(job.read_text().replace("- area", "- rooms"))
    with pytest.raises(DataError, match=re.escape(f"column area: {told}")):
        prepare_experiment(read_experiment(str(job)))


def test_booleans_categories_and_dates(init: Init) -> None:
    text = table(
        "when", "smoker", "city", "y",
        when=lambda i: f"2024-{i // 28 + 1:02}-{i % 28 + 1:02}", smoker=lambda i: str(i % 3 == 0),
        city=lambda i: ("Rome", "Oslo", "Lima")[i % 3], y=numbers,
    )  # fmt: skip
    new, run = init(text)

    assert left_out(new) == {}
    assert run.data.feature_names == ("when", "smoker", "city_Lima", "city_Oslo", "city_Rome")


def test_times_of_day_and_lengths_of_time(init: Init, tmp_path: Path) -> None:
    text = table(
        "at", "took", "y",
        at=lambda i: f"{i % 12 + 1}:{i % 60:02} {'AM' if i % 2 else 'PM'}",
        took=lambda i: f"{i}:{i % 60:02}:07", y=numbers,
    )  # fmt: skip
    new, run = init(text)
    told = new.written[0].read_text()
    minutes = [dt.time(i % 24, i % 60) for i in range(ROWS)]
    lengths = [dt.timedelta(seconds=90 * i) for i in range(ROWS)]
    values = {"at": minutes, "took": lengths, "y": [numbers(i) for i in range(ROWS)]}
    pq.write_table(pa.table(values), tmp_path / "t.parquet")
    of_parquet, typed = init((tmp_path / "t.parquet").read_bytes(), name="a.parquet")

    assert left_out(new) == left_out(of_parquet) == {}
    assert run.data.feature_names == typed.data.feature_names == ("at", "took")
    assert "# times from 00:11 to" in told


@pytest.mark.parametrize("form", ["%b %d %Y", "%B %Y", "%Y-%m", "%b-%y"])
def test_dates_without_a_comma_or_a_day_are_dates(init: Init, form: str) -> None:
    new, run = init(
        table("when", "y", when=lambda i: dt.date(2001 + i // 12, i % 12 + 1, 1).strftime(form), y=numbers)
    )

    assert left_out(new) == {}
    assert run.data.feature_names == ("when",)


def test_text_with_many_gaps_is_told_what_takes_text_in(init: Init) -> None:
    new, _ = init(
        table("note", "x", "y", note=lambda i: "" if i % 10 else "ab"[i // 10 % 2], x=numbers, y=numbers)
    )

    assert left_out(new)["note"] == (
        "gaps: 36 of 40 values are missing; to take it in, move it from this list to missing: "
        "indicator and to categories: one_hot makes 2 features and one for the gap"
    )


def test_comments_and_no_header(init: Init) -> None:
    rows = table("a", "y", a=numbers, y=numbers)
    _, run = init("# exported by hand, 2024\n" + rows)
    _, bare = init(rows.partition("\n")[2], target="column_2")

    assert run.job.data.comment == "#"
    assert not bare.job.data.header
    assert len(bare.data.train.x) == len(run.data.train.x)


@pytest.mark.parametrize(
    ("title", "sep", "lines"),
    [
        ("Sales of May\n", ",", 1),
        ("Umsatz 2024;;\n\n", ";", 2),
        ("Measured by hand, on two days\nin Bonn\n", "\t", 2),
    ],
)
def test_a_title_before_the_header_is_skipped_and_lines_keep_their_numbers(
    init: Init, title: str, sep: str, lines: int
) -> None:
    text = table("city", "a", "y", sep=sep, city=lambda i: "XY"[i % 2], a=numbers, y=lambda i: i % 7)
    new, run = init(title + text)

    assert (run.job.data.skip_lines, left_out(new)) == (lines, {})
    assert any(f"read      skip_lines: {lines}; a title" in line for line in lines_of(made(new)))
    ragged = title + text + sep.join("abcd")
    with pytest.raises(DataError, match=f"line {lines + ROWS + 2} has 4 values, and the header names 3"):
        init(ragged)


def test_a_column_of_words_has_no_title(init: Init) -> None:
    words = table("word", "y", word=lambda i: "abc"[i % 3], y=lambda i: "xyz"[i % 3])
    _, run = init(words)
    assert run.job.data.skip_lines == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_encodings_are_found(init: Init, encoding: str) -> None:
    text = table("größe", "y", größe=numbers, y=numbers)
    _, run = init(text.encode(encoding))

    assert run.data.feature_names == ("größe",)


def zipped(data: bytes, folder: Path) -> bytes:
    with zipfile.ZipFile(folder / "z", "w") as archive:
        archive.writestr("a.csv", data)
    return (folder / "z").read_bytes()


def test_packed_files_and_other_formats(init: Init, tmp_path: Path) -> None:
    text = table("a", "y", a=numbers, y=numbers).encode()
    values = {"a": [numbers(i) for i in range(ROWS)], "y": [numbers(i) for i in range(ROWS)]}
    pq.write_table(pa.table(values), tmp_path / "t.parquet")
    lines = "".join(json.dumps({"a": numbers(i), "y": numbers(i)}) + "\n" for i in range(ROWS))
    arrow = pa.BufferOutputStream()
    with pa.CompressedOutputStream(arrow, "zstd") as stream:
        stream.write(text)
    _, plain = init(text)
    forms = {
        "gz": gzip.compress(text), "bz2": bz2.compress(text), "xz": lzma.compress(text),
        "zst": arrow.getvalue().to_pybytes(), "zip": zipped(text, tmp_path), "tsv": text.replace(b",", b"\t"),
        "parquet": (tmp_path / "t.parquet").read_bytes(), "jsonl": lines.encode(),
        "ndjson": gzip.compress(lines.encode()),
    }  # fmt: skip

    for ending, content in forms.items():
        _, run = init(content, name=f"a.{ending}")
        assert np.array_equal(run.data.train.x, plain.data.train.x), ending
        assert np.array_equal(run.data.train.y, plain.data.train.y), ending


def test_a_rare_class_keeps_samples_to_train_on(init: Init) -> None:
    text = table("a", "y", a=numbers, y=lambda i: "rare" if i < 2 else "usual", rows=120)
    new, run = init(text)

    assert (run.data.train.y == 0).any()
    assert "the rarest is rare, with 2 rows" in new.written[0].read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table("a", "y", a=numbers, y=lambda _: 1), 'every value is "1"; there is nothing to learn'),
        (table("a", "y", a=numbers, y=lambda i: f"w{i}"), "holds 40 different words in 40 rows"),
        (table("a", "y", a=lambda _: 3, y=numbers), "can be trained on\n  a: constant: every value is 3"),
        (table("a", "y", a=numbers, y=lambda i: f"2024-01-{i % 28 + 1:02}"), "holds dates"),
    ],
)
def test_a_table_that_cannot_be_trained_on_is_refused_at_once(init: Init, text: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        init(text)

    assert message in str(refused.value)


def test_units_behind_numbers_are_no_part_of_them(init: Init) -> None:
    text = table(
        "length", "mass", "y", length=lambda i: f"{i % 7}.5 cm", mass=lambda i: f"{i * i % 11}m", y=numbers
    )
    new, run = init(text)

    assert (left_out(new), made(new).reading) == ({}, {"unit_signs": ("cm", "m")})
    assert run.job.data.categories is None


def test_numbers_of_several_units_stay_words(init: Init) -> None:
    cells = {"mass": lambda i: f"{i % 3} {'kg' if i % 2 else 'g'}", "kilo": lambda i: f"{i % 4}kg"}
    new, _ = init(table("mass", "kilo", "gram", "y", **cells, gram=lambda i: f"{i % 5}g", y=numbers))

    assert made(new).reading == {}
    assert {plan.name: plan.settings for plan in made(new).columns}["mass"] == (("categories", "one_hot"),)


def test_words_that_stand_for_a_gap_are_told(init: Init) -> None:
    new, _ = init(table("x", "y", x=lambda i: "unknown" if i == 3 else i * i % 17, y=numbers))

    assert any('read      missing_values: ["unknown"]' in line for line in lines_of(made(new)))


def test_a_header_that_begins_as_a_comment_does_is_one_where_it_names_the_target(init: Init) -> None:
    _, run = init(table("#a", "y", **{"#a": numbers, "y": numbers}))
    assert (run.job.data.comment, run.job.data.header) == (None, True)


def test_few_whole_numbers_are_amounts_and_what_makes_classes_of_them_is_told(init: Init) -> None:
    new, run = init(table("a", "stars", a=numbers, stars=lambda i: 1 + i % 5), target="stars")
    assert run.job.loss.task == "regression"
    text = new.written[0].read_text()
    assert "as classes they want units: 5, loss: categorical_crossentropy and data.class_names" in text
    made_so = text.replace("units: 1}", "units: 5}").replace("loss: mse", "loss: categorical_crossentropy")
    made_so = made_so.replace("  target: stars", '  target: stars\n  class_names: ["1", "2", "3", "4", "5"]')
    lines = [line for line in made_so.splitlines() if "standardize_target" not in line]
    new.written[0].write_text("\n".join(lines))
    again = prepare_experiment(read_experiment(str(new.written[0]))).runs["torch"]
    assert again.data.class_names == ("1", "2", "3", "4", "5")


def test_words_that_differ_in_their_case_alone_are_told(init: Init) -> None:
    new, _ = init(table("flag", "y", flag=lambda i: "YNyn"[i % 4], y=numbers))
    assert made(new).columns[0].why.endswith('"N" and "n" are told apart')


def test_nines_far_from_all_others_stand_for_a_gap(init: Init) -> None:
    def age(i: int) -> str:
        return "-999.0" if i % 8 == 3 else str(18 + i)

    new, run = init(table("age", "y", age=age, y=numbers))
    assert run.job.data.missing_values == ("-999",)
    (plan,) = made(new).columns
    assert plan.settings == (("missing", "median"),)
    assert plan.why.startswith("5 of 40 values are missing")


@pytest.mark.parametrize(
    "cells",
    [
        {"age": lambda i: "999" if i == 3 else 18 + i},  # once
        {"age": lambda i: "99" if i % 8 == 3 else 18 + 2 * i},  # not far from others
        {"age": lambda i: "-999" if i % 8 == 3 else 18 + i, "height": lambda i: 10 * i - 999},
    ],
)
def test_nines_that_may_be_values_stay(init: Init, cells: dict[str, Callable[[int], Any]]) -> None:
    _, run = init(table(*cells, "y", **cells, y=numbers))
    assert not run.job.data.missing_values


def test_a_column_that_has_values_only_where_the_target_has_none_is_left_out(init: Init) -> None:
    cells = {
        "late": lambda i: numbers(i) if i >= 22 else "",
        "a": numbers,
        "y": lambda i: "" if i >= 22 else i % 7,
    }
    new, _ = init(table("late", "a", "y", **cells))
    assert left_out(new)["late"].startswith("gaps: it has values only in rows without a target")


@pytest.mark.parametrize("word", ["inf", "-Infinity"])
def test_what_a_division_by_zero_left_is_a_gap(init: Init, word: str) -> None:
    new, run = init(table("rate", "y", rate=lambda i: word if i == 7 else numbers(i), y=numbers))
    assert run.job.data.missing_values == (word[: 4 if word[0] == "-" else 3].lower(),)
    (plan,) = made(new).columns
    assert plan.settings == (("missing", "median"),)


def test_a_minus_behind_a_number_is_read_as_accounts_mean_it(init: Init) -> None:
    text = table("owed", "y", owed=lambda i: f"{i * 100:,}.50{'-' * (i % 2)}", y=numbers, sep=";")
    new, _ = init(text)
    assert left_out(new) == {}
    assert made(new).reading["thousands"] == ","
    owed = looked_at([new.written[0].parent / "a.csv"], "y")[1].columns["owed"].values
    np.testing.assert_array_equal(owed[:4], [0.5, -100.5, 200.5, -300.5])


def test_the_fields_of_a_structure_are_columns(tmp_path: Path, init: Init) -> None:
    rows = [{"geo": {"lat": numbers(i), "at": {"z": i % 7}}, "y": numbers(3 * i)} for i in range(ROWS)]
    del rows[3]["geo"]
    new, _ = init("\n".join(map(json.dumps, rows)), name="a.jsonl")
    assert [plan.name for plan in made(new).columns] == ["geo.lat", "geo.at.z"]
    assert all(plan.why.startswith("1 of 40 values are missing") for plan in made(new).columns)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "b.parquet")
    again, _ = init((tmp_path / "b.parquet").read_bytes(), name="a.parquet")
    assert [plan.name for plan in made(again).columns] == ["geo.lat", "geo.at.z"]


def test_a_number_that_stands_for_a_gap_is_one_in_typed_files_too(tmp_path: Path, init: Init) -> None:
    columns = {
        "age": [-999.0 if i % 8 == 3 else 18.0 + i for i in range(ROWS)],
        "y": list(map(numbers, range(ROWS))),
    }
    pq.write_table(pa.table(columns), tmp_path / "b.parquet")
    new, run = init((tmp_path / "b.parquet").read_bytes(), name="a.parquet")
    assert run.job.data.missing_values == ("-999",)
    assert made(new).columns[0].settings == (("missing", "median"),)


def test_numbers_too_large_to_tell_apart_are_an_identifier(init: Init) -> None:
    new, _ = init(table("key", "x", "y", key=lambda i: 10**22 + i, x=numbers, y=numbers))

    assert left_out(new)["key"].startswith("identifier: its numbers are beyond 9.0072e+15")


def test_numbers_with_zeros_before_them_are_codes(init: Init) -> None:
    code = lambda i: "" if i == 4 else f"{i % 7:05}"  # noqa: E731
    new, _ = init(table("zip", "x", "y", zip=code, x=lambda i: 10 * i, y=numbers))
    assert {plan.name: plan.settings for plan in made(new).columns}["zip"] == (
        ("categories", "one_hot"),
        ("missing", "most_frequent"),
    )

    many = table("zip", "x", "y", rows=120, zip=lambda i: f"{37 * i:05}", x=numbers, y=numbers)
    assert left_out(init(many)[0])["zip"].startswith("code: its numbers have zeros before them")


def test_columns_between_blanks_are_read(init: Init) -> None:
    """They are aligned as by hand, a text in quotes stands behind a tab, and there is no header."""
    rows = "".join(f'  {i}.   {(7 * i) % 40:4d}\t"car  {i % 3}"   {numbers(i)} \n' for i in range(ROWS))
    new, _ = init(rows, target="column_4")
    assert made(new).reading == {"header": False, "delimiter": " "}
    assert [plan.name for plan in made(new).columns] == ["column_1", "column_2", "column_3"]
    _, table = looked_at([new.written[0].parent / "a.csv"], "column_4")
    assert table.columns["column_3"].words == ("car  0", "car  1", "car  2")
    assert table.columns["column_1"].values.tolist() == list(range(ROWS))


def test_the_names_of_rows_that_r_leaves_without_a_name_are_an_index(init: Init) -> None:
    text = "x y\n" + "".join(f'"{i + 1}" {numbers(i)} {i % 7}\n' for i in range(ROWS))
    new, run = init(text)
    assert left_out(new)["rownames"].startswith("index")
    assert run.data.feature_names == ("x",)


def test_a_row_between_blanks_that_is_too_short_is_told_with_its_line(init: Init) -> None:
    rows = [f"{numbers(i)}  {i}" for i in range(ROWS)]
    new, _ = init("\n".join(["x   y", *rows]) + "\n")
    rows[30] = "7"
    (new.written[0].parent / "a.csv").write_text("\n".join(["x   y", *rows]) + "\n")
    with pytest.raises(DataError, match=r"line 32 has 1 value, and the header names 2 columns"):
        prepare_experiment(read_experiment(str(new.written[0])))


def test_values_that_tabs_separate_may_have_blanks(init: Init) -> None:
    text = table("x", "where", "y", sep="\t", x=numbers, y=numbers, where=lambda i: f"row  {i % 3}")
    new, _ = init(text)
    assert [plan.name for plan in made(new).columns] == ["x", "where"]


def test_several_targets_are_several_outputs_each_with_a_loss(init: Init) -> None:
    text = table(
        "x", "kind of", "price", x=numbers, price=lambda i: 1000 + 97 * (i % 13),
        **{"kind of": lambda i: "abc"[i % 3]},
    )  # fmt: skip
    new, run = init(text, target="kind of|price")

    assert left_out(new) == {}
    assert run.job.model.outputs == ("kind_of", "price")
    weight = 1 / np.var([1000 + 97 * (i % 13) for i in range(ROWS)])
    assert [(loss.type, loss.weight) for loss in run.job.losses.values()] == [
        ("categorical_crossentropy", 1.0),
        ("mse", float(f"{weight:.1g}")),
    ]
    assert run.data.outputs["kind_of"].class_names == ("a", "b", "c")


def test_a_target_that_is_named_twice_is_refused(init: Init) -> None:
    with pytest.raises(UsageError, match="named twice"):
        init(table("x", "y", x=numbers, y=numbers), target="y|y")


def notes(new: NewFiles) -> dict[str, str]:
    return dict(made(new).notes)


def test_a_copy_of_the_target_is_left_out_and_what_tells_it_is_pointed_out(init: Init) -> None:
    cells = {"a": lambda i: i % 7, "again": numbers, "cents": lambda i: round(100 * numbers(i)) + 5}
    text = table("a", "again", "cents", "y", **cells, y=lambda i: f"{numbers(i):.2f}")
    new, run = init(text.replace("again", "y_again"))
    assert left_out(new) == {}, "rounded, it is no copy"
    assert notes(new) == {
        "cents": "y is 0.01 times it - 0.05 in every row; where it is not known before y is, drop it"
    }
    assert "  # cents: y is 0.01 times it" in new.written[0].read_text()

    new, run = init(table("a", "again", "y", a=lambda i: i % 7, again=numbers, y=numbers))
    assert left_out(new) == {"again": "copy: it is y in every row; take it off this list to train on it"}
    assert run.data.train.x.shape[1:] == (1,)


def test_what_comes_near_the_target_is_not_pointed_out(init: Init) -> None:
    cells = {"near": lambda i: numbers(i) + 0.001 * (i == 9), "a": lambda i: i % 7}
    assert notes(init(table("near", "a", "y", **cells, y=numbers))[0]) == {}
    cells = {"kind": lambda i: "abc"[i % 3] if i else "c", "a": lambda i: i % 7}
    assert notes(init(table("kind", "a", "y", **cells, y=lambda i: "uvw"[i % 3]))[0]) == {}


def test_an_only_feature_that_is_the_target_is_kept_and_pointed_out(init: Init) -> None:
    new, _ = init(table("x", "y", x=numbers, y=numbers))
    assert left_out(new) == {}
    assert notes(new)["x"].startswith("it is y itself")


@pytest.mark.parametrize("code", [lambda i: 4 - i % 3, lambda i: "rgb"[i % 3]], ids=["numbers", "words"])
def test_a_column_that_stands_for_the_class_is_pointed_out(init: Init, code: Callable[[int], Any]) -> None:
    cells = {"a": lambda i: i % 7, "code": code, "y": lambda i: ("red", "green", "blue")[i % 3]}
    told = notes(init(table("a", "code", "y", **cells))[0])["code"]
    assert told.startswith("each of its 3 values stands beside one class of y alone; where it is not known")


def test_classes_that_differ_in_their_case_alone_are_told(init: Init) -> None:
    new, _ = init(table("a", "y", a=numbers, y=lambda i: ("Yes", "no", "yes")[i % 3]))
    assert notes(new) == {"y": '"Yes" and "yes" are told apart as classes'}


def test_a_row_of_units_and_a_row_of_totals_are_told(init: Init) -> None:
    cells = {"a": lambda i: {0: "[m]", ROWS - 1: "Total"}.get(i, i % 7), "b": lambda i: i % 5, "y": numbers}
    new, _ = init(table("a", "b", "y", **(cells | {"a": lambda i: "[m]" if i == 0 else i % 7})))
    advice = "has no number here; if it is no row of data but units or a total, take it out of the file"
    assert notes(new) == {"a": f"line 2, the first row, {advice}"}
    new, _ = init(table("a", "b", "y", **(cells | {"a": lambda i: "Total" if i == ROWS - 1 else i % 7})))
    assert notes(new) == {"a": f"line 41, the last row, {advice}"}


def test_a_last_row_that_sums_the_others_is_told(init: Init) -> None:
    sold = [3 + i % 7 for i in range(ROWS - 1)]
    cells = {"shop": lambda i: f"s{i % 5}" if i < ROWS - 1 else "Summe", "y": lambda i: numbers(i) + 2}
    new, _ = init(table("shop", "sold", "y", sold=lambda i: [*sold, sum(sold)][i], **cells))
    assert notes(new) == {
        "sold": "line 41, the last row, is the sum of all others here; "
        "if it is no row of data but a total, take it out of the file"
    }
    new, _ = init(table("shop", "sold", "y", sold=lambda i: [*sold, sum(sold) + 1][i], **cells))
    assert notes(new) == {}
    change = [3 - i % 7 for i in range(ROWS - 1)]
    new, _ = init(table("shop", "change", "y", change=lambda i: [*change, sum(change)][i], **cells))
    assert notes(new) == {}  # of numbers of both signs that is chance


def test_a_constant_with_gaps_is_told_what_takes_the_gaps_in(init: Init) -> None:
    cells = {"mark": lambda i: "x" if i % 3 else "", "a": numbers, "y": lambda i: i % 7}
    new, _ = init(table("mark", "a", "y", **cells))
    assert left_out(new)["mark"] == (
        'constant: every value is "x" or a gap; 14 of 40 values are missing; to take the gaps in, move it '
        "from this list to missing: indicator and to categories: one_hot"
    )


def test_targets_without_a_value_are_no_columns_to_train_on(init: Init) -> None:
    new, _ = init(table("a", "y", a=lambda i: i % 7, y=lambda i: numbers(i) if i % 9 else ""))
    assert next(lines_of(made(new))) == "1 column to train on, 0 columns left out"


@pytest.mark.parametrize(
    ("cell", "settings", "last"),
    [
        (lambda i: f"{i + 1}\u202f234\u00a0567,5", {"decimal": ",", "thousands": " "}, 40_234_567.5),
        (lambda i: f"CHF {i + 1}’234.50", {"thousands": "'", "unit_signs": ("CHF",)}, 40_234.5),
        (lambda i: f"₹{i + 1},23,456", {"thousands": ",", "unit_signs": ("₹",)}, 40_23_456),
        (lambda i: f"({i + 1},234.50)" if i % 2 else f"{i + 1},234.50", {"thousands": ","}, -40_234.5),
        (lambda i: f"{20 - i}.5 km/h", {"unit_signs": ("km/h",)}, -19.5),
        (lambda i: f"{20 - i}.5".replace("-", "−"), {}, -19.5),
    ],
    ids=["narrow spaces", "francs", "India", "accounts", "a quotient", "a minus"],
)
def test_numbers_are_read_as_countries_and_typesetters_write_them(
    init: Init, cell: Callable[[int], str], settings: dict[str, Any], last: float
) -> None:
    new, _ = init(table("a", "y", sep="\t", a=cell, y=lambda i: i % 7))
    assert made(new).reading == settings
    _, read = looked_at([new.written[0].parent / "a.csv"], "y")
    assert read.columns["a"].values[-1] == last


def test_amounts_with_points_between_thousands_and_a_currency_are_known_by_another_column(init: Init) -> None:
    text = table("area", "y", sep=";", area=lambda i: f"{30 + i},5", y=lambda i: f"{100 + 3 * i}.000 €")
    new, _ = init(text)
    assert made(new).reading == {"decimal": ",", "thousands": ".", "unit_signs": ("€",)}


def test_dashes_among_words_stand_for_gaps(init: Init) -> None:
    new, _ = init(table("city", "y", city=lambda i: ("Bonn", "Ulm", "--", "Kiel")[i % 4], y=numbers))
    assert made(new).reading == {"missing_values": ("--",)}
    assert made(new).columns[0].settings == (("categories", "one_hot"), ("missing", "most_frequent"))


def test_a_name_of_two_lines_is_no_title(init: Init) -> None:
    new, run = init(
        table('"size\n(m)"', "b", "y", **{'"size\n(m)"': lambda i: i % 7, "b": numbers, "y": numbers})
    )
    assert (run.job.data.skip_lines, run.data.feature_names) == (0, ("size\n(m)",))
    assert left_out(new)["b"].startswith("copy")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_found(init: Init, encoding: str) -> None:
    new, _ = init(table("a", "y", a=lambda i: i % 7, y=numbers).encode(encoding))
    assert made(new).reading == {"encoding": encoding}


def test_dates_of_two_forms_are_told_as_such(init: Init) -> None:
    days = {"d": lambda i: f"2024-01-{i % 28 + 1:02}" if i % 2 else f"{i % 28 + 1:02}.01.2024"}
    new, _ = init(table("d", "a", "y", **days, a=lambda i: i % 7, y=numbers))
    assert left_out(new)["d"] == 'date: "01.01.2024" and "2024-01-02" are of two forms; write all in one'


def test_a_workbook_and_lines_that_end_in_carriage_returns_are_refused_in_words(
    init: Init, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="its lines end in carriage returns alone; save it with line feeds"):
        init(table("a", "y", a=numbers, y=numbers).replace("\n", "\r"))
    with zipfile.ZipFile(tmp_path / "book.xlsx", "w") as book:
        book.writestr("xl/workbook.xml", "<workbook/>")
        book.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
    with pytest.raises(DataError, match="is an Excel workbook; save the sheet that is meant as CSV"):
        init((tmp_path / "book.xlsx").read_bytes(), name="a.xlsx")


def test_a_json_array_is_told_as_what_it_is(init: Init) -> None:
    with pytest.raises(DataError, match=r"a\.json: is one JSON array; write its objects a line each"):
        init('[{"a": 1, "y": 2},\n {"a": 3, "y": 4}]', name="a.json")


@pytest.mark.parametrize(
    ("name", "cell", "told"),
    [
        ("id", lambda i: i + 1, "index: it numbers the rows; take it off this list to train on it"),
        ("id", lambda i: 1000 + i * i, "identifier: each row has a number of its own; take it off this list"),
        ("CustomerID", lambda i: (i * 7919) % 10007, "identifier: each row has a number of its own"),
        ("patientid", lambda i: 5 * i, "identifier: each row has a number of its own"),
        ("weight", lambda i: f"{i} {'kg' if i % 2 else 'lb'}", '"0 lb" and "1 kg" are in different units'),
        ("price", lambda i: f"{'$€'[i % 2]}{i}", '"$0" and "€1" are in different units, which no setting'),
        ("size", lambda i: f"{i} cm" if i % 2 else i, 'numbers: "0" and "1 cm" are one with a unit and'),
        ("pack", lambda i: f"{i} {'boxes' if i % 2 else 'bags'}", '"0 bags" and "1 boxes" are in different'),
        ("seat", lambda i: f"{i}{'QA' if i % 2 else 'ZB'}", "text: 40 different values in 40 rows"),
    ],
)  # fmt: skip
def test_identifiers_and_numbers_of_several_units_are_left_out(
    init: Init, name: str, cell: Callable[[int], Any], told: str
) -> None:
    new, _ = init(table(name, "x", "y", **{name: cell}, x=numbers, y=lambda i: numbers(i + 3)))

    assert told in left_out(new)[name]


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("bid", lambda i: 5 * i),
        ("paid", lambda i: 100 + i * i),
        ("IDEAL", lambda i: 3 * i),
        ("idle", lambda i: 3 * i),
        ("id", lambda i: i / 2),
        ("cabin", lambda i: f"{i % 4}{'AB'[i % 2]}"),
    ],
)
def test_measures_and_codes_are_no_identifiers_and_no_units(
    init: Init, name: str, cell: Callable[[int], Any]
) -> None:
    new, _ = init(table(name, "x", "y", **{name: cell}, x=numbers, y=lambda i: numbers(i + 3)))

    assert not left_out(new)


def test_a_feature_that_numbers_the_rows_or_names_groups_is_pointed_out(init: Init) -> None:
    cells: dict[str, Callable[[int], Any]] = {"n": lambda i: i + 1, "user_id": lambda i: 7 * (i % 20)}
    new, _ = init(table("n", "user_id", "y", **cells, y=numbers))
    told = dict(made(new).notes)

    assert not left_out(new)
    assert told["n"].startswith("it numbers the rows from 1 to 40 in their order; where that says nothing")
    assert told["user_id"].startswith(
        "by its name its 20 numbers are names, not amounts: drop it; where rows"
    )
    assert "split: {..., groups: user_id}" in told["user_id"]


def test_an_index_is_known_though_some_rows_have_no_target(init: Init) -> None:
    cells: dict[str, Callable[[int], Any]] = {
        "": lambda i: i + 1,
        "y": lambda i: "" if i == 7 else numbers(i),
    }
    new, _ = init(table("", "x", "y", **cells, x=numbers))

    assert left_out(new) == {"column_1": "index: it numbers the rows; take it off this list to train on it"}
