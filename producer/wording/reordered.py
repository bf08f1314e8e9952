"""Rules on layers that stand in another order, or two for one, and compute the same. Pure.

A mean over places and a linear layer over channels, such as a convolution with a window of one, can change
places. A function of each number by itself can stand on either side of a layer that only moves numbers, such
as a flatten. One that never falls commutes with a maximum, and one that scales with its numbers with a
dropout. A depthwise convolution and a pointwise one behind it are a separable one, and channels that are put
first before a flatten are that flatten's order. Both sides are written with functions and means as early as
they can stand, with dropouts behind what only gives numbers another shape, and with one layer for two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from likewise.producer.wording.form import Called, Form, InShape
from likewise.producer.wording.layers import Forms, as_many, drawn_otherwise, kinds
from likewise.producer.wording.synonyms import meets_one_place, only_reader
from likewise.shared.job.layers import Layer
from likewise.shared.job.layers.basic import ActivationLayer, Dropout, Flatten, Permute, Reshape
from likewise.shared.job.layers.convolution import Convolution, DepthwiseConvolution
from likewise.shared.job.layers.merging import Concatenate, Merge
from likewise.shared.job.layers.normalization import BatchNorm
from likewise.shared.job.layers.pooling import AveragePooling, GlobalPooling, MaxPooling
from likewise.shared.job.layers.space import Cropping, Upsampling, ZeroPadding
from likewise.shared.job.layers.windows import ByAxis, by_axis
from likewise.shared.job.shape import axis_of
from likewise.shared.program import ProgramSpec, Stage
from likewise.shared.program.groups import decaying

Document = dict[str, Any]
Rewritten = Callable[[Stage, Stage, Document, Document], list[Document] | None]
"""Returns what two layers are written as that stand one behind the other; None where they stay."""
NEVER_FALL = (
    *("linear", "relu", "relu6", "selu", "softsign", "tanh", "sigmoid", "log_sigmoid", "exponential"),
    *("sparse_plus", "sparse_sigmoid", "elu", "celu", "softplus", "hard_sigmoid", "squareplus"),
)
"""Functions that are nowhere less than for a smaller number; `leaky_relu` is one with a slope from 0 on."""
SCALE = ("linear", "relu")
"""Functions that give k times as much for k times a number, k > 0; so does `leaky_relu`."""
ZERO_AT_ZERO = (
    *("linear", "relu", "relu6", "selu", "gelu", "gelu_tanh", "silu", "softsign", "tanh", "mish"),
    *("hard_silu", "tanh_shrink", "elu", "celu"),
)
"""Functions that give exactly 0 for 0, so that zeros at the edges can come before or behind them."""
OF_SEVERAL = ("softmax", "log_softmax", "softmin", "sparsemax")
"""Functions of all numbers along an axis."""


def where_alike(rewrite: Rewritten) -> Callable[[Form, Form], Forms | None]:
    """Return the rule that rewrites two layers, wherever they stand, where both have like layers then."""

    def rule(reference: Form, other: Form) -> Forms | None:
        changed = _in_both(rewrite, reference, other)
        if changed is None or kinds(changed[0]) == kinds(changed[1]):
            return changed
        return changed if as_many(changed) and not as_many((reference, other)) else None

    return rule


def loosely(rewrite: Rewritten) -> Callable[[Form, Form], Forms | None]:
    """Return the same rule, whatever else the layers are."""
    return partial(_in_both, rewrite)


def _in_both(rewrite: Rewritten, reference: Form, other: Form) -> Forms | None:
    if kinds(reference) == kinds(other):
        return None
    one, two = _rewritten(reference, rewrite), _rewritten(other, rewrite)
    return (one, two) if (one, two) != (reference, other) else None


def _rewritten(form: Form, rewrite: Rewritten) -> Form:
    """Return the form with every two layers rewritten that can be, until none is left."""
    program = form.program
    if program is None:
        return form
    changed = form
    while (layers := _once(changed, rewrite)) is not None:
        changed = changed.with_layers(layers)
    after = changed.program
    if changed is form or after is None:
        return form
    if _decayed(form, program) != _decayed(form, after):
        return form  # a list of what decays says a layer's name that has gone
    return with_weights_of(changed, program, after)


def _decayed(form: Form, program: ProgramSpec) -> list[bool]:
    return list(decaying(program, form.job.optimizer).values())


def with_weights_of(form: Form, before: ProgramSpec, after: ProgramSpec) -> Form:
    """Return the form with its weights by their new names and in their new shapes; their order stays.

    Raises LookupError where other weights decay by their new names, or by the kinds of their layers.
    """
    if _decayed(form, before) != _decayed(form, after):
        raise LookupError("a list of what decays says a word that has gone")
    both = list(zip(before.weights, after.weights, strict=True))
    names = tuple((old.name, new.name) for old, new in both if old.name != new.name)
    changed = form.weights_changed(Called(names)) if names else form
    for old, new in both:
        if old.shape != new.shape:
            changed = changed.weights_changed(InShape(new.name, new.shape))
    return changed


def _once(form: Form, rewrite: Rewritten) -> list[Document] | None:
    """Return the layers with the first two rewritten that can be; None where there are none.

    A layer keeps its name, unless some other reads one of the two by it: then the place does, and what reads.
    """
    program = form.program
    layers = form.document["model"]["layers"]
    if program is None:
        return None
    read = {name for one in layers for name in one["inputs"] or ()} | {*(form.job.model.outputs or ())}
    for index in range(len(layers) - 1):
        if only_reader(form, index) is None:
            continue
        first, second = layers[index], layers[index + 1]
        found = rewrite(program.stages[index], program.stages[index + 1], first, second)
        if found is None:
            continue
        names = [first["name"], second["name"]]
        if len(found) == 1:
            names = [names[1] or names[0]]
        elif not read.intersection(names):
            names.reverse()
        inputs = (first["inputs"], second["inputs"])
        handles = [{"name": name, "inputs": some} for name, some in zip(names, inputs, strict=False)]
        placed = [one | handle for one, handle in zip(found, handles, strict=True)]
        return [*layers[:index], *placed, *layers[index + 2 :]]
    return None


def earlier(first: Stage, second: Stage, one: Document, two: Document) -> list[Document] | None:
    """Return the two the other way round, where a function can stand before, or a dropout behind."""
    before, behind = first.layer, second.layer
    if before.activity_regularizer is not None or behind.activity_regularizer is not None:
        return None
    if isinstance(before, Reshape) and isinstance(behind, BatchNorm):
        return [two, one] if first.inputs[0][-1] == first.output[-1] and not second.padding else None
    moves = isinstance(before, Dropout) and isinstance(behind, Flatten | Reshape) and _keeps_order(behind)
    if isinstance(behind, ActivationLayer) and behind.activation.type not in OF_SEVERAL:
        moves = any(_lets_through(before, first, behind))
    return [two, one] if moves else None


def averaged(first: Stage, second: Stage, one: Document, two: Document) -> list[Document] | None:
    """Return the mean first of a convolution with a window of one and the mean behind it."""
    before, behind = first.layer, second.layer
    if not isinstance(before, Convolution) or not _takes_means(behind, second):
        return None
    plain = before.activation.type == "linear" and meets_one_place(before, first.inputs[0])
    penalized = before.activity_regularizer is not None or behind.activity_regularizer is not None
    return [two, _dense(one)] if plain and not penalized else None


def _takes_means(layer: Layer, stage: Stage) -> bool:
    """Return whether a layer gives the mean of each channel, of all that it has."""
    return isinstance(layer, GlobalPooling) and layer.type == "global_average_pooling" and not stage.padding


def _dense(convolution: Document) -> Document:
    """Return the dense layer that a convolution with a window of one is where one place is left."""
    window = ("filters", "kernel_size", "strides", "padding", "dilation", "groups")
    own = {name: value for name, value in convolution.items() if name not in window}
    return own | {"type": "dense", "units": convolution["filters"]}


def _lets_through(before: Layer, stage: Stage, behind: ActivationLayer) -> Iterator[bool]:
    """Yield whether a layer gives the same with a function before it as behind it, by each reason for it."""
    function = behind.activation
    slope = getattr(function, "negative_slope", -1.0) if function.type == "leaky_relu" else None
    yield isinstance(before, Flatten | Reshape | Permute | Cropping)
    yield isinstance(before, ZeroPadding) and (function.type in ZERO_AT_ZERO or slope is not None)
    yield isinstance(before, Upsampling) and not before.is_linear
    if function.type in NEVER_FALL or (slope is not None and slope >= 0):
        yield isinstance(before, MaxPooling)
        yield isinstance(before, GlobalPooling) and before.type == "global_max_pooling" and not stage.padding
    if function.type in SCALE or slope is not None:
        yield isinstance(before, Dropout)


def _keeps_order(layer: Flatten | Reshape) -> bool:
    """Return whether a sample's numbers stay in their order, so that a mask drops the same ones."""
    return getattr(layer, "order", "channels_last") == "channels_last"


