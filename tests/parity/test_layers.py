"""Models of every layer, step by step in every framework, within the bars of `test_steps`.

Float32 may differ by 5e-7 after 100 steps, and by 1e-5 where there are convolutions or batch
normalization, whose sums the frameworks take in another order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

HEAD = {"type": "dense", "units": 3}
DEEP = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "max_pooling2d", "pool_size": 2},
    {
        "type": "conv2d",
        "filters": 5,
        "kernel_size": 3,
        "strides": 2,
        "padding": "same",
        "activation": "leaky_relu",
    },
    {"type": "flatten"},
    HEAD,
]
AVERAGED = [
    {"type": "conv2d", "filters": 4, "kernel_size": [2, 3], "activation": "gelu"},
    {"type": "average_pooling2d", "pool_size": 3, "strides": 2, "padding": "same"},
    {"type": "global_average_pooling"},
    HEAD,
]
LARGEST = [
    {"type": "reshape", "target_shape": [8, 8, 1]},
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "use_bias": False},
    {"type": "max_pooling2d", "pool_size": 3, "strides": 2, "padding": "same"},
    {"type": "global_max_pooling"},
    HEAD,
]
ONE_AXIS = [
    {"type": "conv1d", "filters": 4, "kernel_size": 4, "strides": 2, "padding": "same", "activation": "silu"},
    {"type": "dropout", "rate": 0.3},
    {"type": "average_pooling1d", "pool_size": 2, "padding": "same"},
    {"type": "max_pooling1d", "pool_size": 2, "strides": 1},
    {"type": "activation", "activation": {"type": "softmax", "axis": 1}},
    {"type": "flatten"},
    HEAD,
]
NORMED = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3},
    {"type": "batch_norm", "momentum": 0.9},
    {"type": "activation", "activation": "relu"},
    {"type": "flatten"},
    {"type": "dense", "units": 6, "use_bias": False},
    {"type": "batch_norm"},
    {"type": "activation", "activation": "silu"},
    HEAD,
]
LAYER_NORMED = [
    {"type": "dense", "units": 6},
    {"type": "layer_norm"},
    {"type": "activation", "activation": "tanh"},
    HEAD,
]
LSTM = [
    {"type": "lstm", "units": 5, "return_sequences": True},
    {"type": "bidirectional", "layer": {"type": "lstm", "units": 4}},
    HEAD,
]
GRU = [{"type": "gru", "units": 5, "return_sequences": True}, {"type": "gru", "units": 4}, HEAD]
RNN = [
    {"type": "bidirectional", "layer": {"type": "simple_rnn", "units": 4, "return_sequences": True}},
    {"type": "simple_rnn", "units": 4, "use_bias": False},
    HEAD,
]
CONVENTIONS = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3, "strides": 2, "padding": "symmetric"},
    {"type": "batch_norm", "momentum": 0.9, "moving_variance": "unbiased"},
    {"type": "activation", "activation": "silu"},
    {
        "type": "average_pooling2d", "pool_size": 3, "strides": 1, "padding": "symmetric",
        "count_include_pad": True,
    },
    {"type": "dropout", "rate": 0.3, "seed": 11},
    {"type": "max_pooling2d", "pool_size": 3, "strides": 2, "padding": "symmetric"},
    {"type": "flatten", "order": "channels_first"},
    HEAD,
]  # fmt: skip
"""What a port to PyTorch writes where the shared conventions are Keras's."""
SEPARABLE = [
    {"type": "depthwise_conv2d", "kernel_size": 3, "depth_multiplier": 2, "padding": "same", "strides": 2},
    {"type": "conv2d", "filters": 3, "kernel_size": 1, "activation": "gelu"},
    {
        "type": "conv2d_transpose", "filters": 2, "kernel_size": 3, "strides": 2, "padding": "same",
        "name": "back",
    },
    {"type": "add", "inputs": ["input", "back"]},
    {"type": "conv2d_transpose", "filters": 2, "kernel_size": 2, "strides": 3, "activation": "tanh"},
    {"type": "average_pooling2d", "pool_size": 6},
    {"type": "flatten"},
    HEAD,
]  # fmt: skip
"""Convolutions apart and turned round, back to the image's own size."""
ATTENTION = [
    {"type": "dense", "units": 6, "name": "wide"},
    {"type": "multi_head_attention", "num_heads": 2, "key_dim": 5, "value_dim": 3, "name": "self"},
    {"type": "add", "inputs": ["wide", "self"]},
    {"type": "layer_norm", "name": "normed"},
    {
        "type": "multi_head_attention", "num_heads": 2, "key_dim": 3, "use_causal_mask": True,
        "inputs": ["normed", "input"], "name": "cross",
    },
    {"type": "add", "inputs": ["normed", "cross"]},
    {"type": "layer_norm"},
    {"type": "global_average_pooling"},
    HEAD,
]  # fmt: skip
"""A small transformer's residual blocks; 1/√5 and 1/√3 are not the same through float32."""
RESET_BEFORE = [
    {"type": "gru", "units": 5, "return_sequences": True, "reset_after": False, "use_bias": False},
    {"type": "bidirectional", "layer": {"type": "gru", "units": 4, "reset_after": False}},
    HEAD,
]
RESIDUAL = [
    {"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same", "name": "stem"},
    {"type": "batch_norm"},
    {"type": "activation", "activation": "relu"},
    {"type": "conv2d", "filters": 3, "kernel_size": 3, "padding": "same", "name": "inner"},
    {"type": "add", "inputs": ["stem", "inner"], "name": "sum"},
    {"type": "concatenate", "inputs": ["sum", "input"]},
    {"type": "global_average_pooling"},
    HEAD,
]
OTHER_NORMS = [
    {"type": "conv2d", "filters": 4, "kernel_size": 3},
    {"type": "group_norm", "groups": 2},
    {"type": "prelu", "shared_axes": [1, 2], "alpha_initializer": {"type": "constant", "value": 0.25}},
    {"type": "conv2d", "filters": 4, "kernel_size": 2},
    {"type": "instance_norm"},
    {"type": "activation", "activation": "silu"},
    {"type": "layer_norm", "axis": [1, 2, 3]},
    {"type": "flatten"},
    HEAD,
]
"""Every norm that takes no statistics of the batch."""
GATES = [
    {"type": "position_embedding", "sequence_length": 7, "offset": 2, "name": "places"},
    {"type": "dense", "units": 8, "name": "wide"},
    {"type": "swiglu", "name": "gated"},
    {"type": "add", "inputs": ["places", "gated"]},
    {"type": "rms_norm"},
    {"type": "dense", "units": 6},
    {"type": "glu"},
    {"type": "flatten"},
    HEAD,
]
"""A feed-forward block as in LLaMA."""
KEPT = [
    {
        "type": "conv2d", "filters": 4, "kernel_size": 3, "activation": "tanh",
        "kernel_regularizer": {"type": "l2", "l2": 0.02},
        "kernel_constraint": {"type": "max_norm", "max_value": 0.8, "axis": [0, 1, 2]},
    },
    {"type": "batch_norm", "gamma_regularizer": "l1", "beta_constraint": "non_neg"},
    {"type": "reshape", "target_shape": [4, 16]},
    {
        "type": "lstm", "units": 4, "recurrent_regularizer": {"type": "l1_l2", "l1": 0.01, "l2": 0.02},
        "kernel_constraint": "unit_norm", "bias_regularizer": "l2",
        "recurrent_constraint": {"type": "min_max_norm", "min_value": 0.5, "rate": 0.5},
    },
    HEAD,
]  # fmt: skip
"""Penalties in the loss, and bounds that each update ends within."""
SPARSE = [
    {
        "type": "dense",
        "units": 6,
        "activation": "sigmoid",
        "activity_regularizer": {"type": "l1", "l1": 0.01},
    },
    {"type": "layer_norm", "activity_regularizer": {"type": "l2", "l2": 0.01, "reduction": "sum"}},
    {"type": "flatten"},
    HEAD | {"activity_regularizer": {"type": "l1_l2", "l1": 0.01, "l2": 0.02}},
]
"""Penalties of what layers give, as in a sparse autoencoder."""
GROUPED = [
    {
        "type": "conv2d", "filters": 6, "kernel_size": [3, 2], "groups": 2, "dilation": [2, 1],
        "strides": [1, 2], "padding": [[1, 2], 1],
    },
    {"type": "depthwise_conv2d", "kernel_size": 2, "strides": [2, 1], "activation": "silu"},
    {"type": "separable_conv2d", "filters": 3, "kernel_size": 3, "padding": "same", "activation": "tanh"},
    {
        "type": "conv2d_transpose", "filters": 2, "kernel_size": 3, "strides": 2, "padding": "symmetric",
        "output_padding": 1,
    },
    {"type": "locally_connected2d", "filters": 2, "kernel_size": 2, "strides": 3},
    {"type": "flatten"},
    HEAD,
]  # fmt: skip
"""Windows that are apart, uneven, in groups, and with kernels of their own."""
VOLUMES = [
    {"type": "reshape", "target_shape": [4, 4, 4, 1]},
    {"type": "conv3d", "filters": 3, "kernel_size": 2, "activation": "silu"},
    {"type": "max_pooling3d", "pool_size": 2, "strides": 1},
    {"type": "conv3d_transpose", "filters": 2, "kernel_size": 3, "strides": 2, "padding": "same"},
    {"type": "average_pooling3d", "pool_size": [2, 3, 2], "padding": "symmetric", "count_include_pad": True},
    {"type": "flatten"},
    HEAD,
]
"""Three axes."""
SPACES = [
    {"type": "zero_padding2d", "padding": [[0, 1], 1]},
    {"type": "conv2d", "filters": 3, "kernel_size": 3, "activation": "tanh"},
    {"type": "upsampling2d", "size": [2, 3], "interpolation": "bilinear", "align_corners": True},
    {"type": "conv2d", "filters": 2, "kernel_size": 3, "strides": 2, "activation": "silu"},
    {"type": "upsampling2d", "size": 2, "interpolation": "bilinear"},
    {"type": "cropping2d", "cropping": [1, [0, 2]]},
    {"type": "upsampling2d"},
    {"type": "conv2d", "filters": 2, "kernel_size": 3, "strides": 3},
    {"type": "flatten"},
    HEAD,
]
"""Borders put on and cut off, and images made larger by each rule."""
LINES = [
    {"type": "zero_padding1d", "padding": [1, 2]},
    {"type": "separable_conv1d", "filters": 4, "kernel_size": 3, "activation": "tanh"},
    {"type": "depthwise_conv1d", "kernel_size": 2, "depth_multiplier": 2, "padding": "same"},
    {"type": "upsampling1d", "size": 2},
    {"type": "locally_connected1d", "filters": 3, "kernel_size": 3, "strides": 2, "activation": "silu"},
    {"type": "conv1d_transpose", "filters": 4, "kernel_size": 3, "strides": 2},
    {"type": "cropping1d", "cropping": [2, 1]},
    {"type": "permute", "dims": [2, 1]},
    {"type": "dense", "units": 5, "activation": {"type": "threshold", "threshold": -0.5, "value": -0.5}},
    {"type": "flatten"},
    HEAD,
]
"""What the pictures' layers are along one axis, the two of which are exchanged at the end."""
REPEATED = [
    {"type": "dense", "units": 4, "activation": "tanh"},
    {"type": "unit_normalization"},
    {"type": "repeat_vector", "n": 5},
    {"type": "lstm", "units": 3, "return_sequences": True},
    {"type": "flatten"},
    HEAD,
]
"""Vectors of length 1, and the second half of a sequence-to-sequence model."""
SMALLER_VOLUMES = [
    {"type": "reshape", "target_shape": [4, 4, 4, 1]},
    {"type": "zero_padding3d", "padding": [1, 0, [0, 1]]},
    {"type": "conv3d", "filters": 3, "kernel_size": 2, "activation": "tanh"},
    {"type": "upsampling3d", "size": [1, 2, 1]},
    {"type": "cropping3d", "cropping": [1, [1, 2], 0]},
    {"type": "conv3d", "filters": 2, "kernel_size": 2, "activation": "silu"},
    {"type": "flatten"},
    HEAD,
]
MERGED = [
    {"type": "dense", "units": 4, "activation": "tanh", "name": "a", "inputs": ["input"]},
    {"type": "dense", "units": 4, "activation": "silu", "name": "b", "inputs": ["input"]},
    {"type": "multiply", "inputs": ["a", "b"], "name": "product"},
    {"type": "maximum", "inputs": ["a", "b", "product"], "name": "largest"},
    {"type": "minimum", "inputs": ["a", "b"], "name": "least"},
    {"type": "subtract", "inputs": ["largest", "least"], "name": "apart"},
    {"type": "average", "inputs": ["apart", "a", "product"], "name": "mean"},
    {"type": "concatenate", "inputs": ["mean", "b"], "axis": 1, "name": "longer"},
    {"type": "stack", "inputs": ["longer", "longer"], "axis": 2, "name": "twice"},
    {"type": "dot", "inputs": ["twice", "longer"], "axes": [-1, 2], "normalize": True, "name": "likeness"},
    {"type": "flatten"},
    HEAD,
]
"""Everything that puts outputs together."""
WORDS = [
    {"type": "embedding", "input_dim": 9, "output_dim": 4},
    {"type": "gru", "units": 5, "use_bias": False},
    HEAD,
]
DRAW = np.random.default_rng(8)
TEXTS = {
    "layers": WORDS,
    "input_shape": [6],
    "x": DRAW.integers(0, 9, (37, 6)).astype(float).tolist(),
    "y": DRAW.standard_normal((37, 3)).tolist(),
}
FILLED = np.arange(7) < np.arange(37)[:, None] % 8
PADDED_X = (np.random.default_rng(8).integers(1, 9, (37, 7)) * FILLED).astype(float).tolist()
"""Rows of 0 to 7 words, filled up with 0."""
PADDED = TEXTS | {"x": PADDED_X, "input_shape": [7]}
MASKED = {"type": "embedding", "input_dim": 9, "output_dim": 4, "mask_zero": True, "name": "words"}


