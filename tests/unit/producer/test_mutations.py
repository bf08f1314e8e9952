"""Spoiled job files: whatever is thrown at reading and preparing, only a LikewiseError comes back."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from likewise.producer.job import jobtext
from likewise.producer.job.examples import example_names, example_path
from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.prepare import prepare_experiment
from likewise.shared.errors import LikewiseError

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
TEXTS = [example_path(name).read_text(encoding="utf-8") for name in example_names()]
TEXTS += [(GOLDEN / "job.v1.yaml").read_text(encoding="utf-8")]
DOCUMENTS = [jobtext.read_yaml(text) for text in TEXTS]
DOCUMENTS += [jobtext.read_yaml((GOLDEN / "job-words.v1.json").read_text(encoding="utf-8"))]

SMALL = {k: v for k, v in DOCUMENTS[-1].items() if k != "initial_weights"}
SMALL |= {"loss": "mse", "model": {"layers": [{"type": "dense", "units": 1}]}}

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, 0, 1, 2, 7, 2**40, 2**62, -(2**63), 2**63, 10**400, 0.5, -0.0, 1e-320, 1e300, 1e39]),
    st.sampled_from([float("nan"), float("inf"), -float("inf")]),
    st.sampled_from(
        ["", "x", "mse", "adam", "dense", "shared", "values", "step", "csv", "0", "a.b", "..", "/", "\0"]
    ),
    st.sampled_from([[], {}, [[]], [{}], [None], {"type": None}, {"type": "x"}, {"type": "step"}, {"": {}}]),
    st.text(max_size=20),
    st.lists(st.floats() | st.integers(-3, 3) | st.text(max_size=3), max_size=4),
    st.sampled_from([d[k] for d in DOCUMENTS for k in ("data", "model", "loss", "optimizer", "training")]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, item in items for place in places(item, (*path, key))]


@st.composite
def spoiled(draw: st.DrawFn) -> Any:
    """A valid job file with one to four changes."""
    document = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 4))):
        if not places(document):
            break
        *above, key = draw(st.sampled_from(places(document)))
        here = document
        for part in above:
            here = here[part]
        change = draw(st.sampled_from(["replace", "replace", "remove", "rename", "add"]))
        if change == "replace":
            here[key] = copy.deepcopy(draw(JUNK))
        elif change == "remove":
            del here[key]
        elif change == "rename" and isinstance(here, dict):
            here[draw(st.text(max_size=5)) or f"{key}s"] = here.pop(key)
        elif isinstance(here, dict):
            here[draw(st.sampled_from(["type", "name", "units", "path", "x", "é\x1b[2J"]))] = copy.deepcopy(
                draw(JUNK)
            )
        else:
            here.append(copy.deepcopy(draw(JUNK)))
    return document


def survives(folder: Path, text: str, name: str, *set_values: str) -> None:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    message, status = ended(path, set_values)
    assert status in (0, 2)
    assert message.replace("\n", "").isprintable()
    assert not any(
        word in message for word in ("Traceback", "pydantic", "validation error", "tuple[", "[type=")
    )


def ended(path: Path, set_values: tuple[str, ...]) -> tuple[str, int]:
    """The message and the exit status; any other exception passes and fails the test."""
    try:
        prepare_experiment(read_experiment(str(path), set_values))
    except LikewiseError as error:
        return str(error), error.exit_status
    return "", 0


bounded = settings(
    max_examples=int(os.environ.get("LIKEWISE_TEST_MUTATIONS", "250")),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("jobs")
    (place / "houses.csv").write_bytes(example_path("houses").with_suffix(".csv").read_bytes())
    people = "age,height,income\n" + "".join(f"{20 + i},{1.5 + i / 100},{100 * i}\n" for i in range(40))
    (place / "people.csv").write_text(people, encoding="utf-8")
    return place


@pytest.mark.timeout(300)
@bounded
@given(document=spoiled())
@example(document={"data": {"type": "inline", "x": [10**400], "y": [1]}})
@example(document={"overrides": {"torch": {"data": None}}})
@example(document=SMALL | {"data": {"type": "csv", "path": "a\0b", "target": "y"}})
@example(
    document=SMALL
    | {
        "data": {"type": "inline", "x": [1e308, -1e308], "y": [1, 2], "standardize": True},
        "precision": "float64",
    }
)
@example(document=SMALL | {"data": {"type": "synthetic", "kind": "sine", "noise": 1e308}})
def test_a_spoiled_document_ends_in_a_message(folder: Path, document: Any) -> None:
    survives(folder, json.dumps(document), "job.json")


@pytest.mark.timeout(300)
@bounded
@given(
    text=st.sampled_from(TEXTS),
    at=st.floats(0, 1),
    removed=st.integers(0, 8),
    added=st.text(alphabet="{}[]:,-&*!|>'\"#%@`? \n\t0aé\u2028\x85", max_size=6),
)
def test_spoiled_text_ends_in_a_message(folder: Path, text: str, at: float, removed: int, added: str) -> None:
    start = int(at * len(text))
    survives(folder, text[:start] + added + text[start + removed :], "job.yaml")


@pytest.mark.timeout(300)
@bounded
@given(
    document=st.sampled_from(DOCUMENTS),
    index=st.integers(0, 10_000),
    tail=st.sampled_from(["", ".type", ".x", ".0", ".", ".name.name"]),
    value=JUNK,
    as_override=st.booleans(),
)
def test_any_set_or_override_ends_in_a_message(
    folder: Path, document: Any, index: int, tail: str, value: Any, as_override: bool
) -> None:
    every = places(document)
    path = ".".join(map(str, every[index % len(every)])) + tail
    if not as_override:
        survives(folder, json.dumps(document), "job.json", f"{path}={json.dumps(value)}")
        return
    changed = document | {"frameworks": ["torch"], "overrides": {"torch": {path: value}}}
    survives(folder, json.dumps(changed), "job.json")
