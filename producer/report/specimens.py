"""The samples that the sides classify differently, with their pictures where the data are pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from likewise.producer.classifying import predicted_classes, probabilities
from likewise.producer.report.layout import Specimen
from likewise.producer.report.truth import Truth, differing

MOST = 18
"""The most samples that are shown."""
_PLACE = re.compile(r"_(\d+)_(\d+)$")


def specimens(truth: Truth, sides: Sequence[str]) -> list[Specimen]:
    """Return the first samples that not all sides put into the same class, in the order of the data."""
    places = differing(truth, MOST)
    pictures = _pictures(truth)
    names = truth.class_names
    known = np.maximum(truth.y.reshape(-1).astype(np.int64), 0)

    def called(number: int) -> str:
        return names[number] if number < len(names) else str(number)

    chosen = {
        side: (
            predicted_classes(truth.outputs[side], from_logits=truth.from_logits),
            probabilities(truth.outputs[side], from_logits=truth.from_logits).max(axis=1),
        )
        for side in sides
        if side in truth.outputs
    }
    return [
        Specimen(
            png=None if pictures is None else _png(pictures[place]),
            says=f"sample {place + 1:,} is {called(int(known[place]))}",
            sides=[
                (sides.index(side), f"{side}: {called(int(classes[place]))}, {100 * sure[place]:.0f} %")
                for side, (classes, sure) in chosen.items()
            ],
        )
        for place in places
    ]  # fmt: skip


def _pictures(truth: Truth) -> NDArray[np.float64] | None:
    """Return the samples as pictures (n, height, width, 1 or 3) from 0 to 1; None where they are none.

    They are where a sample has two axes and perhaps colours, or where the features are named by their row
    and column, such as pixel_0_7, in any order, and fill a rectangle.
    """
    x = truth.x.astype(np.float64)
    if x.ndim == 2:
        places = _rectangle(truth.feature_names)
        if places is None or places.size != x.shape[1]:
            return None
        x = x[:, places]
    if x.ndim == 3:
        x = x[..., None]
    if x.ndim != 4 or x.shape[3] not in (1, 3) or min(x.shape[1:3]) < 4:
        return None
    # Standardising has moved each feature by itself, so each is brought back by itself.
    low, high = (np.min(x, axis=0), np.max(x, axis=0)) if truth.standardized else (x.min(), x.max())
    return np.asarray((x - low) / np.where(high > low, high - low, 1.0))


def _rectangle(names: Sequence[str]) -> NDArray[np.int64] | None:
    """Return the place of each pixel's feature (height, width), whatever their order; None without a grid."""
    found = [_PLACE.search(name) for name in names]
    if not found or not all(found):
        return None
    pixels = [(int(one[1]), int(one[2])) for one in found if one]
    height, width = (max(side) + 1 for side in zip(*pixels, strict=True))
    if height * width != len(pixels) or len(set(pixels)) < len(pixels):
        return None
    places = np.empty((height, width), np.int64)
    for place, pixel in enumerate(pixels):
        places[pixel] = place
    return places


def _png(picture: NDArray[np.float64]) -> bytes:
    """Return a picture (height, width, 1 or 3) from 0 to 1 as a PNG file."""
    from PIL import Image

    shades = np.round(picture * 255).astype(np.uint8)
    image = Image.fromarray(shades[..., 0] if shades.shape[2] == 1 else shades)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
