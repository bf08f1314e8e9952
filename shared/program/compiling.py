"""Compiles declared layers to a ProgramSpec; only an adapter's table of layers asks them again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import accumulate
from math import prod

from likewise.shared.job import Job, Model
from likewise.shared.job.activations import Softmax, word_over
from likewise.shared.job.layers import Layer
from likewise.shared.job.layers.base import LayerWeight
from likewise.shared.job.layers.merging import Concatenate, MultiHeadAttention
from likewise.shared.job.model import JOINED
from likewise.shared.job.several import ONLY_OUTPUT
from likewise.shared.job.shape import Shape, ShapeError, axis_of
from likewise.shared.program.addresses import DrawAddresses, drawn_at
from likewise.shared.program.spec import (
    IndexLimit,
    Mask,
    ModelOutput,
    Padding,
    ProgramSpec,
    Rescale,
    Stage,
    Target,
    Weight,
)

_AS_STORED = Rescale()


def compile_job(job: Job, input_shape: Shape, draws: DrawAddresses | None = None) -> ProgramSpec:
    """Return what the job trains on samples of this shape, with its random numbers drawn where `draws` says.

    Raises ShapeError at the first layer that cannot take its input. A model is compiled once in a process,
    however often it is asked for.
    """
    targets: dict[str, Target] = {
        name: "classes" if loss.task == "multiclass" else "columns" for name, loss in job.losses.items()
    }
    rescale = Rescale(
        mean=_channels(job.data.mean, job.model, "mean"), scale=_channels(job.data.scale, job.model, "scale")
    )
    return compile_model(job.model, tuple(input_shape), tuple(targets.items()), rescale, draws)


Channels = float | tuple[float, ...]


def _channels(
    declared: Channels | Mapping[str, Channels] | None, model: Model, field: str
) -> tuple[float, ...] | None:
    """Return one number for all, one a channel, or one a column where inputs have numbers of their own."""
    if declared is None or not isinstance(declared, Mapping):
        return (declared,) if isinstance(declared, float | int) else declared
    names = [one.name for one in model.inputs]
    unknown = next((name for name in declared if name not in names), None)
    if unknown is not None:
        inputs = f"its inputs are {', '.join(names)}" if names else "it has no inputs by name"
        raise ShapeError(f"has no input {unknown!r}, which data.{field} names; {inputs}")
    row: list[float] = []
    for one in model.inputs:
        own = declared.get(one.name, 0.0 if field == "mean" else 1.0)
        channels = own if isinstance(own, tuple) else (own,)
        if len(channels) not in (1, one.shape[-1]):
            raise ShapeError(
                f"takes {one.shape[-1]} channels by its input {one.name}, and data.{field}.{one.name} has "
                f"{len(channels)} numbers; give one for all, or one a channel"
            )
        row += channels * (prod(one.shape) // len(channels))
    return tuple(row)


def input_columns(model: Model) -> dict[str, tuple[int, int]]:
    """Return where each named input begins and ends in a sample's row."""
    ends = list(accumulate(prod(one.shape) for one in model.inputs))
    begins = [0, *ends]
    return {one.name: place for one, place in zip(model.inputs, zip(begins, ends, strict=False), strict=True)}


@lru_cache(maxsize=64)
def compile_model(
    model: Model,
    input_shape: Shape,
    targets: tuple[tuple[str, Target], ...] = ((ONLY_OUTPUT, "columns"),),
    rescale: Rescale = _AS_STORED,
    draws: DrawAddresses | None = None,
) -> ProgramSpec:
    """Return the program of a model by itself, with what its outputs are compared with, by name.

    Raises ShapeError, as `compile_job`.
    """
    _check_inputs(model, input_shape)
    for field, values in (("mean", rescale.mean), ("scale", rescale.scale)):
        if values is not None and len(values) not in (1, *input_shape[-1:]):
            raise ShapeError(
                f"takes samples of shape {input_shape}, and data.{field} has {len(values)} numbers; "
                "give one for all, or one a channel (the last axis)"
            )
    stages = _stages(model, input_shape)
    program = ProgramSpec(
        input_shape=input_shape,
        stages=stages if model.outputs is None else (*stages, _joined(model, stages)),
        outputs=tuple(_outputs(model, stages, dict(targets))),
        index_limits=tuple(_index_limits(model)),
        rescale=rescale,
    )
    return program if draws is None else drawn_at(program, draws)


def _joined(model: Model, stages: tuple[Stage, ...]) -> Stage:
    """Return the stage that puts several outputs side by side. Raises ShapeError for one that is no row."""
    given = [stages[place] for place in model.output_layers]
    for stage in given:
        if len(stage.output) != 1:
            raise ShapeError(
                f"{stage.path} ({stage.kind}) gives samples of shape {stage.output}, and an output beside "
                "others is one row of numbers; put flatten behind it"
            )
    return Stage(
        path=JOINED,
        kind="concatenate",
        summary=f"outputs {', '.join(stage.path for stage in given)}",
        sources=tuple(place + 1 for place in model.output_layers),
        inputs=tuple(stage.output for stage in given),
        output=(sum(stage.output[0] for stage in given),),
        weights=(),
        mask=None,
        cells=(),
        convolves=False,
        multiply_adds=0,
        layer=Concatenate(type="concatenate", inputs=model.outputs or ()),
    )


def _outputs(model: Model, stages: tuple[Stage, ...], targets: dict[str, Target]) -> Iterator[ModelOutput]:
    column = target_column = 0
    for (name, target), place in zip(targets.items(), model.output_layers, strict=True):
        width = stages[place].output[0] if stages[place].output else 1
        wanted = 1 if target == "classes" else width
        several = model.outputs is not None
        yield ModelOutput(
            name=name,
            target=target,
            columns=(column, column + width) if several else None,
            targets=(target_column, target_column + wanted) if several else None,
            width=width,
            path=f"model.layers.{place}",
            setting=_width_setting(model, place),
            last_activation=_last_activation(model, stages, place),
        )
        column, target_column = column + width, target_column + wanted


