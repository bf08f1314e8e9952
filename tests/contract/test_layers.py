"""Every layer's outputs, and its weights' gradients, are those of its formula, by loops in NumPy.

The formulas here are written from `shared.job.layers` alone, as plainly as they go. Longer than 400
lines: a formula a layer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any, get_args

import numpy as np
import pytest

from likewise.shared.job import Job, Layer
from likewise.shared.job.activations import LINEAR
from likewise.shared.job.layers.recurrent import Gru
from likewise.shared.program import compile_job
from likewise.worker.adapters.base import UnsupportedError
from likewise.worker.adapters.trainer import Block

Weights = dict[str, np.ndarray]


Place = tuple[int, ...]


def numbers(value: Any, axes: int) -> Place:
    """A number for each axis."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def padding_before(padding: Any, axis: int, *, size: int, reach: int, stride: int) -> int:
    """TensorFlow's rule for `same`: the smaller half first; half a window for `symmetric`; or the number."""
    if padding == "same":
        return max((-(-size // stride) - 1) * stride + reach - size, 0) // 2
    if isinstance(padding, str):
        return reach // 2 if padding == "symmetric" else 0
    if isinstance(padding, int):
        return padding
    before = padding[axis]
    return before if isinstance(before, int) else before[0]


def windows(layer: Any, field: str, x: np.ndarray) -> Iterator[tuple[Place, list[tuple[Place, Place]]]]:
    """Each output place with the input places that its window meets, and where in the window each is."""
    shape = x.shape[1:-1]
    sizes = numbers(getattr(layer, field), len(shape))
    strides = sizes if layer.strides is None else numbers(layer.strides, len(shape))
    apart = numbers(getattr(layer, "dilation", 1), len(shape))
    for place in itertools.product(*map(range, layer.output_shape(x.shape[1:])[: len(shape)])):
        by_axis = []
        for axis, at in enumerate(place):
            reach = (sizes[axis] - 1) * apart[axis] + 1
            begin = at * strides[axis] - PADDING_BEFORE(
                layer.padding, axis, size=shape[axis], reach=reach, stride=strides[axis]
            )
            met = ((begin + offset * apart[axis], offset) for offset in range(sizes[axis]))
            by_axis.append([(inside, offset) for inside, offset in met if 0 <= inside < shape[axis]])
        yield place, [tuple(zip(*one, strict=True)) for one in itertools.product(*by_axis)]  # type: ignore[misc]


PADDING_BEFORE = padding_before


def convolution(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
    result = np.zeros((len(x), *layer.output_shape(x.shape[1:])))
    inputs, filters = x.shape[-1] // layer.groups, layer.filters // layer.groups
    for place, met in windows(layer, "kernel_size", x):
        for (inside, offset), group in itertools.product(met, range(layer.groups)):
            kernel = w["kernel"][offset][:, group * filters : (group + 1) * filters]
            part = x[(slice(None), *inside)][:, group * inputs : (group + 1) * inputs] @ kernel
            result[(slice(None), *place)][:, group * filters : (group + 1) * filters] += part
    return result + w.get("bias", 0)


def each_channel(layer: Any, kernel: np.ndarray, x: np.ndarray) -> np.ndarray:
    found = {}
    for place, met in windows(layer, "kernel_size", x):
        each = sum(
            (x[(slice(None), *inside)][:, :, None] * kernel[offset] for inside, offset in met),
            np.zeros((len(x), *kernel.shape[-2:])),
        )
        found[place] = each.reshape(len(x), -1)
    grid = [max(axis) + 1 for axis in zip(*found, strict=True)]
    return np.stack([found[place] for place in np.ndindex(*grid)], axis=1).reshape(len(x), *grid, -1)


def depthwise(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
    return each_channel(layer, w["kernel"], x) + w.get("bias", 0)


def separable(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
    pointwise = w["pointwise_kernel"].reshape(w["pointwise_kernel"].shape[-2:])
    return each_channel(layer, w["depthwise_kernel"], x) @ pointwise + w.get("bias", 0)


def locally_connected(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
    result = np.zeros((len(x), *layer.output_shape(x.shape[1:])))
    sizes = numbers(layer.kernel_size, x.ndim - 2)
    for number, (place, met) in enumerate(windows(layer, "kernel_size", x)):
        own = w["kernel"][number].reshape(*sizes, x.shape[-1], layer.filters)
        for inside, offset in met:
            result[(slice(None), *place)] += x[(slice(None), *inside)] @ own[offset]
    return result + w.get("bias", 0)


def kept_of(layer: Any, size: int, axis: int, *, k: int, s: int) -> tuple[int, int]:
    """Where what a transposed convolution keeps of an axis begins, and how many outputs it is."""
    whole, more = (size - 1) * s + k, layer.output_padding
    more = more[axis] if isinstance(more, tuple) else more
    if layer.padding == "valid":
        return 0, whole + (max(s - k, 0) if more is None else more)
    if layer.padding == "same" and more is None:
        return max(k - s, 0) // 2, size * s
    if layer.padding == "same":
        count = whole - k // 2 * 2 + more
        return max(whole - count, 0) // 2, count
    begin = -(-max(k - s, 0) // 2) if layer.padding == "symmetric" else numbers(layer.padding, axis + 1)[axis]
    return begin, size * s if layer.padding == "symmetric" and more is None else whole - 2 * begin + (
        more or 0
    )


def transposed(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
    axes = x.ndim - 2
    sizes, strides = numbers(layer.kernel_size, axes), numbers(layer.strides, axes)
    kept = [
        kept_of(layer, size, axis, k=sizes[axis], s=strides[axis]) for axis, size in enumerate(x.shape[1:-1])
    ]
    room = [
        max((size - 1) * s + k, begin + count)
        for size, s, k, (begin, count) in zip(x.shape[1:-1], strides, sizes, kept, strict=True)
    ]
    result = np.zeros((len(x), *room, layer.filters))
    for place in itertools.product(*map(range, x.shape[1:-1])):
        inside = (slice(at * s, at * s + k) for at, s, k in zip(place, strides, sizes, strict=True))
        result[(slice(None), *inside)] += np.einsum("bc,...fc->b...f", x[(slice(None), *place)], w["kernel"])
    cut = (slice(begin, begin + count) for begin, count in kept)
    return result[(slice(None), *cut)] + w.get("bias", 0)


def pooling(layer: Any, _: Weights, x: np.ndarray) -> np.ndarray:
    result = np.empty((len(x), *layer.output_shape(x.shape[1:])))
    whole = np.prod(numbers(layer.pool_size, x.ndim - 2))
    for place, met in windows(layer, "pool_size", x):
        values = np.stack([x[(slice(None), *inside)] for inside, _ in met])
        if layer.type.startswith("max"):
            pooled = values.max(axis=0)
        else:
            pooled = values.sum(axis=0) / (whole if layer.count_include_pad else len(values))
        result[(slice(None), *place)] = pooled
    return result


def flatten(layer: Any, _: Weights, x: np.ndarray) -> np.ndarray:
    x = np.moveaxis(x, -1, 1) if layer.order == "channels_first" else x
    return x.reshape(len(x), -1)


def reshape(layer: Any, _: Weights, x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), *layer.target_shape)


def normalized(layer: Any, w: Weights, x: np.ndarray, mean: Any, variance: Any) -> np.ndarray:
    return w["gamma"] * (x - mean) / np.sqrt(variance + layer.epsilon) + w["beta"]


def over_axes(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
    """Over some axes of each sample, which gamma and beta have; rms_norm takes no mean off."""
    declared = [layer.axis] if isinstance(layer.axis, int) else layer.axis
    axes = tuple(sorted(axis % x.ndim for axis in declared))
    own = {
        name: array.reshape([size if axis in axes else 1 for axis, size in enumerate(x.shape)])
        for name, array in w.items()
    }
    if layer.type == "rms_norm":
        return own["gamma"] * x / np.sqrt((x**2).mean(axis=axes, keepdims=True) + layer.epsilon)
    return normalized(layer, own, x, x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True))


def by_group(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
    """One group of channels after another."""
    groups = x.shape[-1] if layer.type == "instance_norm" or layer.groups == -1 else layer.groups
    size = x.shape[-1] // groups
    parts = []
    for at in range(0, x.shape[-1], size):
        part = x[..., at : at + size]
        axes = tuple(range(1, x.ndim))
        mean, variance = part.mean(axis=axes, keepdims=True), part.var(axis=axes, keepdims=True)
        parts.append((part - mean) / np.sqrt(variance + layer.epsilon))
    return w.get("gamma", 1.0) * np.concatenate(parts, axis=-1) + w.get("beta", 0.0)


def gated(layer: Any, _: Weights, x: np.ndarray) -> np.ndarray:
    """One half times a function of the other."""
    half = x.shape[-1] // 2
    one, two = x[..., :half], x[..., half:]
    gate, other = (one, two) if layer.gate == "first" else (two, one)
    return other * (gate * sigmoid(gate) if layer.activation.type == "silu" else sigmoid(gate))


def batch_norm(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
    """With the batch's statistics where `w` has no moving ones: in training."""
    axes = tuple(range(x.ndim - 1))
    mean, variance = w.get("moving_mean", x.mean(axis=axes)), w.get("moving_variance", x.var(axis=axes))
    return normalized(layer, w, x, mean, variance)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def recurrent(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
    units = layer.units
    h, c, outputs = np.zeros((len(x), units)), np.zeros((len(x), units)), []
    bias = w.get("bias", np.zeros((2, 3 * units)) if layer.type == "gru" else 0)
    if layer.type == "gru" and not layer.reset_after:
        bias = np.stack([np.broadcast_to(w.get("bias", 0), 3 * units), np.zeros(3 * units)])
    for step in range(x.shape[1]):
        if layer.type == "gru":
            z, r, n = np.split(x[:, step] @ w["kernel"] + bias[0], 3, axis=-1)
            z_h, r_h, n_h = np.split(h @ w["recurrent_kernel"] + bias[1], 3, axis=-1)
            update, reset = sigmoid(z + z_h), sigmoid(r + r_h)
            n_h = reset * n_h if layer.reset_after else (reset * h) @ w["recurrent_kernel"][:, 2 * units :]
            h = update * h + (1 - update) * np.tanh(n + n_h)
        else:
            sums = x[:, step] @ w["kernel"] + h @ w["recurrent_kernel"] + bias
            if layer.type == "lstm":
                i, f, g, o = (sums[:, at * units : (at + 1) * units] for at in GATES)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            else:
                h = np.maximum(sums, 0) if layer.activation == "relu" else np.tanh(sums)
        outputs.append(h)
    return np.stack(outputs, axis=1) if layer.return_sequences else h


GATES = [0, 1, 2, 3]
"""Where the input, forget, candidate and output gates of an lstm are."""


def bidirectional(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
    own = [
        {name.removeprefix(way): a for name, a in w.items() if name.startswith(way)}
        for way in ("forward.", "backward.")
    ]
    there = recurrent(layer.layer, own[0], x)
    back = recurrent(layer.layer, own[1], x[:, ::-1])
    return np.concatenate([there, back[:, ::-1] if layer.layer.return_sequences else back], axis=-1)


def middle_axes(x: np.ndarray) -> tuple[int, ...]:
    return tuple(range(1, x.ndim - 1))


def by_side(value: Any, axes: int) -> list[tuple[int, int]]:
    """Before and after each axis."""
    every = [value] * axes if isinstance(value, int) else list(value)
    every = [every] if axes == 1 and len(every) == 2 else every
    return [(one, one) if isinstance(one, int) else tuple(one) for one in every]


def zero_padded(layer: Any, _: Weights, x: np.ndarray) -> np.ndarray:
    return np.pad(x, [(0, 0), *by_side(layer.padding, x.ndim - 2), (0, 0)])


def cropped(layer: Any, _: Weights, x: np.ndarray) -> np.ndarray:
    sides = by_side(layer.cropping, x.ndim - 2)
    return x[(slice(None), *(slice(a, -b if b else None) for a, b in sides))]


def upsampled(layer: Any, _: Weights, x: np.ndarray) -> np.ndarray:
    """Axis after axis: numbers repeated, or read off the line between the two beside them."""
    factors = [layer.size] * (x.ndim - 2) if isinstance(layer.size, int) else layer.size
    for axis, factor in enumerate(factors, start=1):
        size = x.shape[axis]
        if layer.interpolation == "nearest":
            x = np.take(x, np.arange(size * factor) // factor, axis=axis)
            continue
        places = np.linspace(0, size - 1, size * factor)
        if not layer.align_corners:
            places = (np.arange(size * factor) + 0.5) / factor - 0.5  # np.interp holds them inside
        x = np.apply_along_axis(
            lambda line, places=places: np.interp(places, np.arange(len(line)), line), axis, x
        )
    return x


def sinusoidal(layer: Any, _: Weights, x: np.ndarray) -> np.ndarray:
    """Place by place and feature by feature."""
    steps, features = x.shape[1:]
    table = np.empty((steps, features))
    sines = -(-features // 2)
    for place, feature in itertools.product(range(steps), range(features)):
        if layer.layout == "halves":
            pair, cosine = feature % sines if feature >= sines else feature, feature >= sines
        else:
            pair, cosine = feature // 2, feature % 2 == 1
        angle = place / layer.max_wavelength ** (2 * pair / features)
        table[place, feature] = np.cos(angle) if cosine else np.sin(angle)
    return x + table


def unit_length(layer: Any, _: Weights, x: np.ndarray) -> np.ndarray:
    """Vectors along an axis over their lengths, or over epsilon where they are shorter."""
    axis = layer.axis if layer.axis > 0 else x.ndim + layer.axis
    return x / np.maximum(np.sqrt((x**2).sum(axis=axis, keepdims=True)), layer.epsilon)


FORMULAS: dict[str, Callable[[Any, Weights, np.ndarray], np.ndarray]] = {
    "dense": lambda _, w, x: x @ w["kernel"] + w.get("bias", 0),
    "flatten": flatten,
    "reshape": reshape,
    "permute": lambda layer, _, x: x.transpose(0, *layer.dims),
    "repeat_vector": lambda layer, _, x: np.stack([x] * layer.n, axis=1),
    "unit_normalization": unit_length,
    **{f"conv{axes}d": convolution for axes in (1, 2, 3)},
    **{f"depthwise_conv{axes}d": depthwise for axes in (1, 2)},
    **{f"separable_conv{axes}d": separable for axes in (1, 2)},
    **{f"locally_connected{axes}d": locally_connected for axes in (1, 2)},
    **{f"conv{axes}d_transpose": transposed for axes in (1, 2, 3)},
    **{f"{word}_pooling{axes}d": pooling for word in ("max", "average") for axes in (1, 2, 3)},
    "embedding": lambda _, w, x: w["embeddings"][x.astype(int)],
    "simple_rnn": recurrent,
    "lstm": recurrent,
    "gru": recurrent,
    "bidirectional": bidirectional,
    "layer_norm": over_axes,
    "rms_norm": over_axes,
    "group_norm": by_group,
    "instance_norm": by_group,
    "prelu": lambda _, w, x: np.where(x > 0, x, w["alpha"] * x),
    "glu": gated,
    "swiglu": gated,
    "position_embedding": lambda layer, w, x: x + w["embeddings"][layer.offset : layer.offset + x.shape[1]],
    "batch_norm": batch_norm,
    **{f"zero_padding{axes}d": zero_padded for axes in (1, 2, 3)},
    **{f"cropping{axes}d": cropped for axes in (1, 2, 3)},
    **{f"upsampling{axes}d": upsampled for axes in (1, 2, 3)},
    "sinusoidal_position": sinusoidal,
    "masking": lambda layer, _, x: x * (x != layer.mask_value).any(axis=-1, keepdims=True),
    "global_average_pooling": lambda _, __, x: x.mean(axis=middle_axes(x)),
    "global_max_pooling": lambda _, __, x: x.max(axis=middle_axes(x)),
}


def attention(layer: Any, w: Weights, inputs: list[np.ndarray]) -> np.ndarray:
    query, value, key = inputs[0], inputs[1 % len(inputs)], inputs[-1]
    q, k, v = (
        np.einsum("bse,ehd->bhsd", x, w[f"{name}.kernel"]) + w.get(f"{name}.bias", ZERO)[..., None, :]
        for name, x in (("query", query), ("key", key), ("value", value))
    )
    scores = q @ k.swapaxes(-1, -2) / np.sqrt(layer.key_dim)
    if layer.use_causal_mask:
        scores[..., np.triu(np.ones(scores.shape[-2:], bool), 1)] = -np.inf
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    each = scores / scores.sum(axis=-1, keepdims=True) @ v
    output = np.einsum("bhsv,hve->bse", each, w["attention_output.kernel"])
    return output + w.get("attention_output.bias", ZERO)


def dotted(layer: Any, inputs: list[np.ndarray]) -> np.ndarray:
    axes = (layer.axes, layer.axes) if isinstance(layer.axes, int) else layer.axes
    if layer.normalize:
        inputs = [
            x / np.linalg.norm(x, axis=axis, keepdims=True) for x, axis in zip(inputs, axes, strict=True)
        ]
    rows = []
    for one, two in zip(*inputs, strict=True):
        places = [axis if axis < 0 else axis - 1 for axis in axes]
        rows.append(np.tensordot(one, two, axes=places))
    return np.stack(rows).reshape(len(rows), *(rows[0].shape or (1,)))


ZERO = np.zeros(1)
ATTEND = attention
MERGES: dict[str, Callable[[Any, list[np.ndarray]], np.ndarray]] = {
    "add": lambda _, inputs: sum(inputs[1:], inputs[0]),
    "subtract": lambda _, inputs: inputs[0] - inputs[1],
    "multiply": lambda _, inputs: reduce(np.multiply, inputs),
    "average": lambda _, inputs: sum(inputs[1:], inputs[0]) / len(inputs),
    "maximum": lambda _, inputs: reduce(np.maximum, inputs),
    "minimum": lambda _, inputs: reduce(np.minimum, inputs),
    "concatenate": lambda layer, inputs: np.concatenate(inputs, axis=layer.axis),
    "stack": lambda layer, inputs: np.stack(inputs, axis=layer.axis),
    "dot": dotted,
}


def numpy_outputs(job: Job, weights: Weights, x: np.ndarray) -> np.ndarray:
    """The model's outputs by the formulas."""
    outputs = [x]
    rest = x.reshape(len(x), -1)
    for index, layer in enumerate(job.model.layers):
        if layer.type == "input":
            own, rest = np.split(rest, [int(np.prod(layer.shape))], axis=1)
            outputs.append(own.reshape(len(x), *layer.shape))
            continue
        taken = [outputs[place] for place in job.model.sources(index)]
        path = job.model.layer_path(index)
        own = {n.removeprefix(f"{path}."): a for n, a in weights.items() if n.startswith(f"{path}.")}
        if layer.type == "multi_head_attention":
            x = ATTEND(layer, own, taken)
        elif layer.type in MERGES:
            x = MERGES[layer.type](layer, taken)
        else:
            x = FORMULAS[layer.type](layer, own, taken[0])
        if layer.type != "simple_rnn" and getattr(layer, "activation", LINEAR).type == "tanh":
            x = np.tanh(x)
        outputs.append(x)
    return x


def windowed(kind: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"type": kind, "activation": "tanh", **fields}, {"type": "flatten"}]


def pooled(kind: str, **fields: Any) -> list[dict[str, Any]]:
    own = f"conv{kind[-2] if kind.endswith('d') else 2}d"
    return [{"type": own, "filters": 3, "kernel_size": 1}, {"type": kind, **fields}, {"type": "flatten"}]


def spaced(kind: str, **fields: Any) -> list[dict[str, Any]]:
    """The layer between a dense one, so that gradients pass it, and a flattening."""
    return [
        {"type": "dense", "units": 2, "activation": "tanh"},
        {"type": kind, **fields},
        {"type": "flatten"},
    ]


def merging(kind: str, **fields: Any) -> list[dict[str, Any]]:
    """Three dense layers of one width, merged."""
    inputs = fields.pop("inputs", ["a", "b", "c"])
    dense = [{"type": "dense", "units": 3, "name": name, "inputs": ["input"]} for name in inputs]
    return [*dense, {"type": kind, "inputs": inputs, **fields}, {"type": "flatten"}]


IMAGE, SEQUENCE, VOLUME = (6, 5, 2), (7, 2), (4, 5, 3, 2)
CASES: dict[str, tuple[tuple[int, ...], list[Any]]] = {
    "masking": (
        SEQUENCE,
        [{"type": "dense", "units": 1, "activation": "tanh"}, *spaced("masking", mask_value=0.5)[1:]],
    ),
    "positions": (SEQUENCE, spaced("sinusoidal_position")),
    "positions of an odd number in halves": (
        SEQUENCE,
        [
            {"type": "dense", "units": 5},
            {"type": "sinusoidal_position", "layout": "halves"},
            {"type": "flatten"},
        ],
    ),
    "positions of short waves": (SEQUENCE, spaced("sinusoidal_position", max_wavelength=30.0)),
    "conv2d": (IMAGE, windowed("conv2d", filters=3, kernel_size=3)),
    "conv2d without bias": (IMAGE, windowed("conv2d", filters=3, kernel_size=[2, 3], use_bias=False)),
    "conv2d same": (IMAGE, windowed("conv2d", filters=3, kernel_size=3, padding="same")),
    "conv2d same, even kernel": (IMAGE, windowed("conv2d", filters=2, kernel_size=4, padding="same")),
    "conv2d same, strides 2": (
        IMAGE,
        windowed("conv2d", filters=3, kernel_size=3, strides=2, padding="same"),
    ),
    "conv2d same, strides 3 and 2": (
        IMAGE,
        windowed("conv2d", filters=2, kernel_size=[2, 4], strides=[3, 2], padding="same"),
    ),
    "conv2d strides beyond the kernel": (
        IMAGE,
        windowed("conv2d", filters=2, kernel_size=1, strides=2, padding="same"),
    ),
    "conv2d symmetric, strides 2": (
        IMAGE,
        windowed("conv2d", filters=3, kernel_size=3, strides=2, padding="symmetric"),
    ),
    "conv2d symmetric, even kernel": (
        IMAGE,
        windowed("conv2d", filters=2, kernel_size=[2, 4], strides=[1, 2], padding="symmetric"),
    ),
    "depthwise_conv2d": (IMAGE, windowed("depthwise_conv2d", kernel_size=3)),
    "depthwise_conv2d, two a channel": (
        IMAGE,
        windowed(
            "depthwise_conv2d",
            kernel_size=[3, 2],
            depth_multiplier=2,
            strides=2,
            padding="same",
            use_bias=False,
        ),
    ),
    "depthwise_conv2d symmetric": (
        IMAGE,
        windowed("depthwise_conv2d", kernel_size=3, strides=2, padding="symmetric", depth_multiplier=3),
    ),
    "conv2d_transpose": (IMAGE, windowed("conv2d_transpose", filters=3, kernel_size=3)),
    "conv2d_transpose, strides beyond the kernel": (
        IMAGE,
        windowed("conv2d_transpose", filters=3, kernel_size=2, strides=[3, 1]),
    ),
    "conv2d_transpose same": (
        IMAGE,
        windowed("conv2d_transpose", filters=3, kernel_size=3, strides=2, padding="same"),
    ),
    "conv2d_transpose same, even kernel": (
        IMAGE,
        windowed(
            "conv2d_transpose", filters=2, kernel_size=[4, 5], strides=[2, 1], padding="same", use_bias=False
        ),
    ),
    "conv2d_transpose same, strides beyond the kernel": (
        IMAGE,
        windowed("conv2d_transpose", filters=2, kernel_size=1, strides=2, padding="same"),
    ),
    "conv2d in groups, dilated": (
        (7, 8, 4),
        windowed("conv2d", filters=6, kernel_size=[2, 3], groups=2, dilation=[3, 2], padding="same"),
    ),
    "conv2d dilated, strides 2": (
        (7, 8, 2),
        windowed("conv2d", filters=3, kernel_size=3, dilation=2, strides=[2, 1], padding="symmetric"),
    ),
    "conv2d, padding by axis": (
        IMAGE,
        windowed("conv2d", filters=3, kernel_size=3, strides=2, padding=[1, 2]),
    ),
    "conv2d, padding by side": (
        IMAGE,
        windowed("conv2d", filters=3, kernel_size=3, strides=2, padding=[[0, 1], [2, 0]]),
    ),
    "conv1d dilated": (SEQUENCE, windowed("conv1d", filters=2, kernel_size=3, dilation=2, padding=1)),
    "conv1d, a kernel that only fits on padding": (
        (1, 2),
        windowed("conv1d", filters=2, kernel_size=2, dilation=2, padding=1),
    ),
    "separable_conv2d, a kernel that only fits on padding": (
        (1, 1, 2),
        windowed("separable_conv2d", filters=2, kernel_size=3, padding="symmetric"),
    ),
    "conv3d": (VOLUME, windowed("conv3d", filters=2, kernel_size=[2, 3, 1], strides=[1, 2, 1])),
    "conv3d same": (VOLUME, windowed("conv3d", filters=2, kernel_size=2, strides=2, padding="same")),
    "conv3d in groups": (
        VOLUME,
        windowed("conv3d", filters=4, kernel_size=2, groups=2, padding=[1, 0, [0, 1]]),
    ),
    "depthwise_conv1d": (
        SEQUENCE,
        windowed("depthwise_conv1d", kernel_size=3, depth_multiplier=2, strides=2, padding="same"),
    ),
    "depthwise_conv2d, uneven strides": (
        IMAGE,
        windowed("depthwise_conv2d", kernel_size=[3, 2], strides=[2, 1], dilation=[1, 2], padding=1),
    ),
    "separable_conv1d": (SEQUENCE, windowed("separable_conv1d", filters=3, kernel_size=3, padding="same")),
    "separable_conv2d": (
        IMAGE,
        windowed("separable_conv2d", filters=3, kernel_size=3, depth_multiplier=2, strides=[1, 2]),
    ),
    "separable_conv2d without bias": (
        IMAGE,
        windowed(
            "separable_conv2d", filters=2, kernel_size=2, strides=2, dilation=2, use_bias=False, padding=1
        ),
    ),
    "locally_connected1d": (SEQUENCE, windowed("locally_connected1d", filters=2, kernel_size=3, strides=2)),
    "locally_connected2d": (
        IMAGE,
        windowed("locally_connected2d", filters=2, kernel_size=[2, 3], padding="same", strides=[2, 1]),
    ),
    "conv1d_transpose": (
        SEQUENCE,
        windowed("conv1d_transpose", filters=3, kernel_size=3, strides=2, padding=1, output_padding=1),
    ),
    "conv2d_transpose symmetric": (
        IMAGE,
        windowed("conv2d_transpose", filters=2, kernel_size=[3, 4], strides=2, padding="symmetric"),
    ),
    "conv2d_transpose, padding and more at the end": (
        IMAGE,
        windowed(
            "conv2d_transpose",
            filters=2,
            kernel_size=3,
            strides=[2, 3],
            padding=[1, 0],
            output_padding=[0, 2],
            use_bias=False,
        ),
    ),
    "conv2d_transpose same, more at the end": (
        IMAGE,
        windowed(
            "conv2d_transpose", filters=2, kernel_size=[3, 4], strides=2, padding="same", output_padding=1
        ),
    ),
    "conv2d_transpose valid, more at the end": (
        IMAGE,
        windowed("conv2d_transpose", filters=2, kernel_size=3, strides=2, output_padding=1),
    ),
    "conv3d_transpose": (
        (2, 3, 2, 2),
        windowed("conv3d_transpose", filters=2, kernel_size=[2, 3, 1], strides=[1, 2, 2], padding="same"),
    ),
    "max_pooling2d, padding by axis": (
        IMAGE,
        pooled("max_pooling2d", pool_size=[2, 3], strides=2, padding=[1, 0]),
    ),
    "max_pooling3d": (VOLUME, pooled("max_pooling3d", pool_size=[2, 3, 1], strides=1)),
    "max_pooling3d same": (VOLUME, pooled("max_pooling3d", pool_size=2, padding="same")),
    "average_pooling3d symmetric": (
        VOLUME,
        pooled("average_pooling3d", pool_size=[3, 2, 2], strides=2, padding="symmetric"),
    ),
    "average_pooling3d, padding counted": (
        VOLUME,
        pooled("average_pooling3d", pool_size=2, padding=1, count_include_pad=True),
    ),
    "global_average_pooling 3d": (VOLUME, [{"type": "dense", "units": 3}, "global_average_pooling"]),
    "global_max_pooling 3d": (VOLUME, [{"type": "dense", "units": 3}, "global_max_pooling"]),
    "conv1d symmetric": (SEQUENCE, windowed("conv1d", filters=3, kernel_size=5, padding="symmetric")),
    "conv1d": (SEQUENCE, windowed("conv1d", filters=3, kernel_size=3, strides=2)),
    "conv1d same": (SEQUENCE, windowed("conv1d", filters=3, kernel_size=4, strides=2, padding="same")),
    "max_pooling2d": (IMAGE, pooled("max_pooling2d")),
    "max_pooling2d same": (IMAGE, pooled("max_pooling2d", pool_size=3, strides=2, padding="same")),
    "max_pooling1d same": (SEQUENCE, pooled("max_pooling1d", pool_size=2, padding="same")),
    "average_pooling2d": (IMAGE, pooled("average_pooling2d", pool_size=[3, 2], strides=[1, 2])),
    "average_pooling2d same": (IMAGE, pooled("average_pooling2d", pool_size=3, strides=2, padding="same")),
    "average_pooling1d same": (SEQUENCE, pooled("average_pooling1d", pool_size=3, padding="same")),
    "max_pooling2d symmetric": (IMAGE, pooled("max_pooling2d", pool_size=3, strides=2, padding="symmetric")),
    "max_pooling1d symmetric": (SEQUENCE, pooled("max_pooling1d", pool_size=2, padding="symmetric")),
    "average_pooling2d symmetric": (
        IMAGE,
        pooled("average_pooling2d", pool_size=[3, 2], strides=2, padding="symmetric"),
    ),
    "average_pooling2d symmetric, padding counted": (
        IMAGE,
        pooled("average_pooling2d", pool_size=3, strides=2, padding="symmetric", count_include_pad=True),
    ),
    "average_pooling2d same, padding counted": (
        IMAGE,
        pooled("average_pooling2d", pool_size=3, strides=2, padding="same", count_include_pad=True),
    ),
    "average_pooling1d symmetric": (
        SEQUENCE,
        pooled("average_pooling1d", pool_size=3, strides=2, padding="symmetric"),
    ),
    "flatten, channels first": (
        IMAGE,
        [{"type": "flatten", "order": "channels_first"}, {"type": "dense", "units": 3}],
    ),
    "flatten a row, channels first": ((4,), [{"type": "flatten", "order": "channels_first"}]),
    "global_average_pooling": (IMAGE, pooled("global_average_pooling")[:2]),
    "global_average_pooling 1d": (SEQUENCE, [{"type": "dense", "units": 3}, "global_average_pooling"]),
    "global_max_pooling": (IMAGE, pooled("global_max_pooling")[:2]),
    "global_max_pooling 1d": (SEQUENCE, [{"type": "dense", "units": 3}, "global_max_pooling"]),
    "residual": (
        (4,),
        [
            {"type": "dense", "units": 4, "activation": "tanh", "name": "inner"},
            {"type": "add", "inputs": ["input", "inner"]},
        ],
    ),
    "branches": (
        IMAGE,
        [
            {"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same", "name": "wide"},
            {"type": "conv2d", "filters": 2, "kernel_size": 1, "inputs": ["input"], "name": "narrow"},
            {"type": "concatenate", "inputs": ["narrow", "wide", "narrow"]},
            {"type": "flatten"},
        ],
    ),
    "concatenate on another axis": (IMAGE, merging("concatenate", axis=1)),
    "concatenate on an axis from the last": (IMAGE, merging("concatenate", axis=-2)),
    "stack": (SEQUENCE, merging("stack")),
    "stack first": (SEQUENCE, merging("stack", axis=1)),
    "subtract": ((4,), merging("subtract", inputs=["a", "b"])),
    "multiply": (SEQUENCE, merging("multiply")),
    "multiply by one number a channel": (
        IMAGE,
        [
            {"type": "dense", "units": 3, "name": "image"},
            {"type": "global_average_pooling"},
            {"type": "reshape", "target_shape": [1, 1, 3], "name": "each"},
            {"type": "multiply", "inputs": ["image", "each"]},
            {"type": "flatten"},
        ],
    ),
    "average": (SEQUENCE, merging("average")),
    "maximum": (SEQUENCE, merging("maximum")),
    "minimum": (SEQUENCE, merging("minimum")),
    "dot": (SEQUENCE, merging("dot", inputs=["a", "b"], axes=-1)),
    "dot of two axes": (SEQUENCE, merging("dot", inputs=["a", "b"], axes=[1, -2])),
    "dot of vectors, normalized": ((4,), merging("dot", inputs=["a", "b"], axes=1, normalize=True)),
    "zero_padding1d": (SEQUENCE, spaced("zero_padding1d", padding=[1, 2])),
    "zero_padding2d": (IMAGE, spaced("zero_padding2d", padding=[1, [0, 2]])),
    "zero_padding3d": (VOLUME, spaced("zero_padding3d", padding=1)),
    "cropping1d": (SEQUENCE, spaced("cropping1d", cropping=[[1, 0]])),
    "cropping2d": (IMAGE, spaced("cropping2d", cropping=[[1, 2], 1])),
    "cropping3d": (VOLUME, spaced("cropping3d", cropping=[1, [2, 0], 1])),
    "upsampling1d": (SEQUENCE, spaced("upsampling1d", size=3)),
    "upsampling1d linear": (SEQUENCE, spaced("upsampling1d", size=3, interpolation="linear")),
    "upsampling2d": (IMAGE, spaced("upsampling2d", size=[1, 2])),
    "upsampling2d bilinear": (IMAGE, spaced("upsampling2d", size=[2, 3], interpolation="bilinear")),
    "upsampling2d bilinear, corners aligned": (
        IMAGE,
        spaced("upsampling2d", interpolation="bilinear", align_corners=True),
    ),
    "upsampling3d": (VOLUME, spaced("upsampling3d", size=2)),
    "upsampling3d trilinear": (
        VOLUME,
        spaced("upsampling3d", size=[2, 1, 2], interpolation="trilinear", align_corners=True),
    ),
    "embedding": ((5,), [{"type": "embedding", "input_dim": 7, "output_dim": 3}, "flatten"]),
    "simple_rnn": (SEQUENCE, [{"type": "simple_rnn", "units": 3}]),
    "simple_rnn with relu": (SEQUENCE, [{"type": "simple_rnn", "units": 3, "activation": "relu"}]),
    "lstm": (SEQUENCE, [{"type": "lstm", "units": 3}]),
    "lstm without bias": (SEQUENCE, [{"type": "lstm", "units": 3, "use_bias": False}]),
    "lstm on lstm": (
        SEQUENCE,
        [{"type": "lstm", "units": 3, "return_sequences": True}, {"type": "lstm", "units": 2}],
    ),
    "gru": (SEQUENCE, [{"type": "gru", "units": 3}]),
    "gru without bias": (SEQUENCE, [{"type": "gru", "units": 3, "use_bias": False}]),
    "gru, reset before": (SEQUENCE, [{"type": "gru", "units": 3, "reset_after": False}]),
    "gru, reset before, without bias": (
        SEQUENCE,
        [{"type": "gru", "units": 3, "reset_after": False, "use_bias": False}],
    ),
    "bidirectional gru, reset before, every step": (
        SEQUENCE,
        [
            {
                "type": "bidirectional",
                "layer": {"type": "gru", "units": 3, "reset_after": False, "return_sequences": True},
            },
            {"type": "flatten"},
        ],
    ),
    "bidirectional lstm": (
        SEQUENCE,
        [{"type": "bidirectional", "layer": {"type": "lstm", "units": 3}}],
    ),
    "bidirectional gru, every step": (
        SEQUENCE,
        [
            {"type": "bidirectional", "layer": {"type": "gru", "units": 3, "return_sequences": True}},
            {"type": "flatten"},
        ],
    ),
    "multi_head_attention": (
        (5, 6),
        [{"type": "multi_head_attention", "num_heads": 2, "key_dim": 3}, {"type": "flatten"}],
    ),
    "multi_head_attention of earlier steps, without bias": (
        (5, 6),
        [
            {
                "type": "multi_head_attention",
                "num_heads": 3,
                "key_dim": 2,
                "use_bias": False,
                "use_causal_mask": True,
            },
            {"type": "flatten"},
        ],
    ),
    "multi_head_attention of two": (
        SEQUENCE,
        [
            {"type": "conv1d", "filters": 4, "kernel_size": 3, "name": "short"},
            {"type": "multi_head_attention", "num_heads": 2, "key_dim": 2, "inputs": ["short", "input"]},
            {"type": "flatten"},
        ],
    ),
    "multi_head_attention of three": (
        SEQUENCE,
        [
            {"type": "conv1d", "filters": 3, "kernel_size": 3, "name": "short"},
            {"type": "dense", "units": 5, "inputs": ["input"], "name": "keys"},
            {
                "type": "multi_head_attention",
                "num_heads": 2,
                "key_dim": 2,
                "value_dim": 3,
                "inputs": ["short", "input", "keys"],
            },
            {"type": "flatten"},
        ],
    ),
    "layer_norm": (SEQUENCE, ["layer_norm", "flatten"]),
    "layer_norm with an epsilon": ((5,), [{"type": "layer_norm", "epsilon": 0.3}]),
    "layer_norm over several axes": (
        IMAGE,
        [
            {"type": "layer_norm", "axis": [1, -1], "name": "norm"},
            {"type": "layer_norm", "axis": [-2, -1]},
            "flatten",
        ],
    ),
    "rms_norm": (SEQUENCE, ["rms_norm", {"type": "rms_norm", "axis": 1, "epsilon": 0.1}, "flatten"]),
    "group_norm": (
        IMAGE,
        [
            {"type": "conv2d", "filters": 6, "kernel_size": 2},
            {"type": "group_norm", "groups": 3},
            {"type": "flatten"},
        ],
    ),
    "group_norm, a group a channel": (
        IMAGE,
        [{"type": "group_norm", "groups": -1, "epsilon": 0.2}, "flatten"],
    ),
    "instance_norm without weights": (IMAGE, [{"type": "instance_norm", "affine": False}, "flatten"]),
    "group_norm of features": ((8,), [{"type": "group_norm", "groups": 2}]),
    "instance_norm": (SEQUENCE, ["instance_norm", "flatten"]),
    "prelu": (
        IMAGE,
        [
            "prelu",
            {"type": "prelu", "shared_axes": [1, 2], "name": "by_channel"},
            {"type": "prelu", "shared_axes": "all"},
            {"type": "flatten"},
        ],
    ),
    "glu": ((8,), ["glu", {"type": "dense", "units": 4}, {"type": "glu", "gate": "first"}]),
    "swiglu": (
        (5, 8),
        ["swiglu", {"type": "swiglu", "gate": "second"}, {"type": "flatten"}],
    ),
    "position_embedding": (
        (5, 4),
        [{"type": "position_embedding", "sequence_length": 8, "offset": 2}, {"type": "flatten"}],
    ),
    "batch_norm": ((5,), [{"type": "dense", "units": 3}, {"type": "batch_norm"}]),
    "batch_norm of an image": (
        IMAGE,
        [
            {"type": "conv2d", "filters": 3, "kernel_size": 3},
            {"type": "batch_norm", "name": "norm", "epsilon": 0.2, "momentum": 0.7},
            {"type": "flatten"},
        ],
    ),
    "inputs": (
        (10,),
        [
            {"type": "input", "name": "flat", "shape": [4]},
            {"type": "input", "name": "steps", "shape": [3, 2]},
            {"type": "dense", "units": 3, "activation": "tanh", "inputs": ["flat"], "name": "wide"},
            {"type": "lstm", "units": 2, "inputs": ["steps"], "name": "deep"},
            {"type": "concatenate", "inputs": ["wide", "deep"]},
        ],
    ),
    "repeat_vector": (
        (5,),
        [
            {"type": "dense", "units": 3, "activation": "tanh"},
            {"type": "repeat_vector", "n": 4},
            {"type": "lstm", "units": 2},
        ],
    ),
    "unit_normalization": (
        SEQUENCE,
        [
            {"type": "dense", "units": 3},
            "unit_normalization",
            {"type": "unit_normalization", "axis": 1, "epsilon": 0.7},
            "flatten",
        ],
    ),
    "permute": (
        IMAGE,
        [{"type": "permute", "dims": [3, 1, 2]}, *windowed("conv2d", filters=2, kernel_size=2)],
    ),
    "reshape": (
        (24,),
        [{"type": "reshape", "target_shape": [4, -1, 2]}, *windowed("conv2d", filters=2, kernel_size=2)],
    ),
}


def check_layer(kit: Any, name: str, **changes: Any) -> None:
    """Outputs, loss and gradients of a case in float64, in training and out of it."""
    shape, layers = CASES[name]
    job = kit.job(layers=[*layers, {"type": "dense", "units": 2}], **changes)
    draw = np.random.default_rng(4)
    assert compile_job(job, shape).output_shape == (2,)
    places = compile_job(job, shape).weights
    weights = {place.name: draw.standard_normal(place.shape) for place in places}
    weights |= {name: array**2 + 0.1 for name, array in weights.items() if name.endswith("variance")}
    x, y = draw.standard_normal((6, *shape)), draw.standard_normal((6, 2))
    if name == "embedding":
        x = draw.integers(0, 7, x.shape).astype(np.float64)
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    for given, read in zip(weights.items(), trainer.weights().items(), strict=True):
        assert given[0] == read[0]
        np.testing.assert_array_equal(given[1], read[1])
    np.testing.assert_allclose(trainer.outputs(x), numpy_outputs(job, weights, x), rtol=1e-12, atol=1e-13)

    def loss(weights: Weights) -> float:
        changing = {place.name: weights[place.name] for place in places if place.trainable}
        return float(((numpy_outputs(job, changing, x[:4]) - y[:4]) ** 2).mean())

    first = Block(indices=np.arange(4)[None], learning_rates=np.ones(1), first_step=0)
    (before,) = trainer.train(first)
    assert before == pytest.approx(loss(weights), rel=1e-12)
    after = trainer.weights()
    lost = 1e-8 + before * 1e-15 / 2e-5  # what a difference of losses loses to their rounding
    for place in (place for place in places if place.trainable):
        array = weights[place.name]
        direction = draw.standard_normal(array.shape)
        sides = [loss({**weights, place.name: array + step * direction}) for step in (1e-5, -1e-5)]
        slope = float((direction * (array - after[place.name])).sum())
        assert slope == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6, abs=lost), place.name


def test_every_kind_of_layer_has_a_case() -> None:
    kinds = {
        word
        for layer in get_args(get_args(Layer)[0])
        for word in get_args(layer.model_fields["type"].annotation)
    }
    layers = [layer for _, layers in CASES.values() for layer in layers]
    with_cases = {layer if isinstance(layer, str) else layer["type"] for layer in layers}
    assert kinds - with_cases == {"activation", "dropout"}  # which test_gradients.py has


@pytest.mark.parametrize("name", CASES)
def test_a_layer_and_its_gradients_follow_the_formula(name: str, kit: Any) -> None:
    check_layer(kit, name)


@pytest.mark.parametrize(
    "name",
    [
        "conv2d same, strides 2",
        "depthwise_conv2d symmetric",
        "conv2d_transpose same",
        "conv2d in groups, dilated",
        "average_pooling2d same",
        "average_pooling2d symmetric",
        "flatten, channels first",
        "batch_norm",
        "embedding",
        "lstm",
        "gru",
        "gru, reset before",
        "multi_head_attention of three",
        "branches",
        "upsampling2d bilinear",
        "dot of two axes",
        "layer_norm over several axes",
        "group_norm",
        "prelu",
        "swiglu",
        "position_embedding",
    ],
)
def test_every_execution_knows_the_layer(name: str, kit: Any) -> None:
    check_layer(kit, name, execution="eager")
    check_layer(kit, name, execution="compiled")


def test_the_check_sees_padding_shared_evenly(monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:
    module = check_layer.__globals__
    monkeypatch.setitem(module, "PADDING_BEFORE", lambda *_, reach, **__: (reach - 1) // 2)
    with pytest.raises(AssertionError, match="Not equal"):
        check_layer(kit, "conv2d same, strides 2")


def test_the_check_sees_a_transposed_convolution_cut_as_pytorch_s_padding_does(
    monkeypatch: pytest.MonkeyPatch, kit: Any
) -> None:
    def shifted(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
        whole = transposed(layer.model_copy(update={"padding": "valid"}), w, x)
        return whole[:, 1:, 1:]

    monkeypatch.setitem(FORMULAS, "conv2d_transpose", shifted)
    with pytest.raises(AssertionError, match="Not equal"):
        check_layer(kit, "conv2d_transpose same")


def test_the_check_sees_corners_aligned(monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:
    def aligned(layer: Any, w: Weights, x: np.ndarray) -> np.ndarray:
        return upsampled(layer.model_copy(update={"align_corners": True}), w, x)

    monkeypatch.setitem(FORMULAS, "upsampling2d", aligned)
    with pytest.raises(AssertionError, match="Not equal"):
        check_layer(kit, "upsampling2d bilinear")


def test_the_check_sees_heads_scaled_by_all_their_features(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def scaled(layer: Any, w: Weights, inputs: list[np.ndarray]) -> np.ndarray:
        return attention(layer.model_copy(update={"key_dim": layer.key_dim * layer.num_heads}), w, inputs)

    monkeypatch.setitem(numpy_outputs.__globals__, "ATTEND", scaled)
    with pytest.raises(AssertionError, match="Not equal"):
        check_layer(kit, "multi_head_attention")


def test_the_check_sees_gates_in_another_order(monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:
    monkeypatch.setitem(check_layer.__globals__, "GATES", [0, 2, 1, 3])
    with pytest.raises(AssertionError, match="Not equal"):
        check_layer(kit, "lstm")


def test_the_check_sees_a_flattening_in_the_other_order(monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:
    monkeypatch.setitem(FORMULAS, "flatten", lambda _, __, x: x.reshape(len(x), -1))
    with pytest.raises(AssertionError, match="Not equal"):
        check_layer(kit, "flatten, channels first")


def test_the_check_sees_a_state_reset_in_the_other_place(monkeypatch: pytest.MonkeyPatch, kit: Any) -> None:
    case = ((7, 2), [{"type": "gru", "units": 3, "reset_after": False, "use_bias": False}])
    monkeypatch.setitem(CASES, "other", case)
    after = Gru(type="gru", units=3, use_bias=False)
    monkeypatch.setitem(FORMULAS, "gru", lambda _, w, x: recurrent(after, w, x))
    with pytest.raises(AssertionError, match="Not equal"):
        check_layer(kit, "other")


def moved(kit: Any, *, momentum: float, declared: str = "biased", followed: str = "biased") -> None:
    """Train a model that starts with a batch_norm, and follow its moving statistics in NumPy."""
    norm = {"type": "batch_norm", "momentum": momentum, "name": "norm", "moving_variance": declared}
    job = kit.job(
        layers=[norm, {"type": "dense", "units": 2}],
        optimizer={"type": "adamw", "learning_rate": 0.1, "weight_decay": 0.5, "global_clip_norm": 0.1},
    )
    draw = np.random.default_rng(6)
    x, y = draw.standard_normal((12, 3)) * 2 + 1, draw.standard_normal((12, 2))
    places = compile_job(job, (3,)).weights
    weights = {place.name: draw.uniform(0.5, 2, place.shape) for place in places}
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    block = kit.block(3)
    trainer.train(block)
    mean, variance = weights["norm.moving_mean"], weights["norm.moving_variance"]
    for rows in block.indices:
        mean = momentum * mean + (1 - momentum) * x[rows].mean(axis=0)
        variance = momentum * variance + (1 - momentum) * x[rows].var(
            axis=0, ddof=int(followed == "unbiased")
        )
    after = trainer.weights()
    np.testing.assert_allclose(after["norm.moving_mean"], mean, rtol=1e-13)
    np.testing.assert_allclose(after["norm.moving_variance"], variance, rtol=1e-13)
    np.testing.assert_allclose(trainer.outputs(x), numpy_outputs(job, after, x), rtol=1e-12, atol=1e-13)
    for name, array in trainer.weights().items():
        np.testing.assert_array_equal(array, after[name])


def test_batch_norm_moves_its_statistics_in_training_and_uses_them_afterwards(kit: Any) -> None:
    moved(kit, momentum=0.9)
    moved(kit, momentum=0.0)


def test_the_moving_variance_may_follow_the_unbiased_one(kit: Any) -> None:
    moved(kit, momentum=0.9, declared="unbiased", followed="unbiased")


@pytest.mark.parametrize(("declared", "followed"), [("biased", "unbiased"), ("unbiased", "biased")])
def test_the_check_sees_the_other_moving_variance(declared: str, followed: str, kit: Any) -> None:
    with pytest.raises(AssertionError, match="Not equal"):
        moved(kit, momentum=0.9, declared=declared, followed=followed)


@pytest.mark.parametrize("variance", ["biased", "unbiased"])
def test_batch_norm_takes_a_batch_of_one_sample(variance: str, kit: Any) -> None:
    job = kit.job(layers=[{"type": "batch_norm", "moving_variance": variance}, {"type": "dense", "units": 2}])
    x, y = np.random.default_rng(1).standard_normal((12, 3)), np.zeros((12, 2))
    weights = {place.name: np.ones(place.shape) for place in compile_job(job, (3,)).weights}
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    (loss,) = trainer.train(kit.block(1, batch=1))
    assert loss == pytest.approx(16.0, rel=1e-13)
    np.testing.assert_allclose(trainer.weights()["layers.0.moving_variance"], 0.99, rtol=1e-15)


OWN_STARTS_MISSING = {"torch": ["multi_head_attention of three"]}
"""Layers that a framework's own module cannot be."""
NO_START = ("locally_connected1d", "locally_connected2d", "position_embedding")
"""Layers that no framework has."""


def test_a_layer_that_the_framework_has_not_says_that_it_has_no_start_of_its_own(kit: Any) -> None:
    for name in (*OWN_STARTS_MISSING.get(kit.adapter.name, ()), *NO_START):
        shape, layers = CASES[name]
        job = kit.job(layers=[*layers, {"type": "dense", "units": 2}])
        with pytest.raises(UnsupportedError, match="initial_weights: shared"):
            kit.default_weights(job, input_shape=shape, seed=1)


def test_default_weights_of_every_layer_have_its_names_and_shapes(kit: Any) -> None:
    for name, (shape, layers) in CASES.items():
        if name in (*OWN_STARTS_MISSING.get(kit.adapter.name, ()), *NO_START):
            continue
        job = kit.job(layers=[*layers, {"type": "dense", "units": 2}])
        drawn = kit.default_weights(job, input_shape=shape, seed=1)
        shapes = {place.name: place.shape for place in compile_job(job, shape).weights}
        assert {name: array.shape for name, array in drawn.items()} == shapes
        assert compile_job(job, shape).output_shape == (2,)
