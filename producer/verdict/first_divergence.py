"""The first divergence of two replays: where it is, both values, and a sentence. Pure.

Which tensor it is `producer.verdict.parting` finds from fingerprints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from likewise.producer.display import both, count, gap, number
from likewise.producer.verdict.models import FirstDivergence, ReplayFindings
from likewise.producer.verdict.parting import Parting, Replayed, first_parting, largest_gap, layers_apart
from likewise.producer.verdict.relations import relation
from likewise.shared.job.experiment import Precision
from likewise.shared.program import ProgramSpec
from likewise.shared.results.seed_table import Load
from likewise.shared.results.step_trace import Trace
from likewise.shared.store.arrays import ArrayRef


@dataclass(frozen=True, kw_only=True)
class Replays:
    """It holds one seed replayed in two sides and, with whole tensors, the step where they part."""

    seed: int
    pair: tuple[Replayed, Replayed]
    """The fingerprints of the reference and of the other side."""
    kept: Mapping[str, Trace]
    """The traces with whole tensors, by side; empty where they were not taken."""
    precision: Precision
    one_of_several: bool = False
    """Whether there are further sides, so that a sentence has to name these two."""

    @property
    def names(self) -> tuple[str, str]:
        """The labels of the reference and of the other side."""
        return self.pair[0].side, self.pair[1].side


def traced(
    replays: Replays, *, programs: Mapping[str, ProgramSpec], arrays: Load, tolerance: float, alike: float
) -> ReplayFindings:
    """Return what the replays show. `programs` has what each side trains.

    `tolerance` is that of fingerprints. Layers that were fed the same count as equal within `alike`.
    """
    parting = first_parting(*replays.pair, arrays=arrays, tolerance=tolerance)
    at_rest = _at_rest(replays)
    if parting is None:
        return ReplayFindings(notes=(f"{_found_nothing(replays)}{at_rest}",))
    found = _measured(replays, parting, arrays=arrays, alike=alike)
    sentence = f"{_sentence(found, programs, who=_who(replays))}{at_rest}"
    return ReplayFindings(divergences=(found.model_copy(update={"sentence": sentence}),))


def _measured(replays: Replays, parting: Parting, *, arrays: Load, alike: float) -> FirstDivergence:
    names = replays.names
    refs = {name: _tensor(replays, name, parting) for name in names}
    divergence = FirstDivergence(
        seed=replays.seed,
        step=parting.step,
        stage=parting.stage,
        tensor=parting.tensor,
        relative_difference=None,
        reference=names[0],
        other=names[1],
        problem=parting.problem,
        precision=replays.precision,
        given_start=replays.pair[1].trace.given_start,
        learning_rates=_learning_rates(replays, parting),
        batches=_batches(replays, parting),
        sentence="",
    )
    changes: dict[str, object] = {}
    a, b = refs.get(names[0]), refs.get(names[1])
    if a is not None and b is not None:
        if a.shape != b.shape:
            changes["problem"] = f"its shape is {_shape(a)} in {names[0]} and {_shape(b)} in {names[1]}"
            changes["shapes"] = {names[0]: a.shape, names[1]: b.shape}
        elif all(a.shape):
            largest = largest_gap(arrays(a), arrays(b))
            changes |= {
                "relative_difference": largest.relative,
                "index": largest.index,
                "values": dict(zip(names, largest.values, strict=True)),
                "relation": relation(arrays(a), arrays(b)),
            }
    other = replays.kept.get(names[1])
    if other is not None and names[0] in replays.kept:
        outputs = replays.kept[names[0]].kept.get("forward", {})
        changes["layers_fed_alike"] = tuple(other.refed)
        changes["layers_apart"] = tuple(layers_apart(outputs, other.refed, arrays=arrays, tolerance=alike))
    return divergence.model_copy(update=changes)


def _tensor(replays: Replays, name: str, parting: Parting) -> ArrayRef | None:
    if parting.step == 0:
        trace = next(one.trace for one in replays.pair if one.side == name)
        return trace.start_weights.get(parting.tensor)
    if name not in replays.kept:
        return None
    return replays.kept[name].kept.get(parting.stage, {}).get(parting.tensor)


def _learning_rates(replays: Replays, parting: Parting) -> dict[str, float]:
    rates = {}
    for one in replays.pair:
        known = dict(zip(one.trace.steps, one.trace.learning_rates, strict=True))
        ended = one.batches_of(parting.step)
        if ended and ended[-1] in known:
            rates[one.side] = known[ended[-1]]
    return rates


def _batches(replays: Replays, parting: Parting) -> dict[str, int]:
    """Return how many batches make the update in each side, where the sides gather them otherwise."""
    if not parting.step or replays.pair[0].ends is None:
        return {}
    return {one.side: len(one.batches_of(parting.step)) for one in replays.pair}


def _who(replays: Replays) -> str:
    """Return what the two are called in a sentence: `They`, where there are no others."""
    return " and ".join(replays.names) if replays.one_of_several else "They"


def _at_rest(replays: Replays) -> str:
    """Say of which weights the replay took the gradients for zero, if of any."""
    names = replays.pair[1].trace.zero_gradients
    if not names:
        return ""
    if len(names) == 1:
        return f" The gradient of {names[0]} is nothing but rounding, and the replay took it for zero."
    return f" The gradients of {both(list(names))} are nothing but rounding; the replay took them for zero."


def _found_nothing(replays: Replays) -> str:
    traces = [one.trace for one in replays.pair]
    of = f" of {' and '.join(replays.names)}" if replays.one_of_several else ""
    laid_open = f"A replay{of} that laid {count(len(traces[0].steps), 'update')} open"
    if all(trace.finished for trace in traces):
        return f"{laid_open}, to the end of the training, found no tensor that differs."
    later = "" if replays.one_of_several else ": they part later than it went"
    last = f"the last of them update {traces[0].steps[-1]:,}"
    return f"{laid_open}, {last}, found no tensor that differs{later}."


def _sentence(found: FirstDivergence, programs: Mapping[str, ProgramSpec], *, who: str) -> str:
    what = _what(found, programs)
    sentence = f"{who} {_where(found)}{_equal_so_far(found)}{what}{_values(found)}."
    sentence += f"{_related(found)}{_rates(found)}{_alone(found, programs)}"
    if found.given_start and found.step:
        sentence += (
            f" They do not start alike, so both were given {found.reference}'s initial weights for this."
        )
    elif found.given_start:
        sentence += " That is all: from the same weights they train alike."
    return sentence


def _where(found: FirstDivergence) -> str:
    if found.step == 0:
        return f"part before the first update (seed {found.seed}): "
    after = {
        "data": "in the data",
        "forward": "in the forward pass",
        "loss": "in the loss",
        "backward": "in the backward pass",
        "update": "in the update",
        "evaluation": "after it, in inference mode",
    }[found.stage]
    made = [f"{batches:,} in {side}" for side, batches in found.batches.items()]
    of = f", whose batches are {both(made)}" if made else ""
    return f"first part at update {found.step:,} (seed {found.seed}){of}, {after}: "


def _equal_so_far(found: FirstDivergence) -> str:
    if found.batches:
        return "the updates before it end with the same weights, " if found.step > 1 else ""
    return {
        "data": "",
        "forward": "" if found.step == 0 else "the batch is the same, ",
        "loss": "the model's outputs are equal, ",
        "backward": "outputs and loss are equal, ",
        "update": "outputs, loss and gradients are equal, ",
        "evaluation": "the training is equal, ",
    }[found.stage]


def _what(found: FirstDivergence, programs: Mapping[str, ProgramSpec]) -> str:
    stages = (stage for program in programs.values() for stage in program.stages)
    kinds = dict.fromkeys(stage.kind for stage in stages if stage.path == found.tensor)
    named = {
        "data": {
            "indices": "the batch's samples",
            "x": "the inputs x",
            "y": "the targets y",
            "sample_weights": "the sample weights",
        }.get(found.tensor),
        "forward": f"the output of {found.tensor} ({' or '.join(kinds)})",
        "loss": "the loss" if found.tensor == "loss" else f"the loss of {found.tensor.removesuffix('.loss')}",
        "backward": f"the gradient of {found.tensor}",
    }
    if found.step == 0:
        return f"the initial {found.tensor}"
    if found.stage == "evaluation":
        return found.tensor.replace("_", " ")
    return named.get(found.stage) or found.tensor


def _values(found: FirstDivergence) -> str:
    if found.problem:
        return f" cannot be compared: {found.problem}"
    if not found.values:
        return " differs"
    verb = "are" if found.stage == "data" or found.tensor in ("outputs", "predictions") else "is"
    if found.stage == "update":
        verb = "becomes"
    digits = _digits(list(found.values.values()))
    values = both([f"{_told(value, digits)} in {name}" for name, value in found.values.items()])
    place = f", {_place(found)}" if found.index and found.stage != "loss" else ""
    difference = found.relative_difference
    size = f" (relative difference {gap(difference)})" if found.tensor != "indices" else ""
    return f" {verb} {values}{place}{size}"


def _place(found: FirstDivergence) -> str:
    """Return such as `at [2, 7]`, or `in row 3, column 8` where the first axis counts samples."""
    if (found.stage in ("data", "forward") and found.step > 0) or found.tensor in ("outputs", "predictions"):
        row, *rest = (place + 1 for place in found.index)
        return f"in row {row}" + (f", column {rest[0]}" if len(rest) == 1 else f" at {rest}" if rest else "")
    return f"at {list(found.index)}"


def _digits(values: list[float | None]) -> int:
    """Return as many significant digits as tell the values apart, and three more."""
    for digits in range(3, 15):
        if len({_told(value, digits) for value in values}) > 1:
            return min(digits + 2, 17)
    return 17


def _told(value: float | None, digits: int) -> str:
    return "no number" if value is None else f"{value:.{digits}g}"


def _related(found: FirstDivergence) -> str:
    """Name a usual porting mistake that the whole tensors show, if any."""
    if found.relation is None:
        return ""
    return f" All of it is {found.reference}'s, {found.relation}."


def _rates(found: FirstDivergence) -> str:
    if found.stage != "update" or len(set(found.learning_rates.values())) < 2:
        return ""
    rates = [f"{number(rate)} in {name}" for name, rate in found.learning_rates.items()]
    return f" The learning rate of this update is {both(rates)}."


def _alone(found: FirstDivergence, programs: Mapping[str, ProgramSpec]) -> str:
    """Say what layers give that were fed the same weights and inputs in both sides."""
    if not found.layers_fed_alike or found.shapes:
        return ""
    others = [path for path in found.layers_apart if path != found.tensor]
    if others:
        too = "too" if found.tensor in found.layers_apart else "all the same"
        verb = "differs" if len(others) == 1 else "differ"
        return f" Fed with the same weights and inputs, {both(others)} {verb}, {too}."
    if found.stage in ("forward", "data"):
        return _equal_alone(found, programs)
    return ""


def _equal_alone(found: FirstDivergence, programs: Mapping[str, ProgramSpec]) -> str:
    """Say that the layers which could be fed alike give the same, and which ones could not be."""
    known = (stage.path for program in programs.values() for stage in program.stages)
    apart = {*found.layers_fed_alike, *found.layers_apart}
    unfed = [path for path in dict.fromkeys(known) if path not in apart]
    if unfed:
        fed = list(found.layers_fed_alike)
        verb = "gives" if len(fed) == 1 else "give"
        return (
            f" Fed with the same weights and inputs, {both(fed)} {verb} the same; {both(unfed)} could not be "
            "fed so."
        )
    others_than = "every other layer" if found.tensor in found.layers_apart else "every layer"
    return f" Fed with the same weights and inputs, {others_than} gives the same."


def _shape(ref: ArrayRef) -> str:
    return "×".join(map(str, ref.shape)) or "scalar"