def padded(*layers: dict[str, Any]) -> dict[str, Any]:
    """A case of padded texts through these layers."""
    return PADDED | {"layers": [MASKED, *layers, HEAD]}


STEPS = [
    {"type": "activation", "activation": "relu"},
    {"type": "masking"},
    {"type": "lstm", "units": 4, "return_sequences": True},
    {"type": "simple_rnn", "units": 3},
    HEAD,
]
SEEING = {"type": "multi_head_attention", "num_heads": 2, "key_dim": 3}
SO_FAR = SEEING | {"use_causal_mask": True}
DROPOUT = {"type": "dropout", "rate": 0.2}
RESIDUE = {"type": "add", "inputs": ["words", "self"]}
MEAN = {"type": "global_average_pooling"}
BENT = {"type": "dense", "units": 5, "activation": "tanh"}
FOLLOWED = {"type": "batch_norm", "moving_variance": "unbiased"}
EVERY = {"type": "gru", "units": 4, "return_sequences": True}
ZEROED = EVERY | {"zero_output_for_mask": True}
EACH_LSTM, EACH_RNN = EVERY | {"type": "lstm"}, EVERY | {"type": "simple_rnn"}
BOTH_LSTM = {"type": "bidirectional", "layer": {"type": "lstm", "units": 3}}
BOTH_GRU = {"type": "bidirectional", "layer": EVERY}
CLIPPED = {"type": "adam", "learning_rate": 0.002, "clip_norm": 0.01}
MOMENTUM = {"type": "sgd", "learning_rate": 0.02, "momentum": 0.9}
SLOW = {"type": "sgd", "learning_rate": 0.01}
ADAM = {"type": "adam", "learning_rate": 0.002}

