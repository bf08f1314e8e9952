"""The shape of a sample on its way through the layers, and the weights it meets."""

from __future__ import annotations

import re
from typing import Any

import pytest

from likewise.shared.job import Job, Model
from likewise.shared.job.shape import Shape, ShapeError
from likewise.shared.program import ProgramSpec, compile_model


def model_of(*layers: Any) -> Model:
    return Model.model_validate({"layers": list(layers)})


def shapes_of(program: ProgramSpec) -> tuple[Shape, ...]:
    """The shape at each stage's first input and, last, at the output."""
    return (*(stage.inputs[0] for stage in program.stages), program.output_shape)


STACK = model_of(
    {"type": "dropout", "rate": 0.1},
    {"type": "dense", "units": 5, "activation": "relu", "name": "first"},
    "flatten",
    {"type": "activation", "activation": "tanh"},
    {"type": "dense", "units": 2, "use_bias": False},
)
ONE_UNIT = model_of({"type": "dense", "units": 1, "name": "head"})


def test_shapes_are_followed_to_the_output() -> None:
    assert shapes_of(compile_model(STACK, (4, 3))) == ((4, 3), (4, 3), (4, 5), (20,), (20,), (2,))


def test_weights_have_the_names_and_layouts_of_keras() -> None:
    shapes = {weight.name: weight.shape for weight in compile_model(STACK, (4, 3)).weights}
    assert shapes == {"first.kernel": (3, 5), "first.bias": (5,), "layers.4.kernel": (20, 2)}
    assert compile_model(STACK, (4, 3)).parameters == 15 + 5 + 40


def test_a_dense_layer_works_on_the_last_axis() -> None:
    assert shapes_of(compile_model(ONE_UNIT, (4, 3)))[-1] == (4, 1)


def test_a_dense_layer_without_features_says_what_it_lacks() -> None:
    with pytest.raises(ShapeError, match=r"^head \(dense\) gets a single number"):
        shapes_of(compile_model(ONE_UNIT, ()))