def ordered(first: Stage, second: Stage, one: Document, two: Document) -> list[Document] | None:  # noqa: ARG001 -- as each is called
    """Return the one layer that two are of which each gives numbers another shape, or axes another order."""
    before, behind = first.layer, second.layer
    if before.activity_regularizer is not None:
        return None
    found: list[Document] | None = None
    match before, behind:
        case (Flatten() | Reshape(), Flatten() | Reshape()) if _keeps_order(before) and _keeps_order(behind):
            found = [two]
        case (Reshape(), GlobalPooling()) if first.inputs[0][-1] == first.output[-1] and not second.padding:
            found = [two] if len(first.inputs[0]) > 1 else None
        case (Permute(), _) if list(before.dims) == sorted(before.dims):
            found = [two]
        case (Permute(), Permute()):
            found = [two | {"dims": [before.dims[axis - 1] for axis in behind.dims]}]
        case (Permute(), Flatten()) if _keeps_order(behind):
            axes = len(before.dims)
            channels_first = before.dims == (axes, *range(1, axes))
            found = [two | {"order": "channels_first"}] if channels_first else None
    return found


def widened(first: Stage, second: Stage, one: Document, two: Document) -> list[Document] | None:  # noqa: ARG001 -- as each is called
    """Return the one pooling, or upsampling, that two are with their windows side by side.

    A row that is given one step and then upsampled is a row that is repeated.
    """
    before, behind = first.layer, second.layer
    if before.activity_regularizer is not None or first.padding or second.padding:
        return None
    found: Document | None = None
    match before, behind:
        case (Upsampling(), Upsampling()) if not before.is_linear and not behind.is_linear:
            found = two | {"size": _products(before.size, behind.size, before.axes)}
        case (MaxPooling(), MaxPooling()) | (AveragePooling(), AveragePooling()):
            if _stand_side_by_side(before, first) and _stand_side_by_side(behind, second):
                size = _products(before.pool_size, behind.pool_size, before.axes)
                found = two | {"pool_size": size, "strides": None, "padding": "valid"}
        case (Reshape(), Upsampling(axes=1)) if not behind.is_linear:
            if len(first.inputs[0]) == 1 and first.output == (1, *first.inputs[0]):
                times = by_axis(behind.size, 1)[0]
                found = {
                    "type": "repeat_vector",
                    "n": times,
                    "activity_regularizer": two["activity_regularizer"],
                }
    return None if found is None else [found]


