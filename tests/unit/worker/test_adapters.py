"""Adapters are found by folder or entry point, and what one lacks is refused in its own words."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from likewise.shared.job import Job
from likewise.shared.program import compile_job
from likewise.worker.adapters import adapter_names, load_adapter
from likewise.worker.adapters.base import BadShapeError, FrameworkAdapter, UnsupportedError
from likewise.worker.adapters.common import Programs

FOLDER = Path(__file__).resolve().parents[2] / "third_adapter"


@pytest.fixture
def third(monkeypatch: pytest.MonkeyPatch) -> FrameworkAdapter:
    """The adapter of `tests/third_adapter`, found by its entry point."""
    monkeypatch.setattr(sys, "path", [*sys.path, str(FOLDER)])
    adapter = load_adapter("numpy")
    adapter.start(device="cpu", threads=1)
    return adapter


def test_an_adapter_is_found_by_its_folder_or_by_an_entry_point(third: FrameworkAdapter) -> None:
    assert third.name == "numpy"
    assert adapter_names() == ("numpy", "tensorflow", "torch")


def test_a_name_that_no_adapter_has_is_refused_with_those_there_are() -> None:
    assert adapter_names() == ("tensorflow", "torch")
    with pytest.raises(ValueError, match="no adapter for 'numpy'; there are tensorflow, torch"):
        load_adapter("numpy")


def test_what_an_adapter_lacks_is_refused_in_its_own_words(
    third: FrameworkAdapter, job_of: Callable[..., Job]
) -> None:
    job = job_of()
    program = compile_job(job, (3,))
    third.check(job)
    nothing: Any = None
    for words, ask in {
        "does not lay an update open": lambda: third.observer(program, job),
        "has no program of many": lambda: third.build_ensemble(
            program, job, optimizers=[], weights={}, samples=nothing
        ),
        "compiles nothing": lambda: third.check(job_of(execution="compiled")),
    }.items():
        with pytest.raises(UnsupportedError, match=words):
            ask()


def test_an_adapter_without_initial_weights_of_its_own_refuses_a_job_that_wants_them(
    third: FrameworkAdapter, job_of: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(initial_weights="framework")
    third.check(job)
    monkeypatch.setattr(type(third), "lacks", {"default_weights": "it draws none"})
    with pytest.raises(UnsupportedError, match="it draws none"):
        third.check(job)


def test_the_reasons_that_hold_everywhere_need_no_framework(third: FrameworkAdapter) -> None:
    reasons = [third.reason_of(error) for error in (MemoryError(), BadShapeError(), NotImplementedError())]
    assert reasons == ["out_of_memory", "bad_shape", "unsupported"]
    assert third.reason_of(KeyError()) is None


def test_only_the_programs_used_last_are_kept() -> None:
    programs = Programs(most=2)
    assert not programs
    first, second = (programs.get(key, object) for key in (1, 2))
    assert programs.get(1, object) is first
    programs.get(3, object)
    assert programs.get(1, object) is first
    assert programs.get(2, object) is not second


def test_programs_are_told_apart_by_what_they_are_compiled_from(job_of: Callable[..., Job]) -> None:
    layers = [{"type": "lstm", "units": 2, "use_bias": True}, {"type": "dense", "units": 1}]
    one, same = (compile_job(job_of(model={"layers": layers}), (4, 3)) for _ in range(2))
    others = [
        compile_job(job_of(model={"layers": layers}), (5, 3)),
        compile_job(job_of(model={"layers": [layers[0], {"type": "dense", "units": 2}]}), (4, 3)),
        compile_job(job_of(model={"layers": layers}, loss="categorical_crossentropy"), (4, 3)),
        compile_job(job_of(model={"layers": [layers[0] | {"name": "cells"}, layers[1]]}), (4, 3)),
    ]
    assert hash(one) == hash(same)
    assert len({one, same, *others}) == 1 + len(others)
