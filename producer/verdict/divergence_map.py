"""How far two traced replays are apart, tensor by tensor and update by update. Pure.

Where `parting` asks which tensor differs first, this keeps every difference, to show how one spreads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from likewise.producer.verdict.parting import STAGES, VANISHING
from likewise.shared.results.seed_table import Load
from likewise.shared.results.step_trace import LARGEST, PROJECTIONS, Stage, StepTensor, Trace

_SHOWN: tuple[Stage, ...] = ("forward", "loss", "backward", "update")


@dataclass(frozen=True, kw_only=True, eq=False)
class DivergenceMap:
    """It has the relative difference of each tensor in each update that both replays observed."""

    reference: str
    other: str
    seed: int
    tolerance: float
    steps: tuple[int, ...]
    tensors: tuple[tuple[Stage, str], ...]
    """The tensors in the order of a step."""
    apart: NDArray[np.float64]
    """The differences (tensors, steps), relative to the reference's largest value; 0 where the fingerprints
    are the same, NaN where they cannot be compared."""


def divergence_map(
    sides: tuple[str, str], traces: tuple[Trace, Trace], *, seed: int, tolerance: float, arrays: Load
) -> DivergenceMap | None:
    """Return the differences of two replays of one seed; None where they have no tensor or update in common.

    Args:
        sides: The labels of the reference and of the other side.
        traces: The replays of both.
        seed: The seed that both trained.
        tolerance: What counts as equal.
        arrays: Gives the array of a reference.
    """
    one, two = traces
    steps = [step for step in one.steps if step in set(two.steps)]
    keys = [_key(place) for place in one.places if place.stage in _SHOWN]
    keys = [key for key in keys if key in {_key(place) for place in two.places}]
    keys.sort(key=lambda key: STAGES.index(key[0]))
    if not steps or not keys:
        return None
    mine, theirs = (_rows(trace, keys, steps, arrays) for trace in traces)
    largest = np.maximum.accumulate(mine[:, :, LARGEST], axis=1)
    gradient = max((largest[row].max() for row, key in enumerate(keys) if key[0] == "backward"), default=0.0)
    floors = np.array([[VANISHING * gradient if key[0] == "backward" else 0.0] for key in keys])
    scale = np.maximum(largest, floors)
    with np.errstate(all="ignore"):
        distance = np.max(np.abs(mine[:, :, :PROJECTIONS] - theirs[:, :, :PROJECTIONS]), axis=2)
        apart = np.where(distance == 0, 0.0, distance / np.where(scale > 0, scale, theirs[:, :, LARGEST]))
    return DivergenceMap(
        reference=sides[0], other=sides[1], seed=seed, tolerance=tolerance, steps=tuple(steps),
        tensors=tuple(keys), apart=np.where(np.isfinite(apart), apart, np.nan),
    )  # fmt: skip


def _key(place: StepTensor) -> tuple[Stage, str]:
    return place.stage, place.tensor


def _rows(trace: Trace, keys: list[tuple[Stage, str]], steps: list[int], arrays: Load) -> NDArray[np.float64]:
    """Return the fingerprints (tensors, steps, numbers)."""
    places = {_key(place): column for column, place in enumerate(trace.places)}
    at = {step: row for row, step in enumerate(trace.steps)}
    table: NDArray[np.float64] = arrays(trace.table)
    chosen: NDArray[np.float64] = table[[at[step] for step in steps]][:, [places[key] for key in keys]]
    return chosen.transpose(1, 0, 2)
