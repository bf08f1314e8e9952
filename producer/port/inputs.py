"""What each program calls the batch's arrays: by the user's word, by name, by the field's words, by order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from likewise.producer.display import both

_SAME = (
    ("token_ids", "input_ids", "tokens", "ids", "input_word_ids", "input_tokens"),
    ("segment_ids", "token_type_ids", "type_ids", "input_type_ids"),
    ("padding_mask", "attention_mask", "mask", "input_mask"),
    ("position_ids", "positions"),
    ("x", "inputs", "input", "images", "image", "pixel_values", "features"),
    ("decoder_token_ids", "decoder_input_ids", "target_ids"),
    ("decoder_padding_mask", "decoder_attention_mask", "target_mask"),
)
"""Names under which models of text and pictures take the same thing."""


@dataclass(frozen=True)
class InputNames:
    """What a program calls the arrays of a batch, and what was assumed."""

    own: Mapping[str, str]
    """The program's name by the batch's, of those that have another."""
    note: str | None = None


def name_inputs(
    label: str, names: Sequence[str], arguments: Sequence[str] | None, declared: Mapping[str, str]
) -> InputNames:
    """Return what a program calls the arrays `names` of a batch.

    `arguments` are the program's inputs in order, None where it takes any; `declared` is what its file says.
    """
    if declared or arguments is None or len(names) < 2 or all(name in arguments for name in names):
        return InputNames({name: own for name, own in declared.items() if name in names})
    found = {name: own for name in names if (own := _same(name, arguments)) is not None}
    if len(found) == len(names) and len(set(found.values())) == len(names):
        told = [f"{name} as {own}" for name, own in found.items() if name != own]
        return InputNames(found, f"{label} was given {both(told)}")
    given = ", ".join(names)
    taken = ", ".join(arguments[: len(names)])
    return InputNames(
        {},
        f"{label} takes {taken}; it was given {given} in this order (write inputs = "
        f'{{"{names[0]}": "{arguments[0]}", …}} in its file where that is wrong)',
    )


def _same(name: str, arguments: Sequence[str]) -> str | None:
    if name in arguments:
        return name
    group = next((words for words in _SAME if name in words), ())
    return next((one for one in arguments if one in group), None)
