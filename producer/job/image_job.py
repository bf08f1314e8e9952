"""A job for a folder of images, made by looking at how large they are and at their modes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from likewise.producer.data.images import classes_and_files, shapes_of
from likewise.producer.display import count, printable
from likewise.producer.job.table_job import commented, quoted
from likewise.shared.job import Experiment

_LARGEST = 64
"""Larger images are brought down to this many pixels on their longer side, for a quick first training."""
_LEAST_TO_SPLIT = 10
"""Images of the rarest class from which some are held out."""
_MOST_IN_A_BATCH = 32


def for_images(folder: Path, *, path: str, name: str) -> str:
    """Return the text of a job for images in a folder a class. Raises DataError for a folder of none."""
    classes, files, _ = classes_and_files(folder)
    sizes, modes = shapes_of(files, folder)
    return (
        "\n".join(_lines(path, name, dict(zip(classes, map(len, files), strict=True)), sizes, modes)) + "\n"
    )


def _lines(
    path: str, name: str, classes: dict[str, int], sizes: Sequence[tuple[int, int]], modes: frozenset[str]
) -> Iterator[str]:
    median = [int(np.median(sides)) for sides in zip(*sizes, strict=True)]
    smaller = min(1.0, _LARGEST / max(median))
    height, width = (max(2, round(side * smaller)) for side in median)
    are = "all images are" if len(set(sizes)) == 1 else "the median of the images is"
    rarest = min(classes, key=lambda one: classes[one])
    yield f"# Written by `likewise init` after a look at {printable(path)}."
    yield "schema_version: 1"
    yield f"name: {name}"
    yield ""
    yield "data:"
    yield "  type: images"
    yield commented(f"  path: {quoted(path)}", f"{count(len(sizes), 'image')} of {len(classes)} classes")
    yield commented(f"  size: [{height}, {width}]", f"height and width; {are} {median[0]} × {median[1]}")
    grey = modes <= {"L", "1"}
    why = "all are grey" if grey else "three channels; L makes them grey, RGBA keeps what is see-through"
    yield commented(f"  mode: {'L' if grey else 'RGB'}", why)
    yield commented("  scale: 255", "bytes to 0 … 1")
    if classes[rarest] < _LEAST_TO_SPLIT:
        few = count(classes[rarest], "image")
        yield f"  # no split: class {printable(rarest)} has {few} alone, and all are trained on"
    else:
        yield commented(
            "  split: {validation: 0.15, test: 0.15, seed: 0, stratify: true}",
            f"the same share of each class; the rarest is {printable(rarest)}, with {classes[rarest]}",
        )
    yield ""
    yield "model:"
    yield "  layers:"
    yield "    - {type: conv2d, filters: 16, kernel_size: 3, padding: same, activation: relu}"
    yield "    - {type: max_pooling2d, pool_size: 2}"
    yield "    - {type: conv2d, filters: 32, kernel_size: 3, padding: same, activation: relu}"
    yield "    - {type: global_average_pooling}"
    binary = len(classes) == 2
    units, why = (
        (1, "one logit for two classes, no sigmoid") if binary else (len(classes), "one logit a class")
    )
    yield commented(f"    - {{type: dense, units: {units}}}", why)
    yield ""
    yield f"loss: {'binary' if binary else 'categorical'}_crossentropy"
    yield "optimizer: {type: adam, learning_rate: 0.01}"
    batch = max(1, min(_MOST_IN_A_BATCH, len(sizes) // 8))
    yield f"training: {{epochs: 20, batch_size: {batch}, shuffle: true}}"
    yield commented("initial_weights: shared", "the same in every framework")
    yield f"frameworks: [{', '.join(Experiment.model_fields['frameworks'].default)}]"
    yield "seeds: 1"