MODELS: dict[str, tuple[float, dict[str, Any]]] = {
    "convolutions": (1e-5, {"layers": DEEP, "input_shape": [8, 7, 2]}),
    "average pooling": (1e-5, {"layers": AVERAGED, "input_shape": [8, 8, 2], "optimizer": MOMENTUM}),
    "max pooling": (1e-5, {"layers": LARGEST, "input_shape": [64], "optimizer": MOMENTUM}),
    "one axis": (1e-5, {"layers": ONE_AXIS, "input_shape": [15, 2], "optimizer": MOMENTUM}),
    "batch norm": (1e-5, {"layers": NORMED, "input_shape": [6, 6, 2], "optimizer": MOMENTUM}),
    "layer norm": (5e-7, {"layers": LAYER_NORMED, "optimizer": MOMENTUM}),
    "lstm": (5e-7, {"layers": LSTM, "input_shape": [6, 3], "optimizer": MOMENTUM}),
    "gru": (5e-7, {"layers": GRU, "input_shape": [6, 3]}),
    "gru clipped": (5e-7, {"layers": GRU, "input_shape": [6, 3], "optimizer": CLIPPED}),
    "simple_rnn": (5e-7, {"layers": RNN, "input_shape": [6, 3], "optimizer": MOMENTUM}),
    "conventions": (1e-5, {"layers": CONVENTIONS, "input_shape": [8, 8, 2], "optimizer": MOMENTUM}),
    "other convolutions": (1e-5, {"layers": SEPARABLE, "input_shape": [8, 8, 2], "optimizer": MOMENTUM}),
    "attention": (5e-7, {"layers": ATTENTION, "input_shape": [6, 4], "optimizer": MOMENTUM}),
    "gru, reset before": (5e-7, {"layers": RESET_BEFORE, "input_shape": [6, 3]}),
    "other norms": (1e-5, {"layers": OTHER_NORMS, "input_shape": [6, 6, 2], "optimizer": MOMENTUM}),
    "gates and places": (5e-7, {"layers": GATES, "input_shape": [5, 4], "optimizer": MOMENTUM}),
    "outputs kept small": (5e-7, {"layers": SPARSE, "input_shape": [5, 4]}),
    "kept small": (1e-5, {"layers": KEPT, "input_shape": [6, 6, 2], "optimizer": MOMENTUM}),
    "residual": (1e-5, {"layers": RESIDUAL, "input_shape": [6, 6, 2], "optimizer": MOMENTUM}),
    "groups and dilation": (1e-5, {"layers": GROUPED, "input_shape": [7, 8, 4], "optimizer": SLOW}),
    "three axes": (1e-5, {"layers": VOLUMES, "input_shape": [64], "optimizer": MOMENTUM}),
    "other layers of one axis": (1e-5, {"layers": LINES, "input_shape": [8, 2], "optimizer": MOMENTUM}),
    "borders of three axes": (1e-5, {"layers": SMALLER_VOLUMES, "input_shape": [64], "optimizer": MOMENTUM}),
    "space": (1e-5, {"layers": SPACES, "input_shape": [7, 6, 2], "optimizer": MOMENTUM}),
    "repeated": (5e-7, {"layers": REPEATED, "input_shape": [6], "optimizer": MOMENTUM}),
    "merging": (5e-7, {"layers": MERGED, "input_shape": [4, 3], "optimizer": MOMENTUM}),
    "embedding": (5e-7, TEXTS | {"optimizer": MOMENTUM}),
    "embedding with Adam": (5e-7, TEXTS | {"optimizer": ADAM}),
    "padded lstm": (
        5e-7,
        padded(EACH_LSTM, {"type": "dropout", "rate": 0.2}, {"type": "layer_norm"}, BOTH_LSTM),
    ),
    "padded gru": (
        5e-7,
        padded(BOTH_GRU, EVERY | {"zero_output_for_mask": True}, EACH_RNN, {"type": "flatten"}),
    ),
    "padded means": (1e-5, padded(BENT, FOLLOWED, {"type": "batch_norm"}, MEAN) | {"optimizer": MOMENTUM}),
    "padded attention": (
        5e-7,
        padded(SEEING | {"name": "self"}, RESIDUE, SEEING | {"use_causal_mask": True}, MEAN),
    ),
    "positions": (5e-7, padded(BENT, {"type": "sinusoidal_position"}, SEEING, MEAN)),
    "masked steps": (5e-7, {"layers": STEPS, "input_shape": [8, 1]}),
    "convolutions with Adam": (1e-5, {"layers": DEEP, "input_shape": [8, 7, 2], "optimizer": ADAM}),
}
"""Name, float32's bar, and the case. Why Adam's convolutions have no tanh, `test_small_numbers` shows."""


