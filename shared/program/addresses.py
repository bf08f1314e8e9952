"""Where the random numbers of a program are drawn: by its own layers' places, or where another program's are.

A weight is drawn at (layer, tensor) and a mask at its layer, counted over the layers with draws of their own.
A model that is written with one layer more, such as a pooling and a flatten for a global pooling, has its
later layers at other places. So that both ways to write it start alike, one takes the other's addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Annotated

from pydantic import Field, Strict

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Many
from likewise.shared.job.shape import ShapeError
from likewise.shared.job.weights import Constant, IdentityMatrix, Ones, Zeros
from likewise.shared.program.spec import Mask, ProgramSpec, Stage, Weight

Place = Annotated[int, Field(ge=0, lt=2**32)]
WITHOUT_DRAWS = (Zeros, Ones, Constant, IdentityMatrix)
"""Initializers that give a weight the same numbers wherever it is drawn."""


class DrawAddresses(Frozen):
    """It says where a program's random numbers are drawn, in place of where its own layers stand."""

    weights: Many[Annotated[tuple[Place, Place], Strict(False)]]
    """The layer and the tensor of each weight, in the program's order."""
    masks: Many[Place]
    """The layer of each dropout mask, in the program's order."""


def addresses_of(program: ProgramSpec) -> DrawAddresses:
    """Return where a program's random numbers are drawn."""
    return DrawAddresses(
        weights=tuple((weight.stage, weight.item) for weight in program.weights),
        masks=tuple(mask.index for mask in program.masks),
    )


def as_drawn_in(reference: ProgramSpec, program: ProgramSpec) -> DrawAddresses | None:
    """Return the addresses at which a program draws what the reference draws; None for those it has.

    Weights are paired by their names where both have the same ones in another order, as of branches that are
    listed in another. Else they are paired in their order where they have as many numbers each: all of them,
    or those alone that chance gives their numbers. Masks are paired so by themselves. What does not pair
    keeps its place.
    """
    own = addresses_of(program)
    paired = _weights_paired(reference, program) or {}
    weights = tuple(paired.get(place, address) for place, address in enumerate(own.weights))
    masks = tuple(mask.index for mask in _masks_paired(reference, program))
    found = DrawAddresses(weights=weights, masks=masks)
    return None if found == own else found


def _masks_paired(reference: ProgramSpec, program: ProgramSpec) -> Sequence[Mask]:
    """Return the mask of the reference for each of the program's; its own where they do not pair."""
    mine, theirs = ({mask.path: mask for mask in one.masks} for one in (reference, program))
    wanted = list(reference.masks)
    if _are_named_alike(list(mine), list(theirs)):
        wanted = [mine[path] for path in theirs]
    sizes = [[prod(mask.shape) for mask in some] for some in (wanted, program.masks)]
    return wanted if sizes[0] == sizes[1] else program.masks


def _are_named_alike(mine: Sequence[str], theirs: Sequence[str]) -> bool:
    """Return whether both have the same names in another order, none of which only says a layer's place."""
    if list(mine) == list(theirs) or sorted(mine) != sorted(theirs):
        return False
    moved = [one for one, other in zip(mine, theirs, strict=True) if one != other]
    return not any(one.startswith("layers.") for one in moved)


def _weights_paired(reference: ProgramSpec, program: ProgramSpec) -> dict[int, tuple[int, int]] | None:
    """Return the reference's address by the place of a weight in the program; None where none pairs."""
    named, others = ({one.name: one for one in each.weights} for each in (reference, program))
    if _are_named_alike(list(named), list(others)) and all(
        named[name].size == one.size for name, one in others.items()
    ):
        return {place: (named[name].stage, named[name].item) for place, name in enumerate(others)}
    everything = [list(enumerate(one.weights)) for one in (reference, program)]
    drawn = [[(place, one) for place, one in some if _is_drawn(one)] for some in everything]
    for theirs, own in (everything, drawn):
        if [one.size for _, one in theirs] == [one.size for _, one in own]:
            return {place: (one.stage, one.item) for (_, one), (place, _) in zip(theirs, own, strict=True)}
    return None


def _is_drawn(weight: Weight) -> bool:
    """Return whether chance gives a weight its numbers."""
    return not isinstance(weight.initializer, WITHOUT_DRAWS)


def pair_up(reference: ProgramSpec, program: ProgramSpec) -> bool:
    """Return whether the weights of two programs pair in order, and are drawn at the same addresses."""
    paired = _weights_paired(reference, program)
    own = addresses_of(program).weights
    return paired is not None and all(own[place] == address for place, address in paired.items())


def start_alike(reference: ProgramSpec, other: ProgramSpec) -> bool:
    """Return whether two programs draw the same numbers for their weights, whatever these are called."""
    names = [[weight.name for weight in one.weights] for one in (reference, other)]
    mine, theirs = list(_draws(reference)), list(_draws(other))
    if _are_named_alike(*names):
        return dict(zip(names[0], mine, strict=True)) == dict(zip(names[1], theirs, strict=True))
    return mine == theirs


def _draws(program: ProgramSpec) -> Iterator[object]:
    for one in program.weights:
        address = (one.stage, one.item) if _is_drawn(one) else None
        yield one.shape, one.initializer, one.fan_in, one.fan_out, one.ones, address


def drawn_at(program: ProgramSpec, addresses: DrawAddresses) -> ProgramSpec:
    """Return the program with its random numbers drawn elsewhere.

    Raises ShapeError for addresses of another number of weights or masks.
    """
    found = len(addresses.weights), len(addresses.masks)
    wanted = len(program.weights), len(program.masks)
    if found != wanted:
        raise ShapeError(
            f"has {wanted[0]} weights and {wanted[1]} dropout masks, and the run says where {found[0]} and "
            f"{found[1]} are drawn"
        )
    weights, masks = iter(addresses.weights), iter(addresses.masks)
    stages = tuple(_stage_drawn_at(stage, weights, masks) for stage in program.stages)
    return replace(program, stages=stages)


def _stage_drawn_at(stage: Stage, weights: Iterator[tuple[int, int]], masks: Iterator[int]) -> Stage:
    mask: Mask | None = stage.mask
    if mask is not None:
        mask = replace(mask, index=next(masks))
    return replace(stage, weights=_weights_drawn_at(stage.weights, weights), mask=mask)


def _weights_drawn_at(weights: Sequence[Weight], addresses: Iterator[tuple[int, int]]) -> tuple[Weight, ...]:
    places = [(weight, next(addresses)) for weight in weights]
    return tuple(replace(weight, stage=stage, item=item) for weight, (stage, item) in places)
