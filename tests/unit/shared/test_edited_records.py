"""Records that were edited by hand are told as that, or are none; they end nothing."""

from __future__ import annotations

import pytest

from likewise.shared.errors import ResultError
from likewise.shared.ledger.reading import kept_of, record_of

RECORD = {
    "run_id": b"0123456789",
    "experiment_id": b"0123456789",
    "framework": b"torch",
    "queue": b"train.torch.any",
    "state": b"queued",
    "attempt": b"1",
    "fence": b"1",
    "submitted_s": b"1",
}


@pytest.mark.parametrize("field", ["attempt", "fence", "submitted_s", "claimed_s"])
@pytest.mark.parametrize("value", [b"nan", b"inf", b"1e999", b"x"])
def test_a_number_that_is_none_does_not_hide_a_run(field: str, value: bytes) -> None:
    found = record_of({**RECORD, field: value})
    assert found is not None
    assert getattr(found, field) in (0, None)


def test_bytes_that_are_no_text_are_no_record() -> None:
    assert record_of({**RECORD, "worker": b"\xff"}) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("submitted_s", b"x"),
        ("run_ids", b"{"),
        ("run_ids", b"1"),
        ("tags", b"["),
        ("note", b"\xff"),
        ("kind", b"\xff"),
    ],
)
def test_an_experiment_that_was_edited_is_told_as_that(field: str, value: bytes) -> None:
    document = (
        b'{"data": {"type": "inline", "x": [1, 2], "y": [1, 2]}, '
        b'"model": {"layers": [{"type": "dense", "units": 1}]}, '
        b'"loss": {"type": "mse"}, "optimizer": {"type": "sgd"}, "training": {"epochs": 1}}'
    )
    whole = {b"experiment": document, b"run_ids": b"[]", b"submitted_s": b"1"}
    assert kept_of("e", whole) is not None
    with pytest.raises(ResultError, match="experiment e cannot be read"):
        kept_of("e", {**whole, field.encode(): value})