def with_change(layers: list[dict[str, Any]], index: int, **change: Any) -> list[dict[str, Any]]:
    """The layers with a field of one of them changed."""
    return [layer | (change if place == index else {}) for place, layer in enumerate(layers)]


FAULTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "batch norm's momentum turned round": (
        {"layers": NORMED, "input_shape": [6, 6, 2]},
        {"layers": with_change(NORMED, 1, momentum=0.1), "input_shape": [6, 6, 2]},
    ),
    "PyTorch's epsilon in batch norm": (
        {"layers": NORMED, "input_shape": [6, 6, 2]},
        {"layers": with_change(NORMED, 1, epsilon=1e-5), "input_shape": [6, 6, 2]},
    ),
    "PyTorch's epsilon in layer norm": (
        {"layers": LAYER_NORMED},
        {"layers": with_change(LAYER_NORMED, 1, epsilon=1e-5)},
    ),
    "a gru clipped by another norm": (
        {"layers": GRU, "input_shape": [6, 3], "optimizer": CLIPPED},
        {"layers": GRU, "input_shape": [6, 3], "optimizer": ADAM | {"global_clip_norm": 0.01}},
    ),
    "relu for tanh in a simple_rnn": (
        {"layers": RNN, "input_shape": [6, 3]},
        {"layers": with_change(RNN, 1, activation="relu"), "input_shape": [6, 3]},
    ),
    "another branch added": (
        {"layers": RESIDUAL, "input_shape": [6, 6, 2]},
        {"layers": with_change(RESIDUAL, 4, inputs=["inner", "inner"]), "input_shape": [6, 6, 2]},
    ),
    "symmetric padding of each channel for same": (
        {"layers": SEPARABLE, "input_shape": [8, 8, 2]},
        {"layers": with_change(SEPARABLE, 0, padding="symmetric"), "input_shape": [8, 8, 2]},
    ),
    "every step for the steps so far": (
        {"layers": ATTENTION, "input_shape": [6, 4]},
        {"layers": with_change(ATTENTION, 4, use_causal_mask=False), "input_shape": [6, 4]},
    ),
    "same for symmetric padding": (
        {"layers": CONVENTIONS, "input_shape": [8, 8, 2]},
        {"layers": with_change(CONVENTIONS, 0, padding="same"), "input_shape": [8, 8, 2]},
    ),
    "the biased for the unbiased moving variance": (
        {"layers": CONVENTIONS, "input_shape": [8, 8, 2]},
        {"layers": with_change(CONVENTIONS, 1, moving_variance="biased"), "input_shape": [8, 8, 2]},
    ),
    "padding left out of a mean": (
        {"layers": CONVENTIONS, "input_shape": [8, 8, 2]},
        {"layers": with_change(CONVENTIONS, 3, count_include_pad=False), "input_shape": [8, 8, 2]},
    ),
    "the run's dropout masks for the layer's own": (
        {"layers": CONVENTIONS, "input_shape": [8, 8, 2]},
        {"layers": with_change(CONVENTIONS, 4, seed=None), "input_shape": [8, 8, 2]},
    ),
    "channels last for channels first": (
        {"layers": CONVENTIONS, "input_shape": [8, 8, 2]},
        {"layers": with_change(CONVENTIONS, 6, order="channels_last"), "input_shape": [8, 8, 2]},
    ),
    "a state reset after the product": (
        {"layers": RESET_BEFORE, "input_shape": [6, 3]},
        {"layers": with_change(RESET_BEFORE, 0, reset_after=True), "input_shape": [6, 3]},
    ),
    "another dilation": (
        {"layers": GROUPED, "input_shape": [7, 8, 4]},
        {"layers": with_change(GROUPED, 0, dilation=1, padding=[[0, 1], 1]), "input_shape": [7, 8, 4]},
    ),
    "what same leaves for PyTorch's output padding": (
        {"layers": GROUPED, "input_shape": [7, 8, 4]},
        {"layers": with_change(GROUPED, 3, padding="same", output_padding=None), "input_shape": [7, 8, 4]},
    ),
    "corners that are not aligned": (
        {"layers": SPACES, "input_shape": [7, 6, 2], "optimizer": SLOW},
        {
            "layers": with_change(SPACES, 2, align_corners=False),
            "input_shape": [7, 6, 2],
            "optimizer": SLOW,
        },
    ),
    "a border on the other sides": (
        {"layers": SPACES, "input_shape": [7, 6, 2], "optimizer": MOMENTUM},
        {
            "layers": with_change(SPACES, 0, padding=[[1, 0], 1]),
            "input_shape": [7, 6, 2],
            "optimizer": MOMENTUM,
        },
    ),
    "lengths left as they are": (
        {"layers": MERGED, "input_shape": [4, 3]},
        {"layers": with_change(MERGED, 9, normalize=False), "input_shape": [4, 3]},
    ),
    "positions in halves": (
        padded({"type": "sinusoidal_position"}, SEEING, MEAN),
        padded({"type": "sinusoidal_position", "layout": "halves"}, SEEING, MEAN),
    ),
    "padding that counts": (
        padded(EVERY, {"type": "flatten"}),
        PADDED | {"layers": [MASKED | {"mask_zero": False}, EVERY, {"type": "flatten"}, HEAD]},
    ),
    "another value for padding": (
        {"layers": STEPS, "input_shape": [8, 1]},
        {"layers": with_change(STEPS, 1, mask_value=1.0), "input_shape": [8, 1]},
    ),
    "padding that is seen": (padded(SEEING, MEAN), padded(SEEING | {"use_padding_mask": False}, MEAN)),
    "the last output for zeros": (
        padded(ZEROED, {"type": "flatten"}),
        padded(EVERY, {"type": "flatten"}),
    ),
    "average for max pooling": (
        {"layers": LARGEST, "input_shape": [64]},
        {
            "layers": [*LARGEST[:2], {**LARGEST[2], "type": "average_pooling2d"}, *LARGEST[3:]],
            "input_shape": [64],
        },
    ),
}
"""Names, the declared case, and the one with a fault; both have weights of the same shapes."""


