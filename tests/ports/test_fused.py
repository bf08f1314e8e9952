"""One matrix for query, key and value against three, and a dense layer over patches against a convolution."""

from __future__ import annotations

import pytest

from .conftest import Check

QKV = ("        q, k, v = (t.view", "        k, q, v = (t.view")
OF_KERAS = ("        q, k, v = split", "        k, q, v = split")
COLUMNS_FIRST = (".permute(0, 1, 3, 2, 4, 5)", ".permute(0, 1, 3, 4, 2, 5)")
CHANNELS_FIRST = (".permute(0, 1, 3, 2, 4, 5)", ".permute(0, 1, 3, 5, 2, 4)")
OTHER_GRID = (".flatten(2)", ".transpose(2, 3).flatten(2)")


@pytest.mark.parametrize("name", ["vit", "patches"])
def test_a_right_port_is_proved_weight_by_weight(check: Check, name: str) -> None:
    found = check(name)
    assert found.agrees, found.next
    assert {row.status for row in found.mapping} == {"proved"}
    assert any("taken as query, key and value" in note for note in found.notes)
    assert [rung.status for rung in found.rungs if rung.name != "data"] == ["holds"] * 8


@pytest.mark.parametrize(("name", "side", "edit"), [("vit", "torch", QKV), ("patches", "keras", OF_KERAS)])
def test_thirds_in_another_order_are_found(check: Check, name: str, side: str, edit: tuple[str, str]) -> None:
    found = check(name, side=side, edits=(edit,))
    assert [rung.name for rung in found.rungs if rung.status == "fails"] == ["mapping"]
    assert f"of {side} are used as key, query and value" in found.next
    assert side in found.findings[0].lines


@pytest.mark.parametrize(
    ("edit", "order"),
    [(COLUMNS_FIRST, "columns, rows and channels"), (CHANNELS_FIRST, "channels, rows and columns")],
)
def test_patches_that_are_flattened_in_another_order_are_found(
    check: Check, edit: tuple[str, str], order: str
) -> None:
    found = check("patches", side="torch", edits=(edit,))
    assert not found.agrees
    assert f"torch flattens its patches by {order}" in found.next


def test_targets_that_one_loss_leaves_out_are_named(check: Check) -> None:
    edit = ("cross_entropy(outputs, targets)", "cross_entropy(outputs, targets, ignore_index=2)")
    found = check("mlp", side="torch", edits=(edit,))
    loss = next(rung for rung in found.rungs if rung.name == "loss")
    assert "torch leaves out the targets that are 2," in loss.text
    assert "as padding, and keras counts them" in loss.text