@pytest.mark.parametrize(
    ("layer", "shape", "output"),
    [
        ({"type": "conv2d", "filters": 4, "kernel_size": 3}, (8, 7, 2), (6, 5, 4)),
        ({"type": "conv2d", "filters": 4, "kernel_size": [2, 3], "strides": [3, 2]}, (8, 7, 2), (3, 3, 4)),
        (
            {"type": "conv2d", "filters": 4, "kernel_size": 5, "strides": 2, "padding": "same"},
            (8, 7, 2),
            (4, 4, 4),
        ),
        ({"type": "conv1d", "filters": 4, "kernel_size": 3, "strides": 2}, (8, 2), (3, 4)),
        (
            {"type": "conv2d", "filters": 4, "kernel_size": [3, 4], "strides": 2, "padding": "symmetric"},
            (8, 7, 2),
            (4, 4, 4),
        ),
        ({"type": "depthwise_conv2d", "kernel_size": 3, "depth_multiplier": 3}, (8, 7, 2), (6, 5, 6)),
        ({"type": "conv2d_transpose", "filters": 4, "kernel_size": 3, "strides": 2}, (5, 5, 2), (11, 11, 4)),
        (
            {
                "type": "conv2d_transpose",
                "filters": 4,
                "kernel_size": [1, 3],
                "strides": 2,
                "padding": "same",
            },
            (5, 6, 2),
            (10, 12, 4),
        ),
        ({"type": "max_pooling2d"}, (8, 7, 2), (4, 3, 2)),
        ({"type": "average_pooling1d", "pool_size": 3, "strides": 1, "padding": "same"}, (8, 2), (8, 2)),
        ({"type": "global_max_pooling"}, (8, 7, 2), (2,)),
        ({"type": "reshape", "target_shape": [4, -1]}, (8, 3), (4, 6)),
        ({"type": "batch_norm"}, (8, 7, 2), (8, 7, 2)),
        ({"type": "embedding", "input_dim": 9, "output_dim": 4}, (6,), (6, 4)),
        ({"type": "lstm", "units": 4, "return_sequences": True}, (6, 2), (6, 4)),
        ({"type": "bidirectional", "layer": {"type": "gru", "units": 4}}, (6, 2), (8,)),
    ],
)
def test_each_layer_s_output_has_its_shape(
    layer: dict[str, Any], shape: tuple[int, ...], output: tuple[int, ...]
) -> None:
    assert shapes_of(compile_model(model_of(layer), shape))[-1] == output


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (
            {"type": "conv2d", "filters": 4, "kernel_size": 3},
            (64,),
            r"\(64,\).*height, width, channels.*reshape",
        ),
        ({"type": "conv2d", "filters": 4, "kernel_size": 9}, (8, 7, 2), "window of 9 over 8.*same"),
        ({"type": "max_pooling1d", "pool_size": 9}, (8, 2), "window of 9 over 8"),
        ({"type": "global_max_pooling"}, (8,), "one to three axes"),
        ({"type": "reshape", "target_shape": [5, -1]}, (8, 2), r"16 numbers.*\(5, -1\)"),
        ({"type": "reshape", "target_shape": [5, 3]}, (8, 2), "do not fill"),
        ({"type": "lstm", "units": 4}, (6,), "steps, features"),
        ({"type": "layer_norm"}, (), "an axis of features"),
        ({"type": "multi_head_attention", "num_heads": 2, "key_dim": 3}, (6,), "steps, features"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_in_words(
    layer: dict[str, Any], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        shapes_of(compile_model(model_of(layer), shape))


def test_moving_statistics_are_weights_but_no_parameters() -> None:
    model = model_of({"type": "batch_norm", "name": "norm"})
    places = {place.name: place.trainable for place in compile_model(model, (5,)).weights}
    assert places == {
        "norm.gamma": True,
        "norm.beta": True,
        "norm.moving_mean": False,
        "norm.moving_variance": False,
    }
    assert compile_model(model, (5,)).parameters == 10


def test_fans_of_a_convolution_count_its_window() -> None:
    (kernel, bias) = compile_model(
        model_of({"type": "conv2d", "filters": 4, "kernel_size": [2, 3]}), (8, 7, 5)
    ).weights
    assert kernel.shape == (2, 3, 5, 4)
    for place in (kernel, bias):
        assert (place.fan_in, place.fan_out) == (30, 24)


def test_fans_of_the_other_convolutions_are_keras_s() -> None:
    for layer, shape, fans in (
        ({"type": "depthwise_conv2d", "kernel_size": 3, "depth_multiplier": 2}, (3, 3, 5, 2), (45, 18)),
        ({"type": "conv2d_transpose", "filters": 4, "kernel_size": [2, 3]}, (2, 3, 4, 5), (24, 30)),
    ):
        kernel, bias = compile_model(model_of(layer), (8, 7, 5)).weights
        assert kernel.shape == shape
        assert (kernel.fan_in, kernel.fan_out) == fans
        assert bias.shape == ((10,) if layer["type"] == "depthwise_conv2d" else (4,))


EMBEDDING = {"type": "embedding", "input_dim": 3, "output_dim": 2, "name": "rows"}


def named(name: str, *, units: int = 3, **fields: Any) -> dict[str, Any]:
    return {"type": "dense", "units": units, "name": name, **fields}


def test_a_graph_s_shapes_are_those_of_each_layer_s_first_input() -> None:
    model = model_of(
        named("a"),
        named("b", units=2, inputs=["input"]),
        {"type": "concatenate", "inputs": ["b", "a"], "name": "both"},
        {"type": "add", "inputs": ["both", "both"]},
    )
    assert shapes_of(compile_model(model, (4,))) == ((4,), (4,), (2,), (5,), (5,))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [named("a"), {"type": "add", "inputs": ["a", "c"]}],
            "layers.1 takes 'c', and no layer has this name",
        ),
        ([named("a", inputs=["b"]), named("b")], "a takes 'b', which does not come before it"),
        ([named("input")], "named 'input'"),
        ([named("a"), named("b", inputs=["input"])], "nothing takes the output of a"),
        ([named("a"), named("b", inputs=["a", "input"])], r"b \(dense\) takes one input"),
        ([named("a", inputs=[])], r"a \(dense\) takes one input"),
        (
            [named("a"), {"type": "activation", "activation": "relu"}, EMBEDDING, named("b")],
            r"a \(dense\) cannot learn",
        ),
        (
            [{"type": "bidirectional", "layer": {"type": "gru", "units": 1, "name": "a"}}],
            "not to the one inside",
        ),
    ],
)
def test_a_graph_that_cannot_be_followed_is_refused_in_words(layers: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model_of(*layers)


def test_a_layer_that_an_embedding_is_not_alone_to_take_can_learn() -> None:
    model = model_of(
        named("a", units=2),
        EMBEDDING,
        {"type": "flatten", "name": "flat"},
        {"type": "concatenate", "inputs": ["a", "flat"]},
    )
    assert shapes_of(compile_model(model, (2,)))[-1] == (6,)


def test_named_inputs_take_their_columns_of_a_row_and_draw_what_one_without_a_name_draws() -> None:
    wide, deep = (
        {"type": "input", "name": name, "shape": [size]} for name, size in (("wide", 3), ("deep", 2))
    )
    program = compile_model(
        model_of(
            wide,
            deep,
            named("a", inputs=["wide"]),
            {"type": "concatenate", "inputs": ["a", "deep"]},
            named("b"),
        ),
        (5,),
    )
    alone = compile_model(model_of(named("a"), named("b")), (3,))

    assert [stage.columns for stage in program.stages] == [(0, 3), (3, 5), None, None, None]
    assert [weight.stage for weight in program.weights] == [0, 0, 2, 2]  # a concatenation has an address, too
    assert program.weights[0] == alone.weights[0]
    with pytest.raises(
        ShapeError, match=r"takes 5 numbers a sample, for its inputs wide of shape \(3,\), deep"
    ):
        compile_model(model_of(wide, deep, {"type": "concatenate", "inputs": ["wide", "deep"]}), (4,))


def test_an_embedding_of_an_input_asks_for_whole_numbers_in_its_columns_alone() -> None:
    words = {"type": "input", "name": "words", "shape": [2]}
    number = {"type": "input", "name": "number", "shape": [1]}
    model = model_of(
        number,
        words,
        EMBEDDING,
        {"type": "flatten", "name": "flat"},
        {"type": "concatenate", "inputs": ["flat", "number"]},
        named("head"),
    )
    (limit,) = compile_model(model, (3,)).index_limits
    assert (limit.path, limit.columns) == ("model.layers.2.input_dim", (1, 3))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [{"type": "input", "name": "a", "shape": [2]}, named("b", inputs=["input"])],
            "takes the whole of a sample",
        ),
        ([{"type": "input", "name": "a", "shape": [2], "inputs": ["a"]}], "an input takes the data"),
        (
            [{"type": "input", "name": name, "shape": [2]} for name in "ab"] + [named("c", inputs=["b"])],
            "nothing takes the output of a",
        ),
    ],
)
def test_inputs_that_cannot_be_followed_are_refused_in_words(layers: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model_of(*layers)


ONE_LAYER = [named("kind")]


def test_several_outputs_lie_side_by_side_in_a_stage_behind_the_layers() -> None:
    layers = [
        named("trunk"),
        named("kind", units=4, inputs=["trunk"]),
        named("size", units=1, inputs=["trunk"]),
    ]
    model = Model.model_validate({"layers": layers, "outputs": ["size", "kind"]})
    program = compile_model(model, (2,), (("size", "columns"), ("kind", "classes")))

    assert [stage.path for stage in program.stages] == ["trunk", "kind", "size", "outputs"]
    assert program.stages[-1].sources == (3, 2)
    assert (program.output_shape, program.target_shape) == ((5,), (2,))
    size, kind = program.outputs
    assert (size.columns, size.targets, kind.columns, kind.targets) == ((0, 1), (0, 1), (1, 5), (1, 2))
    assert (kind.path, kind.setting) == ("model.layers.1", "model.layers.1.units")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "mse"}, "loss is for one output, and the model has kind, size"),
        ({"loss": {"kind": "mse", "sise": "mse"}}, "loss has kind, sise, and the model's outputs are"),
        ({"metrics": ["mae"]}, "metrics is a list, and the model has kind, size"),
        ({"metrics": {"all": ["mae"]}}, "metrics names all, which is no output of the model"),
        ({"outputs": None, "loss": "mse"}, "nothing takes the output of kind"),
        ({"outputs": ["kind", "kind"]}, "outputs names a layer twice"),
        ({"outputs": ["kind", "head"]}, "outputs names 'head', and no layer has this name"),
        ({"outputs": None, "layers": ONE_LAYER}, "loss is a mapping by output, and the model has one"),
        ({"outputs": None, "layers": ONE_LAYER, "loss": {"type": "mse", "weight": 2}}, "loss.weight is"),
    ],
)  # fmt: skip
def test_outputs_and_losses_that_do_not_go_together_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    layers = [named("kind", inputs=["input"]), named("size", inputs=["input"])]
    model = {"layers": layers, "outputs": ["kind", "size"]}
    model |= {name: changes[name] for name in model if name in changes}
    document = {
        "data": {"type": "inline", "x": [1.0], "y": [1.0]},
        "loss": {"kind": "mse", "size": {"type": "mse", "weight": 0.2}},
        "optimizer": {"type": "sgd", "learning_rate": 0.1},
        "training": {"epochs": 1},
        **{name: value for name, value in changes.items() if name not in model},
        "model": model,
    }
    with pytest.raises(ValueError, match=re.escape(message)):
        Job.model_validate(document)