@pytest.fixture(scope="module")
def trained(train: Callable[..., Any], make_case: Callable[..., Any]) -> Any:
    cases = []
    for name, (_, case) in MODELS.items():
        cases += [make_case(f"float64 {name}", steps=50, **case)]
        cases += [make_case(f"float32 {name}", steps=100, precision="float32", **case)]
    for name, (right, wrong) in FAULTS.items():
        cases += [make_case(name, steps=50, **right), make_case(f"{name} (fault)", steps=50, **wrong)]
        cases[-1]["data_of"] = name
    return train(
        [*cases, make_case("again", steps=50, data_of="float64 convolutions", **MODELS["convolutions"][1])]
    )


@pytest.mark.parametrize("name", MODELS)
def test_in_float64_the_first_step_agrees_to_1e_12_and_fifty_to_1e_10(
    name: str, trained: Any, pairs: Callable[..., Any]
) -> None:
    for pair in pairs(f"float64 {name}", trained):
        assert pair.difference("start") == 0
        assert pair.difference("gradient") <= 1e-12
        assert pair.first_update_difference() <= 1e-12
        assert pair.difference("first") <= 1e-12
        one, other = pair.both("losses")
        assert abs(one[0] - other[0]) <= 1e-12 * abs(one[0])
        for what in ("losses", "end", "outputs"):
            assert pair.difference(what) <= 1e-10