def _products(one: ByAxis, two: ByAxis, axes: int) -> int | list[int]:
    sizes = [mine * theirs for mine, theirs in zip(by_axis(one, axes), by_axis(two, axes), strict=True)]
    return sizes[0] if len(set(sizes)) == 1 else sizes


def _stand_side_by_side(layer: MaxPooling | AveragePooling, stage: Stage) -> bool:
    """Return whether the windows of a pooling hold each value once, and nothing but values."""
    return layer.steps == layer.window and not any(map(any, layer.sides(stage.inputs[0])))


def side_by_side(reference: Form, other: Form) -> Forms | None:
    """Put together what is put together in several steps, in both."""
    changed = side_by_side_loosely(reference, other)
    if changed is None or kinds(changed[0]) == kinds(changed[1]):
        return changed
    return changed if as_many(changed) and not as_many((reference, other)) else None


def side_by_side_loosely(reference: Form, other: Form) -> Forms | None:
    """Do as `side_by_side`, whatever else the layers are."""
    if kinds(reference) == kinds(other):
        return None
    one, two = _concatenated_at_once(reference), _concatenated_at_once(other)
    return (one, two) if (one, two) != (reference, other) else None


def _concatenated_at_once(form: Form) -> Form:
    """Return the form without a concatenation that only another one takes, along the same axis."""
    before, model = form.program, form.job.model
    layers = form.document["model"]["layers"]
    if before is None:
        return form
    for index, layer in enumerate(model.layers):
        readers = [at for at in range(len(layers)) if index + 1 in model.sources(at)]
        if len(readers) != 1 or index in model.output_layers or layer.activity_regularizer is not None:
            continue
        behind = model.layers[readers[0]]
        if not isinstance(layer, Concatenate) or not isinstance(behind, Concatenate):
            continue
        axes = [
            axis_of(one.axis, before.stages[at].output) for at, one in ((index, layer), (readers[0], behind))
        ]
        if axes[0] != axes[1] or behind.inputs.count(layer.name or "") != 1:
            continue
        at = behind.inputs.index(layer.name or "")
        inputs = [*behind.inputs[:at], *layer.inputs, *behind.inputs[at + 1 :]]
        layers[readers[0]] = layers[readers[0]] | {"inputs": inputs}
        changed = form.with_layers([*layers[:index], *layers[index + 1 :]])
        after = changed.program
        if after is None:
            return form
        return _concatenated_at_once(with_weights_of(changed, before, after))
    return form


