"""Graphs of layers drawn by hypothesis, with drawn losses, optimizers and schedules, agree in float64.

All are drawn first and trained together, one process a framework. Epsilons are 1e-3 and nothing has a bias
that the next layer takes out again: `test_small_numbers` shows what Adam makes of rounding alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

GRAPHS = 12
ACTIVATIONS = st.sampled_from(
    ["relu", {"type": "leaky_relu", "negative_slope": 0.01}, {"type": "elu", "alpha": 0.5}, "selu", "gelu",
     "gelu_tanh", "silu", "softplus", "softsign", "tanh", "mish"]
)  # fmt: skip
LOSSES = (
    ("mse", "regression"), ("huber", "regression"), ("log_cosh", "regression"),
    ("cosine_similarity", "regression"), ("poisson", "counts"), ("kl_divergence", "probabilities"),
    ("binary_crossentropy", "binary"), ("categorical_crossentropy", "multiclass"),
)  # fmt: skip
OPTIMIZERS = (
    {"type": "sgd", "momentum": 0.9, "nesterov": True},
    {"type": "adam", "epsilon": 1e-3, "amsgrad": True},
    {"type": "adamw", "epsilon": 1e-3, "weight_decay": 0.01},
    {"type": "nadam", "epsilon": 1e-3},
    {"type": "adamax", "epsilon": 1e-3},
    {"type": "rmsprop", "epsilon": 1e-3, "centered": True},
    {"type": "adagrad"},
    {"type": "adadelta", "epsilon": 1e-3},
)
SCHEDULES = (
    None,
    {"type": "cosine", "decay_steps": 30, "warmup": 5},
    {"type": "exponential", "decay_steps": 7, "decay_rate": 0.5},
)
PADDINGS = st.sampled_from(["same", "symmetric"])


@st.composite
def image_layers(draw: Any, *, channels: int, place: int) -> list[dict[str, Any]]:  # noqa: PLR0911 -- one a kind
    """A block on (height, width, channels) that keeps the channels."""
    kind = draw(
        st.sampled_from(
            ["conv2d", "depthwise_conv2d", "conv2d_transpose", "pool", "norm", "space", "merge", "residual"]
        )
    )
    size, window = draw(st.integers(1, 3)), {"activation": draw(ACTIVATIONS), "use_bias": draw(st.booleans())}
    match kind:
        case "conv2d":
            own = {"filters": channels, "kernel_size": [size, 3], "strides": draw(st.integers(1, 2))}
            apart = {"dilation": [1, draw(st.integers(1, 2))], "groups": draw(st.integers(1, 2))}
            sides = draw(st.sampled_from(["same", "symmetric", 2, [1, [2, 3]]]))
            return [{"type": kind, "padding": sides, **apart, **own, **window}]
        case "depthwise_conv2d":
            uneven = draw(st.sampled_from([1, [1, 2], [2, 1]]))
            return [
                {"type": kind, "kernel_size": size, "padding": draw(PADDINGS), "strides": uneven, **window}
            ]
        case "conv2d_transpose":
            own = {
                "filters": channels,
                "kernel_size": [size, 2],
                "strides": draw(st.sampled_from([1, [2, 1]])),
            }
            return [
                {
                    "type": kind,
                    "padding": draw(st.sampled_from(["same", "symmetric", "valid"])),
                    **own,
                    **window,
                }
            ]
        case "pool":
            pool = {"pool_size": 2, "strides": draw(st.integers(1, 2)), "padding": draw(PADDINGS)}
            if draw(st.booleans()):
                return [{"type": "max_pooling2d", **pool}]
            return [{"type": "average_pooling2d", "count_include_pad": draw(st.booleans()), **pool}]
        case "norm":
            variance = draw(st.sampled_from(["biased", "unbiased"]))
            return [{"type": "batch_norm", "moving_variance": variance, "epsilon": 0.1}]
        case "space":
            rule = draw(
                st.sampled_from([{}, {"interpolation": "bilinear", "align_corners": draw(st.booleans())}])
            )
            return [
                {"type": "zero_padding2d", "padding": [[1, draw(st.integers(0, 1))], 1]},
                {"type": "upsampling2d", "size": [draw(st.integers(1, 2)), 2], **rule},
                {"type": "cropping2d", "cropping": [1, [draw(st.integers(0, 1)), 1]]},
            ]
    name = f"block_{place}"
    join: dict[str, Any] = {"type": "add"}
    if kind == "merge":
        join = draw(
            st.sampled_from(
                [
                    *({"type": word} for word in ("subtract", "multiply", "average", "maximum", "minimum")),
                    {"type": "concatenate", "axis": draw(st.integers(1, 2))},
                ]
            )
        )
    return [
        {"type": "activation", "activation": draw(ACTIVATIONS), "name": f"{name}_a"},
        {"type": "depthwise_conv2d", "kernel_size": 3, "padding": "same", "name": f"{name}_b"},
        join | {"inputs": [f"{name}_a", f"{name}_b"]},
    ]


@st.composite
def sequence_layers(draw: Any, *, features: int, place: int) -> list[dict[str, Any]]:  # noqa: PLR0911 -- one a kind
    """A block on (steps, features) that keeps the features."""
    kind = draw(st.sampled_from(["lstm", "gru", "simple_rnn", "conv1d", "pool", "layer_norm", "attention"]))
    recurrent: dict[str, Any] = {"type": kind, "units": features, "return_sequences": True}
    match kind:
        case "gru":
            return [recurrent | {"reset_after": draw(st.booleans()), "use_bias": draw(st.booleans())}]
        case "lstm" | "simple_rnn":
            if draw(st.booleans()):
                return [recurrent]
            return [{"type": "bidirectional", "layer": recurrent}, {"type": "dense", "units": features}]
        case "conv1d":
            return [{"type": kind, "filters": features, "kernel_size": 3, "padding": draw(PADDINGS)}]
        case "pool":
            return [{"type": "max_pooling1d", "pool_size": 2, "strides": 1, "padding": "same"}]
        case "layer_norm":
            return [{"type": kind, "epsilon": 0.1}]
    name = f"block_{place}"
    return [
        {"type": "activation", "activation": "tanh", "name": f"{name}_a"},
        {
            "type": "multi_head_attention", "num_heads": 2, "key_dim": 3, "use_bias": False,
            "use_causal_mask": draw(st.booleans()), "name": f"{name}_b",
        },
        {"type": "add", "inputs": [f"{name}_a", f"{name}_b"]},
    ]  # fmt: skip


@st.composite
def jobs(draw: Any) -> dict[str, Any]:
    """The changes to a parity case."""
    layers: list[dict[str, Any]] = []
    if draw(st.booleans()):
        shape = [5, 4, 2]
        for place in range(draw(st.integers(1, 3))):
            layers += draw(image_layers(channels=2, place=place))
        end = draw(st.sampled_from(["flatten", "channels_first", "global_average_pooling"]))
        layers += [{"type": "flatten", "order": end} if end == "channels_first" else {"type": end}]
    else:
        shape = [5, 3]
        for place in range(draw(st.integers(1, 3))):
            layers += draw(sequence_layers(features=3, place=place))
        layers += [draw(st.sampled_from([{"type": "flatten"}, {"type": "global_max_pooling"}]))]
    if draw(st.booleans()):
        own = draw(st.sampled_from([None, 3]))
        layers += [{"type": "dropout", "rate": 0.25, "seed": own}]
    loss, task = draw(st.sampled_from(LOSSES))
    optimizer = {"learning_rate": 0.005, "schedule": draw(st.sampled_from(SCHEDULES))}
    return {
        "layers": [*layers, {"type": "dense", "units": 3}],
        "input_shape": shape,
        "loss": loss,
        "task": task,
        "optimizer": draw(st.sampled_from(OPTIMIZERS)) | optimizer,
    }


@pytest.fixture(scope="module")
def trained(train: Callable[..., Any], make_case: Callable[..., Any]) -> tuple[list[Any], Any]:
    drawn: list[dict[str, Any]] = []

    @settings(
        max_examples=GRAPHS,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(jobs())
    def collect(changes: dict[str, Any]) -> None:
        drawn.append(changes)

    collect()
    cases = [make_case(f"drawn {number}", steps=50, **changes) for number, changes in enumerate(drawn)]
    return cases, train(cases)


@pytest.mark.parametrize("number", range(GRAPHS))
def test_a_drawn_graph_agrees_to_1e_12_at_the_first_step_and_to_1e_10_after_fifty(
    number: int, trained: Any, pairs: Callable[..., Any]
) -> None:
    cases, arrays = trained
    if number >= len(cases):
        pytest.skip("hypothesis drew fewer")
    for pair in pairs(f"drawn {number}", arrays):
        assert pair.difference("start") == 0, cases[number]
        assert pair.difference("gradient") <= 1e-12, cases[number]
        assert pair.difference("first") <= 1e-12, cases[number]
        for what in ("losses", "end", "outputs"):
            assert pair.difference(what) <= 1e-10, (what, cases[number])