def _last_activation(model: Model, stages: tuple[Stage, ...], place: int) -> str:
    """Return what the output of a layer passed last."""
    while (word := model.layers[place].last_activation) is None:
        place = model.sources(place)[0] - 1
        if place < 0:
            return "linear"
    activation = getattr(model.layers[place], "activation", None)
    return word_over(activation, len(stages[place].output)) if isinstance(activation, Softmax) else word


def _width_setting(model: Model, place: int) -> str | None:
    """Return the path of the setting that says how many numbers a layer's output has, where there is one."""
    while place >= 0:
        layer = model.layers[place]
        if layer.units_field is not None:
            return f"model.layers.{place}.{layer.units_field}"
        if not layer.works_on_elements:
            return None
        place = model.sources(place)[0] - 1
    return None


def _check_inputs(model: Model, input_shape: Shape) -> None:
    """Refuse samples that are no row of the named inputs."""
    wanted = (sum(prod(one.shape) for one in model.inputs),)
    if model.inputs and input_shape != wanted:
        named = ", ".join(f"{one.name} of shape {one.shape}" for one in model.inputs)
        raise ShapeError(
            f"takes {wanted[0]} numbers a sample, for its inputs {named}; samples of the data have the shape "
            f"{input_shape}"
        )


def _stages(model: Model, input_shape: Shape) -> tuple[Stage, ...]:
    outputs = [input_shape]
    padded: list[tuple[Padding, ...]] = [()]
    stages = []
    address = 0
    columns = input_columns(model)
    for index, layer in enumerate(model.layers):
        sources = model.sources(index)
        inputs = tuple(outputs[place] for place in sources)
        path = model.layer_path(index)
        try:
            output = layer.output_shape(*inputs)
            if isinstance(activation := getattr(layer, "activation", None), Softmax):
                axis_of(activation.axis, output)
        except ShapeError as error:
            raise ShapeError(f"{path} ({layer.kind}) {error}") from None
        outputs.append(output)
        told = [padded[place] for place in sources]
        padded.append(_padding_after(layer, sources, told))
        stages.append(
            Stage(
                path=path,
                kind=layer.kind,
                summary=layer.summary,
                sources=sources,
                inputs=inputs,
                padding=told[layer.padded_input(len(sources))] if layer.minds_padding else (),
                output=output,
                weights=_weights(layer, inputs, address=address, path=path),
                mask=_mask(layer, inputs[0], address=address, path=path),
                cells=layer.cells(*inputs),
                columns=columns[path] if layer.kind == "input" else None,
                activity=layer.activity_regularizer,
                convolves=layer.convolves,
                multiply_adds=layer.multiply_adds(*inputs),
                layer=layer,
            )
        )
        address += layer.has_own_draws
    return tuple(stages)


def _padding_after(
    layer: Layer, sources: tuple[int, ...], told: list[tuple[Padding, ...]]
) -> tuple[Padding, ...]:
    """Return what says which steps of a layer's output are padding; `told` says it of each input."""
    if layer.padding_value is not None:
        return (Padding(place=sources[0], value=layer.padding_value),)
    every = told[:1] if isinstance(layer, MultiHeadAttention) else told
    if not layer.passes_padding or not all(every):
        return ()
    return tuple(dict.fromkeys(padding for one in every for padding in one))


def _weights(layer: Layer, inputs: tuple[Shape, ...], *, address: int, path: str) -> tuple[Weight, ...]:
    weights = layer.weights(*inputs)
    for weight in weights:
        _check_axes(layer, weight, path)
    return tuple(
        Weight(
            name=f"{path}.{weight.name}",
            own_name=weight.name,
            stage=address,
            item=item,
            shape=weight.shape,
            initializer=weight.initializer,
            fan_in=weight.fan_in,
            fan_out=weight.fan_out,
            trainable=weight.trainable and layer.trains,
            moving=not weight.trainable,
            ones=weight.ones,
            regularizer=layer.regularizer(weight) if weight.trainable and layer.trains else None,
            constraint=layer.constraint(weight) if weight.trainable and layer.trains else None,
        )
        for item, weight in enumerate(weights)
    )


def _check_axes(layer: Layer, weight: LayerWeight, path: str) -> None:
    """Raise ShapeError where a constraint's norms are over axes that the weight has not."""
    for axis in getattr(layer.constraint(weight), "axes", ()):
        if not -len(weight.shape) <= axis < len(weight.shape):
            raise ShapeError(
                f"{path} ({layer.kind}) has {weight.name} of shape {weight.shape}, and "
                f"{weight.word}_constraint takes norms over axis {axis}; its axes are 0 to "
                f"{len(weight.shape) - 1}"
            )


def _mask(layer: Layer, shape: Shape, *, address: int, path: str) -> Mask | None:
    if layer.drop_rate == 0:
        return None
    return Mask(index=address, path=path, rate=layer.drop_rate, shape=shape, seed=layer.drop_seed)


def _index_limits(model: Model) -> Iterator[IndexLimit]:
    columns = input_columns(model)
    for index, layer in enumerate(model.layers):
        if layer.index_limit is not None and model.takes_the_data(index):
            field, limit = layer.index_limit
            source = model.input_of(index)
            yield IndexLimit(
                path=f"model.layers.{index}.{field}",
                kind=layer.kind,
                limit=limit,
                columns=None if source is None else columns[source.name],
            )
