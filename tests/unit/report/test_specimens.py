"""The samples that the sides classify differently, and their pictures."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from likewise.producer.report.specimens import specimens
from likewise.producer.report.truth import Truth

Image = pytest.importorskip("PIL.Image")

NAMES = tuple(f"pixel_{row}_{column}" for row in range(4) for column in range(5))


def pictures(**changes) -> Truth:
    x = np.linspace(0, 1, 3 * 20).reshape(3, 20)
    truth = Truth(
        part="test", task="multiclass", seed=0, x=x, y=np.array([0, 1, 2]), predict=None,
        outputs={"a": np.eye(3) * 9, "b": np.array([[0, 9, 0], [0, 9, 0], [0, 0, 9.0]])}, predictions={},
        classes=3, feature_names=NAMES, target_names=(), standardized=False, class_names=("x", "y", "z"),
    )  # fmt: skip
    return replace(truth, **changes)


def test_a_sample_that_the_sides_classify_differently_is_shown_with_its_picture():
    (one,) = specimens(pictures(), ("a", "b"))
    image = Image.open(io.BytesIO(one.png))

    assert one.says == "sample 1 is x"
    assert [(side, text.partition(",")[0]) for side, text in one.sides] == [(0, "a: x"), (1, "b: y")]
    assert image.size == (5, 4)
    assert image.getpixel((0, 0)) == 0
    assert image.getpixel((4, 3)) == round(255 * 19 / 59)


def test_pixels_stand_where_their_names_say_in_whatever_order_they_come():
    order = np.random.default_rng(0).permutation(20)
    given = pictures()
    shuffled = pictures(x=given.x[:, order], feature_names=tuple(NAMES[place] for place in order))
    assert list(order) != sorted(order)
    assert [one.png for one in specimens(shuffled, ("a", "b"))] == [
        one.png for one in specimens(given, ("a", "b"))
    ]
    wrong = pictures(feature_names=tuple(NAMES[place] for place in order))
    assert specimens(wrong, ("a", "b"))[0].png != specimens(given, ("a", "b"))[0].png


@pytest.mark.parametrize(
    "names", [(), (*NAMES[:-1], NAMES[0]), tuple(f"f{place}" for place in range(20)), NAMES[:-1]]
)
def test_features_that_are_no_grid_of_pixels_have_no_picture(names):
    (one,) = specimens(pictures(feature_names=names), ("a", "b"))

    assert one.png is None


def test_samples_with_two_axes_are_pictures_whatever_their_features_are_called():
    (one,) = specimens(
        pictures(x=np.random.default_rng(0).random((3, 6, 6, 3)), feature_names=()), ("a", "b")
    )

    assert Image.open(io.BytesIO(one.png)).mode == "RGB"