def joined(first: Stage, second: Stage, one: Document, two: Document) -> list[Document] | None:
    """Return the separable convolution that a depthwise and a pointwise one are."""
    before, behind = first.layer, second.layer
    if not isinstance(before, DepthwiseConvolution) or not isinstance(behind, Convolution):
        return None
    plain = not before.use_bias and before.activation.type == "linear" and before.activity_regularizer is None
    if plain and before.trainable == behind.trainable and _is_pointwise(behind, second):
        return [_separable(before.axes, one, two)]
    return None


def _is_pointwise(layer: Convolution, stage: Stage) -> bool:
    """Return whether each output is of the channels at one place, and none is left out."""
    padded = any(map(any, layer.sides(stage.inputs[0])))
    return {*layer.window, *layer.steps, layer.groups} == {1} and not padded


def _separable(axes: int, depthwise: Document, pointwise: Document) -> Document:
    """Return the separable convolution that a depthwise one and the pointwise one behind it are."""
    window = ("kernel_size", "strides", "padding", "dilation", "depth_multiplier")
    rest = ("filters", "use_bias", "activation", "activity_regularizer", "trainable")
    ends = ("initializer", "regularizer", "constraint")
    kernels = (("depthwise", depthwise), ("pointwise", pointwise))
    return (
        {"type": f"separable_conv{axes}d"}
        | {name: depthwise[name] for name in window}
        | {name: pointwise[name] for name in rest}
        | {f"bias_{end}": pointwise[f"bias_{end}"] for end in ends}
        | {f"{word}_{end}": layer[f"kernel_{end}"] for word, layer in kernels for end in ends}
    )


def merged_alike(reference: Form, other: Form) -> Forms | None:
    """Take the reference's order of what is added, multiplied or averaged."""
    mine, theirs = reference.job.model, other.job.model
    if kinds(reference) != kinds(other):
        return None
    layers = other.document["model"]["layers"]
    changed = False
    for index, layer in enumerate(theirs.layers):
        wanted, found = mine.sources(index), theirs.sources(index)
        commutes = isinstance(layer, Merge) and layer.type in ("add", "multiply", "average")
        if commutes and wanted != found and sorted(wanted) == sorted(found):
            names = dict(zip(found, layers[index]["inputs"], strict=True))
            layers[index] = layers[index] | {"inputs": [names[place] for place in wanted]}
            changed = True
    return (reference, other.with_layers(layers)) if changed else None


def listed_alike(reference: Form, other: Form) -> Forms | None:
    """List the other's layers in the reference's order, where each has the same name and the same inputs."""
    mine, theirs = reference.job.model, other.job.model
    handles = [[layer.name or index for index, layer in enumerate(one.layers)] for one in (mine, theirs)]
    if handles[0] == handles[1] or sorted(map(str, handles[0])) != sorted(map(str, handles[1])):
        return None
    read = [
        {
            name: [named[place - 1] if place else "input" for place in one.sources(index)]
            for index, name in enumerate(named)
        }
        for one, named in zip((mine, theirs), handles, strict=True)
    ]
    if read[0] != read[1]:
        return None
    found = dict(zip(handles[1], other.document["model"]["layers"], strict=True))
    wanted = zip(handles[0], reference.document["model"]["layers"], strict=True)
    layers = [found[name] | {"inputs": layer["inputs"]} for name, layer in wanted]
    return reference, drawn_otherwise(other.with_layers(layers))
