"""What a program calls the arrays of a batch."""

from __future__ import annotations

from likewise.producer.port.inputs import name_inputs

BERT = ["input_ids", "attention_mask", "token_type_ids", "position_ids"]


def test_the_user_s_word_comes_first() -> None:
    found = name_inputs("torch", ["a", "b"], ["x", "y"], {"a": "y", "b": "x"})
    assert (found.own, found.note) == ({"a": "y", "b": "x"}, None)


def test_equal_names_and_a_lone_input_need_no_word() -> None:
    assert name_inputs("torch", ["y", "x"], ["x", "y", "z"], {}).own == {}
    assert name_inputs("torch", ["tokens"], ["x", "y"], {}).note is None
    assert name_inputs("torch", ["a", "b"], None, {}).note is None


def test_words_of_the_field_pair_in_whatever_order() -> None:
    found = name_inputs("torch", ["token_ids", "segment_ids", "padding_mask"], BERT, {})
    assert found.own == {
        "token_ids": "input_ids",
        "segment_ids": "token_type_ids",
        "padding_mask": "attention_mask",
    }
    assert found.note == (
        "torch was given token_ids as input_ids, segment_ids as token_type_ids and padding_mask as "
        "attention_mask"
    )


def test_other_names_go_by_order_and_it_is_said() -> None:
    found = name_inputs("torch", ["left", "right"], ["one", "two"], {})
    assert found.own == {}
    assert found.note == (
        'torch takes one, two; it was given left, right in this order (write inputs = {"left": "one", …} in '
        "its file where that is wrong)"
    )
