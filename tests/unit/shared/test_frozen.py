"""What is read of short documents."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from likewise.shared.frozen import MOST_VALUES, SHORT_BYTES, Frozen, read_result, read_short


class Said(Frozen):
    """A document of one number."""

    number: int


def test_a_short_document_is_read() -> None:
    assert read_short(Said, b'{"number": 3}') == Said(number=3)


def test_what_is_another_model_s_is_not_read() -> None:
    assert read_short(Said, b'{"numbers": 3}') is None


def test_a_long_document_of_what_is_short_is_not_read() -> None:
    assert read_short(Said, b'{"number": 3}' + b" " * SHORT_BYTES) is None


def test_a_result_of_far_too_many_values_is_refused_by_their_number() -> None:
    document = b'{"number": [' + b"1," * MOST_VALUES + b'1], "more": 2}'

    with pytest.raises(ValidationError, match="has 1,000,001 values"):
        read_result(Said, document)
