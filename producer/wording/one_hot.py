"""The rule on rows of one 1 among zeros: a dense layer over them looks up rows of its kernel. Pure.

What a dense layer without a bias gives for a row whose only 1 stands at place k is row k of its kernel: it is
an embedding of the places. Whether samples are such rows of the other side's numbers is looked up in the
samples themselves; once these are gone from the store, the rule does not apply.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.producer.wording.form import PARTS, Form
from likewise.producer.wording.layers import Forms, as_many, kinds
from likewise.producer.wording.reordered import with_weights_of
from likewise.producer.wording.synonyms import only_reader
from likewise.shared.job.layers.basic import Dense, Reshape
from likewise.shared.job.layers.recurrent import Embedding
from likewise.shared.job.shape import Shape
from likewise.shared.store.arrays import ArrayRef

_ROWS = 256
"""Samples are compared in pieces of so many, which take little memory and soon tell other data."""


def looked_up(reference: Form, other: Form) -> Forms | None:
    """Write a dense layer over rows of one 1 as an embedding of the places, where the other side has one."""
    changed = looked_up_loosely(reference, other)
    if changed is None or kinds(changed[0]) == kinds(changed[1]):
        return changed
    return changed if as_many(changed) and not as_many((reference, other)) else None


def looked_up_loosely(reference: Form, other: Form) -> Forms | None:
    """Do as `looked_up`, whatever else the layers are."""
    if isinstance(reference.job.model.layers[0], Embedding):
        changed = _as_embedding(other, like=reference)
        return None if changed is None else (reference, changed)
    if isinstance(other.job.model.layers[0], Embedding):
        changed = _as_embedding(reference, like=other)
        return None if changed is None else (changed, other)
    return None


def _as_embedding(form: Form, *, like: Form) -> Form | None:
    """Return a form with a dense layer at its beginning as an embedding of the other's numbers."""
    before, theirs = form.program, like.program
    place = _dense_place(form)
    if before is None or theirs is None or place is None or not _reads_alone(like, 0):
        return None
    stage, table = before.stages[place], like.job.model.layers[0]
    assert isinstance(table, Embedding)  # noqa: S101  # both callers have asked
    shape = theirs.stages[0].inputs[0]
    size = stage.inputs[0][-1]
    if table.mask_zero or table.input_dim != size or stage.inputs[0] not in ((*shape, size), (size,)):
        return None
    if not _are_one_hot(form, like, (*shape, size)):
        return None
    document = form.document
    layers = document["model"]["layers"]
    found = _embedding(layers[place], size)
    if stage.output != (*shape, layers[place]["units"]):
        found.append({"type": "flatten"})
    if found[-1] is not found[0]:
        found[-1] |= {"name": found[0].pop("name")}
    rest = layers[place + 1 :]
    model = document["model"] | {"layers": [*found, *rest]}
    changed = replace(form, facts=like.facts).with_job(
        document | {"model": model, "data": like.document["data"]}
    )
    after = changed.program
    return None if after is None else with_weights_of(changed, before, after)


def _dense_place(form: Form) -> int | None:
    """Return the place of a dense layer that only multiplies the samples with its kernel, if one does."""
    layers = form.job.model.layers
    place = 1 if isinstance(layers[0], Reshape) and only_reader(form, 0) == 1 else 0
    layer = layers[place] if place < len(layers) else None
    if not isinstance(layer, Dense) or layer.use_bias or not _reads_alone(form, 0):
        return None
    return None if place and layers[0].activity_regularizer is not None else place


def _reads_alone(form: Form, place: int) -> bool:
    """Return whether one layer alone takes the samples, and they are one array."""
    model = form.job.model
    return not model.inputs and [at for at in range(len(model.layers)) if 0 in model.sources(at)] == [place]


def _embedding(dense: dict[str, Any], size: int) -> list[dict[str, Any]]:
    """Return the embedding that a dense layer is, with its activation as a layer behind it."""
    ends = ("initializer", "regularizer", "constraint")
    found = {
        "type": "embedding",
        "name": dense["name"],
        "input_dim": size,
        "output_dim": dense["units"],
        "trainable": dense["trainable"],
        **{f"embeddings_{end}": dense[f"kernel_{end}"] for end in ends},
    }
    penalty = {"activity_regularizer": dense["activity_regularizer"]}
    if dense["activation"] == {"type": "linear"}:
        return [found | penalty]
    return [found, {"type": "activation", "activation": dense["activation"], **penalty}]


def _are_one_hot(form: Form, like: Form, shape: Shape) -> bool:
    """Return whether each sample of a form has its 1 where the other's number says, and else zeros."""
    mine, theirs = form.facts.dataset, like.facts.dataset
    if mine is None or theirs is None or mine.task != theirs.task:
        return False
    if any({data.mean, data.scale} - {None} for data in (form.job.data, like.job.data)):
        return False
    pairs: list[tuple[ArrayRef | None, ArrayRef | None]] = [(mine.predict, theirs.predict)]
    for name in PARTS:
        one, two = form.facts.part(name), like.facts.part(name)
        if one is None or two is None:
            if one is not two:
                return False
        elif (one.y, one.weights) != (two.y, two.weights):
            return False
        else:
            pairs.append((one.x, two.x))
    return all(one is two or _are_rows_of(form, one, two, shape) for one, two in pairs)


def _are_rows_of(form: Form, rows: ArrayRef | None, numbers: ArrayRef | None, shape: Shape) -> bool:
    load = form.facts.arrays
    if load is None or rows is None or numbers is None:
        return False
    stored, places = load(rows), load(numbers)
    if stored.shape[0] != places.shape[0] or stored[:1].size != np.prod(shape):
        return False
    return all(
        np.array_equal(
            stored[begin : begin + _ROWS].reshape(-1, *shape),
            _one_hot(places[begin : begin + _ROWS], shape),
        )
        for begin in range(0, len(stored), _ROWS)
    )


def _one_hot(numbers: NDArray[Any], shape: Shape) -> NDArray[np.bool_]:
    """Return the rows of whole numbers, cut towards 0 as an embedding cuts them."""
    places = np.trunc(numbers).reshape(-1, *shape[:-1], 1)
    rows: NDArray[np.bool_] = np.equal(places, np.arange(shape[-1]))
    return rows
