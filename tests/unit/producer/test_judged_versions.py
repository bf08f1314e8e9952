"""What a bisection has judged is found again by what its verdict rests on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.producer import judged_versions
from likewise.producer.experiments import prepare_given
from likewise.producer.job.prepare import PreparedExperiment
from likewise.producer.judged_versions import key_of

SIDES = {
    "reference": {"framework": "torch", "version": "2.12.0"},
    "candidate": {"framework": "torch", "version": "2.13.0"},
}


def prepared(*settings: str, sides: dict[str, Any] = SIDES) -> PreparedExperiment:
    return prepare_given("matched", settings, None, sides)


def test_the_same_job_in_the_same_versions_has_one_key() -> None:
    assert key_of(prepared()) == key_of(prepared())


def test_another_setting_or_version_has_another_key() -> None:
    other = {**SIDES, "candidate": {"framework": "torch", "version": "2.12.1"}}
    keys = {key_of(prepared()), key_of(prepared("training.epochs=3")), key_of(prepared(sides=other))}
    assert len(keys) == 3


def test_other_samples_behind_the_same_job_have_another_key() -> None:
    one = prepared()
    run = one.runs["candidate"]
    x = np.array(run.data.train.x)
    x.flat[0] += 1
    data = replace(run.data, train=replace(run.data.train, x=x))
    other = replace(one, runs={**one.runs, "candidate": replace(run, data=data)})
    assert key_of(other) != key_of(one)


def test_other_code_of_likewise_has_another_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = key_of(prepared())
    monkeypatch.setattr(judged_versions, "whole_fingerprint", lambda: str(tmp_path))
    assert key_of(prepared()) != before
