"""YAML and JSON text: what it reads as, and what is refused."""

from __future__ import annotations

import math
import time

import pytest

from likewise.producer.job import jobtext


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("-3", -3),
        ("+4", 4),
        ("010", 10),
        ("true", True),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2026-11-23", "2026-11-23"),
        ("1_000", "1_000"),
        ("'1'", "1"),
        ("~", None),
        ("''", ""),
        ("-.inf", -math.inf),
        ("[1, two, 3.0]", [1, "two", 3.0]),
        ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("9223372036854775808", 9223372036854775808.0),
    ],
)
def test_yaml_means_what_it_looks_like(text: str, value: object) -> None:
    read = jobtext.read_yaml(text)

    assert read == value
    assert type(read) is type(value)


def test_an_alias_stands_for_a_copy_of_its_anchor() -> None:
    read = jobtext.read_yaml("a: &x {n: [1]}\nb: *x")

    assert read == {"a": {"n": [1]}, "b": {"n": [1]}}
    assert read["a"] is not read["b"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("a: 1\nb: 2\na: 3", 3, 'names "a" twice'),
        ("a: {b: 1, b: 2}", 1, 'names "b" twice'),
        ("[1]: 2", 1, "key that is not a word"),
        ("a: !!python/object/apply:os.system [ls]", 1, "uses the YAML tag"),
        ("a: !mine 1", 1, "uses the YAML tag"),
        ("a: *b", 1, "stands for nothing"),
        ("a: &a [*a]", 1, "stands for nothing"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("a: b: c", 1, "is not YAML"),
        ("a:\n\t- 1", 2, "is not YAML"),
        ("[1, 2", 2, "is not YAML"),
        ("", None, "is empty"),
        ("# nothing but words", None, "is empty"),
        ("[" * 100 + "]" * 100, 1, "nested too deeply"),
        ("a: \x07", None, "is not YAML"),
    ],
)
def test_text_that_is_no_job_file_is_refused_with_its_line(text: str, line: int | None, message: str) -> None:
    with pytest.raises(jobtext.TextError, match=message) as caught:
        jobtext.read_yaml(text)

    assert caught.value.line == line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1, "a": 2}', 'names "a" twice'),
        ("{a: 1}", "is not JSON"),
        ("[" * 200_000, "nested too deeply"),
        ("[" + "1," * jobtext.MAX_VALUES + "1]", "has more than 2,000,000 values"),
    ],
)
def test_json_that_is_no_job_file_is_refused(text: str, message: str) -> None:
    with pytest.raises(jobtext.TextError, match=message):
        jobtext.read_json(text)


def test_a_number_of_thousands_of_digits_reads_as_infinite_and_not_as_an_hour_of_work() -> None:
    assert jobtext.read_yaml("9" * 5000) == math.inf
    assert jobtext.read_json("9" * 5000) == math.inf


def test_a_bomb_of_aliases_is_refused_within_seconds() -> None:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 30)]
    started = time.monotonic()

    with pytest.raises(jobtext.TextError, match="more than 2,000,000 values, aliases"):
        jobtext.read_yaml("\n".join(lines))

    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\xff\xfea\x00", "UTF-16"),
        (b"a: 1\nb: \xe9", "is not UTF-8 text"),
        (b"\x7fELF\0\0", "binary file"),
        (b" " * (jobtext.MAX_BYTES + 1), "larger than a job file may be"),
    ],
)
def test_bytes_that_are_no_text_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(jobtext.TextError, match=message):
        jobtext.decode(data)


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert jobtext.decode(b"\xef\xbb\xbfa: 1") == "a: 1"
