"""What is read of short documents."""

from __future__ import annotations

from likewise.shared.frozen import SHORT_BYTES, Frozen, read_short


class Said(Frozen):
    """A document of one number."""

    number: int


def test_a_short_document_is_read() -> None:
    assert read_short(Said, b'{"number": 3}') == Said(number=3)


def test_what_is_another_model_s_is_not_read() -> None:
    assert read_short(Said, b'{"numbers": 3}') is None


def test_a_long_document_of_what_is_short_is_not_read() -> None:
    assert read_short(Said, b'{"number": 3}' + b" " * SHORT_BYTES) is None
