"""What is known of two models whose lists of layers are not the same. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from likewise.producer.display import setting
from likewise.shared.job.layers.recurrent import Bidirectional
from likewise.shared.job.layers.space import Cropping
from likewise.shared.job.layers.windows import by_side
from likewise.shared.program import ProgramSpec, Stage
from likewise.shared.program.addresses import pair_up

LAYERS = "model.layers"
FEW_LAYERS = 4
"""Lists of so many layers are shown whole."""


def in_another_order(mine: Sequence[Any], theirs: Sequence[Any]) -> bool:
    """Return whether two lists of layers' types have the same types in another order."""
    return mine != theirs and sorted(map(str, mine)) == sorted(map(str, theirs))


def in_short(values: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return lists of layers' types as text: of long ones what differs, with a layer on either side."""
    lists = list(values.values())
    begin, end = 0, 0
    if max(map(len, lists)) > FEW_LAYERS:
        begin = max(0, _alike(lists) - 1)
        end = max(0, _alike([one[begin + 1 :][::-1] for one in lists]) - 1)
    return {side: _shown(one, begin, len(one) - end) for side, one in values.items()}


def in_words(path: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Return each side's value of a setting as text."""
    if path.partition(",")[0] == LAYERS and all(isinstance(value, list) for value in values.values()):
        return in_short(values)
    return {side: setting(value) for side, value in values.items()}


def _alike(lists: Sequence[Sequence[str]]) -> int:
    """Return how many first layers are the same in all lists."""
    fewest = min(map(len, lists))
    return next((at for at in range(fewest) if len({one[at] for one in lists}) > 1), fewest)


def _shown(kinds: Sequence[str], begin: int, end: int) -> str:
    words = [*["…"] * (begin > 0), *map(json.dumps, kinds[begin:end]), *["…"] * (end < len(kinds))]
    return f"[{', '.join(words)}]"


def remarks(values: Mapping[str, Any], programs: Mapping[str, ProgramSpec]) -> Iterator[str]:
    """Yield clauses on what follows from other layers; `values` has the types of the layers by side."""
    lists = list(values.values())
    if all(isinstance(one, list | tuple) for one in lists) and in_another_order(lists[0], lists[-1]):
        yield "the same kinds of layers stand in another order"
    known = [programs[side] for side in values if side in programs]
    if len(known) > 1 and len({_cuts_both_directions(one) for one in known}) > 1:
        yield (
            "the last step of a bidirectional sequence is not what the layer gives without return_sequences: "
            "backwards, that step has seen one step alone"
        )
    if not all(pair_up(known[0], other) for other in known[1:]):
        yield "not all their weights could be paired, so that layers may start from others"


def _cuts_both_directions(program: ProgramSpec) -> bool:
    """Return whether the last step is cut off the sequence of a bidirectional layer."""
    return any(map(_takes_the_last_step, program.stages, program.stages[1:]))


def _takes_the_last_step(stage: Stage, behind: Stage) -> bool:
    sequence = isinstance(stage.layer, Bidirectional) and stage.layer.layer.return_sequences
    if not (sequence and isinstance(behind.layer, Cropping)):
        return False
    return by_side(behind.layer.cropping, behind.layer.axes) == ((stage.output[0] - 1, 0),)
