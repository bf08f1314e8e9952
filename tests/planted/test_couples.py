"""Jobs in two wordings that compute the same agree and say so, and near misses differ, by their values."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.planted.couples import Pair, pairs

EVERY = int(os.environ.get("LIKEWISE_EVERY_COUPLE", "4"))
"""One of so many is trained; `make parity` asks for each."""


@pytest.mark.parametrize("pair", pairs()[::EVERY], ids=lambda pair: pair.name)
def test_a_couple_is_judged_by_what_it_computes(pair: Pair, likewise: Any, record: Any) -> None:
    said = likewise("compare", pair.document)
    noted = [note["code"] for note in said["notes"]]
    wanted = "agree" if pair.agrees else "differ"
    right = said["verdict"] == wanted and (not pair.agrees or "written_differently" in noted)
    record("couples", couple=pair.name, verdict=said["verdict"], agrees=pair.agrees, right=right)

    assert said["verdict"] == wanted, said["reasons"]
    if pair.agrees:
        assert "written_differently" in noted
    if pair.values:
        assert said["reasons"][0].startswith("By what is declared they compute the same, and they do not: ")
    divergence = said["first_divergence"]
    assert divergence is None or pair.only, divergence["sentence"]