@pytest.mark.parametrize("name", MODELS)
def test_in_float32_a_hundred_steps_stay_within_the_bar(
    name: str, trained: Any, pairs: Callable[..., Any]
) -> None:
    bar = MODELS[name][0]
    for pair in pairs(f"float32 {name}", trained):
        assert pair.difference("start") == 0
        assert pair.first_loss_ulps() <= 4
        assert pair.difference("gradient") <= 1e-6
        assert pair.difference("end") <= bar


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_a_layer_breaks_the_bar(name: str, trained: Any, pairs: Callable[..., Any]) -> None:
    first, *others = trained
    faulty = {
        framework: {
            key.replace(f"{name} (fault)/", f"{name}/"): array
            for key, array in trained[framework].items()
            if key.startswith(f"{name} (fault)/")
        }
        for framework in others
    }
    for pair in pairs(name, {first: trained[first], **faulty}):
        assert pair.difference("start") == 0
        assert pair.difference("end") > 1e-10


def test_a_rerun_in_the_same_framework_is_the_same_to_the_last_bit(trained: Any) -> None:
    for arrays in trained.values():
        names = [name for name in arrays if name.startswith("again/")]
        assert names
        for name in names:
            assert arrays[name].tobytes() == arrays[name.replace("again/", "float64 convolutions/")].tobytes()