def test_attention_s_weights_are_keras_s_and_value_and_key_have_one_length() -> None:
    layer = {"type": "multi_head_attention", "num_heads": 2, "key_dim": 3, "value_dim": 4, "name": "at"}
    model = model_of(named("wide", units=5), layer | {"inputs": ["wide", "input"]})
    places = {place.name: place for place in compile_model(model, (6, 2)).weights}
    assert {name: (tensor.shape, tensor.fan_in, tensor.fan_out) for name, tensor in places.items()} == {
        "wide.kernel": ((2, 5), 2, 5),
        "wide.bias": ((5,), 2, 5),
        "at.query.kernel": ((5, 2, 3), 5, 6),
        "at.query.bias": ((2, 3), 5, 6),
        "at.key.kernel": ((2, 2, 3), 2, 6),
        "at.key.bias": ((2, 3), 2, 6),
        "at.value.kernel": ((2, 2, 4), 2, 8),
        "at.value.bias": ((2, 4), 2, 8),
        "at.attention_output.kernel": ((2, 4, 5), 8, 5),
        "at.attention_output.bias": ((5,), 8, 5),
    }
    short = {"type": "max_pooling1d", "name": "short", "inputs": ["input"]}
    with pytest.raises(ShapeError, match=r"at .*one length.*\(6, 2\), \(3, 2\)"):
        shapes_of(compile_model(model_of(short, layer | {"inputs": ["input", "input", "short"]}), (6, 2)))


@pytest.mark.parametrize("kind", ["add", "concatenate"])
def test_what_is_merged_must_fit(kind: str) -> None:
    flat = {"type": "flatten", "name": "flat"}
    with pytest.raises(ShapeError, match=r"layers\.1 .* gets \(12,\), \(4, 3\)"):
        shapes_of(compile_model(model_of(flat, {"type": kind, "inputs": ["flat", "input"]}), (4, 3)))
