"""Where a program's numbers end: the call from which on its outputs hold NaN or infinities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from likewise.producer.port.evidence import outputs_of
from likewise.producer.port.exchanged import RecordedCall


def where_numbers_end(calls: Sequence[RecordedCall]) -> str | None:
    """Return which call gives the first that are none, in words; None where all outputs are finite.

    That is the first with a NaN, or the first of those right before it that hold infinities: further away
    they are those of a mask that is added to scores.
    """
    outputs = outputs_of(calls).values()
    if all(np.isfinite(one).all() for one in outputs):
        return None
    is_none = np.isnan if any(np.isnan(one).any() for one in outputs) else np.isinf
    place = next(place for place, one in enumerate(calls) if is_none(one.left).any())
    while place and not np.isfinite(calls[place - 1].left).all():
        place -= 1
    call = calls[place]
    word, many = (
        ("NaN", np.isnan(call.left).sum())
        if np.isnan(call.left).any()
        else ("infinite", np.isinf(call.left).sum())
    )
    at = f" at {call.line}" if call.line else ""
    return (
        f"{many} of {call.left.size} that leave {call.path or call.kind}{at} are {word}, the first to be so"
    )
