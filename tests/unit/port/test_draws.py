"""Which random draw is which: by order and size, and by what enters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from likewise.producer.port.draws import pair_draws
from likewise.producer.port.exchanged import DrawSite
from likewise.worker.port.randomness import Arrangement, Randomness

DRAWN = np.random.default_rng(0).normal(size=(2, 3, 3, 3))


def site(key: str, shape: tuple[int, ...], entered: NDArray[np.float64] | None = None) -> DrawSite:
    rate = 0.5 if key.startswith("dropout") else None
    return DrawSite(key, key.partition(":")[0], shape, rate, None, None, 0, entered)


def test_values_show_how_the_axes_lie_where_shapes_cannot() -> None:
    channels_first = DRAWN.transpose(0, 3, 1, 2)
    found = pair_draws(
        [site("dropout:0", DRAWN.shape, DRAWN)], [site("dropout:0", DRAWN.shape, channels_first)], []
    )
    assert found.pairs[0].axes == (0, 3, 1, 2)


def test_what_one_program_draws_more_has_no_counterpart() -> None:
    reference = [site("dropout:0", (2, 4)), site("dropout:1", (2, 8)), site("normal:0", (2, 3))]
    found = pair_draws(reference, [site("uniform:0", (2, 8)), site("unpaired:0", (9,))], [])
    assert [(pair.reference.key, pair.other.key) for pair in found.pairs] == [("dropout:1", "uniform:0")]
    assert found.lonely == {(0, "dropout:0"), (0, "normal:0")}
    assert [one.key for _, one in found.unpairable] == ["unpaired:0"]


def test_both_programs_draw_the_same_numbers_in_their_own_layouts() -> None:
    pair = pair_draws(
        [site("dropout:0", DRAWN.shape, DRAWN)],
        [site("dropout:0", DRAWN.shape, DRAWN.transpose(0, 3, 1, 2))],
        [],
    ).pairs[0]
    one, two = Randomness(), Randomness(arrangements={"dropout:0": Arrangement.of(pair.arrangement())})
    kept = [draws.kept(draws.site("dropout", "dropout", DRAWN.shape, rate=0.5)) for draws in (one, two)]
    assert np.array_equal(kept[0].transpose(0, 3, 1, 2), kept[1])
    assert not np.array_equal(kept[0], kept[1])
    one.next_step()
    later = one.kept(one.site("dropout", "dropout", DRAWN.shape, rate=0.5))
    assert not np.array_equal(later, kept[0])
