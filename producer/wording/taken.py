"""Rules on an axis that is taken away by one layer, or by several one behind the other. Pure.

A pooling over the whole window and a flatten behind it are a global pooling. A sequence of which only the
last step is kept is the recurrent layer without `return_sequences`, unless padding is 0 in it.
Of a bidirectional layer it is not: backwards, the last step has seen one step alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from likewise.producer.wording.form import Form, Renamed
from likewise.producer.wording.layers import Forms, as_many, kinds
from likewise.producer.wording.synonyms import only_reader
from likewise.shared.job.layers.basic import Flatten, Reshape
from likewise.shared.job.layers.pooling import AveragePooling, GlobalPooling, MaxPooling
from likewise.shared.job.layers.recurrent import Gru, Lstm, SimpleRnn
from likewise.shared.job.layers.space import Cropping
from likewise.shared.job.layers.windows import by_side
from likewise.shared.program import Stage

Document = dict[str, Any]
Takes = Literal["pooling", "last step"]
RECURRENT = (SimpleRnn, Lstm, Gru)
GLOBAL = {"max": "global_max_pooling", "average": "global_average_pooling"}


@dataclass(frozen=True)
class _Part:
    """Layers that stand one behind the other and are one, or a layer that stands by itself."""

    written: tuple[Document, ...]
    takes: Takes | None = None
    """How they take an axis away; None for any other layer."""
    word: Document | None = None
    """The one layer that takes it away, without a name; None for any other layer."""


def taken_alike(takes: Takes) -> Callable[[Form, Form], Forms | None]:
    """Return the rule that takes the reference's layers for it, where both have as many layers then."""

    def rule(reference: Form, other: Form) -> Forms | None:
        changed = _taken(takes, reference, other)
        return changed if changed is not None and as_many(changed) else None

    return rule


def taken_loosely(takes: Takes) -> Callable[[Form, Form], Forms | None]:
    """Return the same rule, whatever else the layers are."""
    return partial(_taken, takes)


def _taken(takes: Takes, reference: Form, other: Form) -> Forms | None:
    if kinds(reference) == kinds(other) or reference.program is None or other.program is None:
        return None
    if takes == "pooling" and _says_padding(other):
        return None  # its global mean leaves padding out, and a pooling does not
    mine, theirs = _parts(reference, takes), _parts(other, takes)
    like = [one for one in mine if one.takes]
    if len(like) != sum(one.takes is not None for one in theirs):
        return None
    layers: list[Document] = []
    renamed: dict[str, str] = {}
    handles: dict[str, str] = {}
    place = 0
    for part in theirs:
        if part.written[0]["name"] is None:
            renamed[f"layers.{place}"] = f"layers.{len(layers)}"
        place += len(part.written)
        layers += _in_words(like.pop(0), part, handles) if part.takes else part.written
    for at, layer in enumerate(layers):
        if layer["inputs"]:
            layers[at] = layer | {"inputs": [handles.get(name, name) for name in layer["inputs"]]}
    if layers == other.document["model"]["layers"]:
        return None
    return reference, other.with_layers(layers).weights_changed(Renamed.of(renamed))


def _says_padding(form: Form) -> bool:
    """Return whether some layer says which steps are padding, which a global mean leaves out and no other."""
    return any(layer.padding_value is not None for layer in form.job.model.layers)


def _parts(form: Form, takes: Takes) -> list[_Part]:
    """Return a model's layers, those together that take an axis away so."""
    program, documents = form.program, form.document["model"]["layers"]
    stages = () if program is None else program.stages
    found: list[_Part] = []
    place = 0
    while place < len(documents):
        many = 1
        while only_reader(form, place + many - 1) is not None and many < 3:
            many += 1
        ends = range(place + many, place, -1)
        tried = (_part(stages[place:end], documents[place:end]) for end in ends)
        part = next(
            (one for one in tried if one is not None and one.takes == takes), _Part((documents[place],))
        )
        found.append(part)
        place += len(part.written)
    return found


def _part(stages: tuple[Stage, ...], documents: list[Document]) -> _Part | None:
    """Return the layers as a part, where they take an axis away together."""
    first, last = stages[0], stages[-1]
    layer = first.layer
    if any(stage.layer.activity_regularizer is not None for stage in stages[:-1]):
        return None
    row = isinstance(last.layer, Flatten | Reshape) and last.output == last.inputs[0][-1:]
    word: Document | None = None
    takes: Takes = "pooling"
    if isinstance(layer, GlobalPooling) and len(stages) == 1:
        word = documents[0]
    elif isinstance(layer, MaxPooling | AveragePooling) and len(stages) == 2 and row and _over_all(first):
        word = {"type": GLOBAL[layer.type.partition("_")[0]]}
    elif isinstance(layer, RECURRENT):
        takes = "last step"
        if len(stages) == 1 and not layer.return_sequences:
            word = documents[0]
        elif layer.return_sequences and row and _one_step(stages[:-1]) and not _zero_at_the_end(first):
            word = documents[0] | {"return_sequences": False}
    if word is None:
        return None
    own = {"name": None, "inputs": documents[0]["inputs"]}
    penalty = {"activity_regularizer": documents[-1]["activity_regularizer"]}
    return _Part(tuple(documents), takes, word | own | penalty)


def _over_all(stage: Stage) -> bool:
    """Return whether a pooling has one window, of all numbers of a channel."""
    shape = stage.inputs[0]
    return stage.layer.window == shape[:-1] and not any(map(any, stage.layer.sides(shape)))


def _zero_at_the_end(stage: Stage) -> bool:
    """Return whether a sequence may be 0 at its last step, since that is padding; else the state stays."""
    return bool(stage.padding) and stage.layer.zero_output_for_mask


def _one_step(stages: tuple[Stage, ...]) -> bool:
    """Return whether a recurrent layer, with or without a crop behind it, gives its last step alone."""
    steps = stages[0].output[0]
    if len(stages) == 1:
        return steps == 1
    crop = stages[1].layer
    return isinstance(crop, Cropping) and by_side(crop.cropping, crop.axes) == ((steps - 1, 0),)


def _in_words(mine: _Part, theirs: _Part, handles: dict[str, str]) -> list[Document]:
    """Return the other's layers of a part as the reference writes it; `handles` takes in their new names."""
    if theirs.word is None or len(mine.written) == len(theirs.written) == 1:
        return list(theirs.written)
    name, last = theirs.written[0]["name"], theirs.written[-1]["name"]
    if len(mine.written) == 1:
        name = name or last
        if last is not None:
            handles[last] = name
        return [theirs.word | {"name": name}]
    first, *rest = mine.written
    if theirs.takes == "pooling":
        kind = theirs.word["type"].split("_")[1]
        window = {field: first[field] for field in ("pool_size", "strides", "padding")}
        first = window | {"type": f"{kind}_{first['type'].partition('_')[2]}"}
    else:
        first = theirs.word | {"return_sequences": True}
    ending = rest[-1]["name"]
    if theirs.takes == "pooling" and len(theirs.written) == 1:
        name = None
    if last is not None:
        ending = f"{last}_{rest[-1]['type']}" if ending in (None, name) else ending
        handles[last] = ending
    first = first | {"name": name, "inputs": theirs.word["inputs"], "activity_regularizer": None}
    penalty = theirs.word["activity_regularizer"]
    return [first, *rest[:-1], rest[-1] | {"name": ending, "activity_regularizer": penalty}]
