"""What a training keeps between blocks, as a flat mapping of arrays: names joined by dots.

Whoever keeps something has `state()`, a copy of it, and `load_state()`, after which it goes on as if it
had come there by itself. What follows from the job and the number of updates is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

State = Mapping[str, NDArray[Any]]


def joined(**parts: State) -> State:
    """The states of several parts as one."""
    return {f"{part}.{name}": array for part, state in parts.items() for name, array in state.items()}


def part_of(state: State, part: str) -> State:
    """What `joined` put under that name."""
    begin = f"{part}."
    return {name.removeprefix(begin): array for name, array in state.items() if name.startswith(begin)}
