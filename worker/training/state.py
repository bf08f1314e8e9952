"""The state of a training between blocks, as a flat mapping of arrays: names joined by dots.

Whatever has a state has `state()`, which returns a copy, and `load_state()`, after which it goes on as if it
had come there by itself. What follows from the job and the number of updates is not part of the state.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.adapters.base import State


def joined(**parts: State) -> State:
    """The states of several parts as one."""
    return {f"{part}.{name}": array for part, state in parts.items() for name, array in state.items()}


def part_of(state: State, part: str) -> State:
    """What `joined` put under that name."""
    begin = f"{part}."
    return {name.removeprefix(begin): array for name, array in state.items() if name.startswith(begin)}


def stacked(states: Sequence[State]) -> State:
    """Stack states of the same names, each of numbers or rows (n,), into one state of few arrays."""
    return {
        f"{name}.{kind}": array
        for name in states[0]
        for rows in [[np.atleast_1d(state[name]) for state in states]]
        for kind, array in (
            ("lengths", np.array([len(row) for row in rows], np.int64)),
            ("values", np.concatenate(rows)),
        )
    }


def unstacked(state: State) -> list[State]:
    """What `stacked` was given; a number comes back as a row of one."""
    rows = {
        name.removesuffix(".lengths"): np.split(
            state[f"{name.removesuffix('.lengths')}.values"], np.cumsum(lengths)[:-1]
        )
        for name, lengths in state.items()
        if name.endswith(".lengths")
    }
    return [dict(zip(rows, each, strict=True)) for each in zip(*rows.values(), strict=True)]


def document(value: Any) -> NDArray[np.uint8]:
    """A JSON value as an array of its bytes."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def read_document(array: NDArray[Any]) -> Any:
    """What `document` was given."""
    return json.loads(array.tobytes())
