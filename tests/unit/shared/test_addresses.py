"""Where a program's random numbers are drawn when another program writes the same model with other layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.shared.draws import draw_weights
from likewise.shared.job import Model
from likewise.shared.job.shape import ShapeError
from likewise.shared.program import DrawAddresses, ProgramSpec, as_drawn_in, compile_model
from likewise.shared.program.addresses import addresses_of, drawn_at, pair_up, start_alike

POOL = ({"type": "average_pooling2d", "pool_size": 4}, {"type": "flatten"})
GLOBAL_POOL = ({"type": "global_average_pooling"},)
CONV = {"type": "conv2d", "filters": 3, "kernel_size": 3}
DROPOUT = {"type": "dropout", "rate": 0.2}
HEAD = {"type": "dense", "units": 2}


def program(*layers: Any) -> ProgramSpec:
    return compile_model(Model.model_validate({"layers": list(layers)}), (6, 6, 1))


def paired(reference: ProgramSpec, other: ProgramSpec) -> ProgramSpec:
    addresses = as_drawn_in(reference, other)
    assert addresses is not None
    return drawn_at(other, addresses)


def numbers(one: ProgramSpec) -> list[bytes]:
    return [array.tobytes() for array in draw_weights(one, seed=3, precision="float64").values()]


def test_a_layer_more_without_weights_changes_no_draw_of_the_other_side() -> None:
    reference = program(CONV, *GLOBAL_POOL, DROPOUT, HEAD)
    other = program(CONV, *POOL, DROPOUT, HEAD)
    assert numbers(other) != numbers(reference), "by their own places they draw others"

    there = paired(reference, other)

    assert numbers(there) == numbers(reference)
    assert [mask.index for mask in there.masks] == [mask.index for mask in reference.masks] == [2]
    assert [mask.index for mask in other.masks] == [3]
    assert pair_up(reference, there)
    assert start_alike(reference, there)
    assert not pair_up(reference, other)
    assert not start_alike(reference, other)


def test_branches_that_are_listed_in_another_order_draw_by_their_names() -> None:
    trunk = {"type": "flatten", "name": "trunk"}
    one = {"type": "dense", "units": 4, "name": "one", "inputs": ["trunk"]}
    two = one | {"name": "two"}
    drops = [DROPOUT | {"name": f"drop_{name}", "inputs": [name]} for name in ("one", "two")]
    both = {"type": "add", "inputs": ["drop_one", "drop_two"]}
    reference = program(trunk, one, drops[0], two, drops[1], both, HEAD)
    there = paired(reference, program(trunk, two, drops[1], one, drops[0], both, HEAD))

    drawn, wanted = (draw_weights(each, seed=3, precision="float64") for each in (there, reference))
    assert {name: array.tobytes() for name, array in drawn.items()} == {
        name: array.tobytes() for name, array in wanted.items()
    }
    assert {mask.path: mask.index for mask in there.masks} == {
        mask.path: mask.index for mask in reference.masks
    }
    assert pair_up(reference, there)
    assert start_alike(reference, there)
    # a name that says a layer's place is no name
    unnamed = [{name: value for name, value in layer.items() if name != "name"} for layer in (CONV, HEAD)]
    assert as_drawn_in(program(*unnamed), program(*unnamed)) is None


def test_the_same_places_are_no_addresses_of_their_own() -> None:
    one = program(CONV, *POOL, HEAD)
    assert as_drawn_in(one, one) is None
    assert as_drawn_in(one, program(CONV, *POOL, HEAD | {"kernel_initializer": "he_normal"})) is None


def test_weights_that_chance_does_not_draw_may_be_more_in_one_of_the_two() -> None:
    reference = program(CONV | {"use_bias": False}, *GLOBAL_POOL, HEAD)
    there = paired(reference, program(CONV, *POOL, HEAD))
    drawn = draw_weights(there, seed=3, precision="float64")
    wanted = draw_weights(reference, seed=3, precision="float64")
    assert np.array_equal(drawn["layers.3.kernel"], wanted["layers.2.kernel"])
    assert not drawn["layers.0.bias"].any()


def test_another_initializer_draws_at_the_same_place() -> None:
    reference = program(CONV, *GLOBAL_POOL, HEAD)
    there = paired(reference, program(CONV, *POOL, HEAD | {"kernel_initializer": "he_normal"}))
    assert addresses_of(there).weights == addresses_of(reference).weights
    assert pair_up(reference, there)
    assert not start_alike(reference, there), "by other laws the numbers are others"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param((CONV, *POOL, {"type": "dense", "units": 5}, HEAD), id="a layer with weights more"),
        pytest.param((CONV | {"filters": 4}, *POOL, HEAD), id="another size"),
    ],
)
def test_what_does_not_pair_keeps_its_place(other: Any) -> None:
    assert as_drawn_in(program(CONV, *GLOBAL_POOL, HEAD), program(*other)) is None


def test_masks_of_another_size_keep_their_places() -> None:
    reference = program(DROPOUT, CONV, *GLOBAL_POOL, HEAD)
    there = paired(reference, program(CONV, *POOL, DROPOUT, HEAD))
    assert [mask.index for mask in there.masks] == [3]


def test_addresses_of_another_model_are_refused() -> None:
    with pytest.raises(ShapeError, match="has 4 weights and 0 dropout masks, and the run says where 1 and 0"):
        drawn_at(program(CONV, *POOL, HEAD), DrawAddresses(weights=((0, 0),), masks=()))
