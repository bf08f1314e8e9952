"""The order in which settings are switched where time allows few, by the place where a replay parts. Pure.

A setting acts at a place of an update: a loss at the loss, a layer's field at that layer's output. One that
acts where the sides first part is a cause, and comes first. One that acts earlier in every update, and has
parted nothing there, does nothing that shows, and comes last. What acts later is open. Among settings of
which no more is known, those come first that change a training most by what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from likewise.producer.blame.factors import Factor, Path
from likewise.producer.verdict.parting import STAGES, Parting
from likewise.shared.job import Job
from likewise.shared.results.step_trace import Stage

IS_A_CAUSE, MAY_BE_ONE, IS_OPEN, SHOWS_NOTHING = range(4)


@dataclass(frozen=True, kw_only=True)
class _Place:
    """It says where a setting acts first in an update."""

    stage: Stage
    layer: int | None = None
    """The layer that acts by it; None where it is no layer's, or any that comes later."""
    from_step: int = 1
    """The first update in which it can act; before the first update is 0."""
    always: bool = True
    """Whether it acts in every update from there on, whatever the numbers are."""
    beside: bool = False
    """Whether the place is that of other settings above all, so that these come first."""


_OF_A_LAYER = (
    ("_initializer", _Place(stage="forward", from_step=0)),
    ("activity_regularizer", _Place(stage="loss", beside=True)),
    ("_regularizer", _Place(stage="loss", beside=True)),
    ("_constraint", _Place(stage="update", always=False, beside=True)),
    ("trainable", _Place(stage="backward")),
    ("mask_zero", _Place(stage="forward", always=False)),
    ("mask_value", _Place(stage="forward", always=False)),
)
"""The ends of a layer's fields that do not act at its own output in every update."""
_SINCE_THE_SECOND = ("momentum", "momentum_convention", "beta_1", "beta_2", "rho", "amsgrad")
"""Fields of an optimizer of which the first update shows nothing, or need not."""
_OF_THE_TRAINING = {
    "batch_size": _Place(stage="data"),
    "shuffle": _Place(stage="data"),
    "shuffle_seed": _Place(stage="data"),
    "drop_last": _Place(stage="data", always=False),
    "epochs": _Place(stage="data", always=False),
    "early_stopping": _Place(stage="data", always=False),
    "evaluation_mode": _Place(stage="evaluation", always=False),
    "report_penalty": _Place(stage="evaluation", always=False),
    "epoch_loss": _Place(stage="evaluation", always=False),
}
_STATISTICS = (".moving_mean", ".moving_variance")
"""The ends of weights that no optimizer moves."""


def in_order(factors: Sequence[Factor], parting: Parting, job: Job) -> tuple[Factor, ...]:
    """Return the factors between two sides by what their replays show; `job` is the reference's."""
    return tuple(sorted(factors, key=lambda factor: _rank(factor, parting, job)))


def _rank(factor: Factor, parting: Parting, job: Job) -> tuple[int, bool, int]:
    """Return what is known of a factor, whether others come before it there, and since when it could act."""
    places = [place for path, _ in factor.edits if (place := _place(path, job)) is not None]
    layer = _layer(parting.tensor, job)
    ranks = []
    for place in places:
        known = _known(place, parting, layer)
        acts = known in (IS_A_CAUSE, MAY_BE_ONE)
        ranks.append((known, acts and place.beside, parting.step - place.from_step if acts else 0))
    return min(ranks, default=(IS_OPEN, False, 0))


def _known(place: _Place, parting: Parting, parted: int | None) -> int:
    """Return what a parting, in that layer if in any, says of a setting that acts at a place."""
    if parting.step == 0:
        if place.stage == "forward" and place.layer in (None, parted):
            return IS_A_CAUSE
        return MAY_BE_ONE if place.from_step == 0 else IS_OPEN
    if place.from_step == 0 or parting.step < place.from_step:
        return IS_OPEN  # a start that differs is given to both before they are replayed
    here = place.stage == parting.stage and (place.layer is None or place.layer == parted)
    if here and place.stage == "update" and parting.tensor.endswith(_STATISTICS):
        here = place.layer is not None
    if not place.always:
        since_now = place.from_step == parting.step > 1
        return IS_A_CAUSE if here and since_now else MAY_BE_ONE if here else IS_OPEN
    if here and (place.from_step == parting.step or place.stage == "data"):
        return IS_A_CAUSE
    before = STAGES.index(place.stage) < STAGES.index(parting.stage)
    if place.stage == parting.stage == "forward" and None not in (place.layer, parted):
        before = (place.layer or 0) < (parted or 0)
    return SHOWS_NOTHING if before or place.from_step < parting.step else IS_OPEN


def _layer(tensor: str, job: Job) -> int | None:
    """Return the layer that a tensor is of, by its output's or its weight's name."""
    paths = [job.model.layer_path(index) for index in range(len(job.model.layers))]
    of = [path for path in paths if tensor == path or tensor.startswith(f"{path}.")]
    return paths.index(max(of, key=len)) if of else None


def _place(path: Path, job: Job) -> _Place | None:
    """Return where the setting of a path acts; None where that is not known."""
    section, *rest = path
    word = str(rest[0]) if rest else ""
    found: _Place | None = None
    match section:
        case "data" | "loss":
            found = _Place(stage="data" if section == "data" else "loss")
        case "initial_weights":
            found = _Place(stage="forward", from_step=0)
        case "training" if word.startswith(("gradient_accumulation", "accumulation")):
            found = _Place(stage="update", always=False)
        case "training":
            found = _OF_THE_TRAINING.get(word)
        case "optimizer" if word == "use_ema" or word.startswith("ema_"):
            found = _Place(stage="evaluation", always=False)
        case "optimizer" if word in _SINCE_THE_SECOND:
            found = _Place(stage="update", from_step=2, always=False)
        case "optimizer":
            clips = word.startswith(("clip_", "global_clip_"))
            found = _Place(stage="update", always=not clips and word != "schedule", beside=clips)
        case "model" if len(rest) > 2 and isinstance(rest[1], int):
            found = _of_a_layer(rest[1], str(rest[2]), job)
    return found


def _of_a_layer(index: int, word: str, job: Job) -> _Place:
    for end, place in _OF_A_LAYER:
        if word.endswith(end):
            anywhere = place.stage == "loss" or word.startswith("mask_")
            return place if anywhere else replace(place, layer=index)
    if job.model.layers[index].type == "batch_norm" and word in ("momentum", "moving_variance"):
        return _Place(stage="update", layer=index)
    return _Place(stage="forward", layer=index)
