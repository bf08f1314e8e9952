"""A model: layers in order. Each layer's meaning is in `shared.job.layers`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Handle, Many
from likewise.shared.job.layers import Layer
from likewise.shared.job.layers.basic import Input

JOINED = "outputs"
"""The path of the stage in which several outputs lie side by side."""


class Model(Frozen):
    """Layers, each applied to the one before it or to those that its `inputs` name.

    A layer comes after its inputs; the last one's output is the model's, or `outputs` names several. A model
    of several inputs has a layer `{type: input, name: …, shape: […]}` for each.
    """

    layers: Many[Layer] = Field(min_length=1, max_length=1000)
    outputs: Annotated[Many[Handle], Field(min_length=2)] | None = None
    """The names of the layers that give the outputs, each with a loss of its own; null is the last layer."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Model:
        names = [layer.name for layer in self.layers if layer.name is not None]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two layers are named {twice[0]!r}; a name stands for one layer")
        return self

    @model_validator(mode="after")
    def _outputs_are_layers(self) -> Model:
        names = [layer.name for layer in self.layers]
        for name in self.outputs or ():
            if name not in names:
                raise ValueError(f"outputs names {name!r}, and no layer has this name")
        if len(set(self.outputs or ())) < len(self.outputs or ()):
            raise ValueError("outputs names a layer twice")
        if self.outputs is not None and JOINED in names:
            raise ValueError(f"no layer can be named {JOINED!r} where a model has several outputs")
        return self

    @model_validator(mode="after")
    def _inputs_come_before(self) -> Model:
        places = {layer.name: index for index, layer in enumerate(self.layers) if layer.name is not None}
        if "input" in places:
            raise ValueError("no layer can be named 'input', which stands for the model's input")
        taken: set[int] = set()
        for index, layer in enumerate(self.layers):
            path = self.layer_path(index)
            for name in layer.inputs or ():
                if name != "input" and name not in places:
                    raise ValueError(f"{path} takes {name!r}, and no layer has this name")
                if name != "input" and places[name] >= index:
                    raise ValueError(f"{path} takes {name!r}, which does not come before it")
            if not layer.takes_several and layer.inputs is not None and len(layer.inputs) != 1:
                raise ValueError(f"{path} ({layer.type}) takes one input; put add or concatenate before it")
            taken.update(self.sources(index))
            if self.inputs and layer.type != "input" and 0 in self.sources(index):
                raise ValueError(
                    f"{path} takes the whole of a sample, and the model has inputs by name; let its inputs "
                    f"name one of {', '.join(one.name for one in self.inputs)}"
                )
        taken.update(place + 1 for place in self.output_layers)
        unused = [index for index in range(len(self.layers)) if index + 1 not in taken]
        if unused:
            raise ValueError(f"nothing takes the output of {self.layer_path(unused[0])}")
        return self

    @model_validator(mode="after")
    def _gradients_reach_every_weight(self) -> Model:
        reached = set(self.output_layers)
        for index in range(len(self.layers) - 1, -1, -1):
            if index in reached and self.layers[index].passes_gradient:
                reached.update(place - 1 for place in self.sources(index))
        for index, layer in enumerate(self.layers):
            if layer.learns and index not in reached:
                raise ValueError(
                    f"{self.layer_path(index)} ({layer.type}) cannot learn: its output only goes to an "
                    "embedding, which takes whole numbers and passes no gradient"
                )
        return self

    def sources(self, index: int) -> tuple[int, ...]:
        """Return where a layer's inputs come from: 0 is the model's input, i + 1 the output of layer i."""
        names = self.layers[index].inputs
        if names is None:
            return (0,) if self.layers[index].type == "input" else (index,)
        places = {layer.name: place + 1 for place, layer in enumerate(self.layers[:index])}
        return tuple(0 if name == "input" else places[name] for name in names)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Return the inputs that have names, in order; none where samples are one array without a name."""
        return tuple(layer for layer in self.layers if isinstance(layer, Input))

    @property
    def output_layers(self) -> tuple[int, ...]:
        """Return the places of the layers whose outputs the model gives, in order."""
        if self.outputs is None:
            return (len(self.layers) - 1,)
        places = {layer.name: index for index, layer in enumerate(self.layers)}
        return tuple(places[name] for name in self.outputs)

    def takes_the_data(self, index: int) -> bool:
        """Return whether a layer's first input is the data's own numbers, at most in another shape."""
        source = self.sources(index)[0]
        if source == 0:
            return True
        return self.layers[source - 1].keeps_numbers and self.takes_the_data(source - 1)

    def input_of(self, index: int) -> Input | None:
        """Return the named input whose numbers a layer takes or is; None where samples have no names."""
        layer, source = self.layers[index], self.sources(index)[0]
        if isinstance(layer, Input):
            return layer
        return None if source == 0 else self.input_of(source - 1)

    def layer_path(self, index: int) -> str:
        """Return the prefix of a layer's weights: its name, or `layers.<index>`."""
        return self.layers[index].name or f"layers.{index}"
