"""What a template is told of a layer: its windows, padding, channels and weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from likewise.producer.advice.weight_view import WeightView, draws_alike, law_of
from likewise.producer.job.native import native_table
from likewise.shared.job.layers.windows import by_axis, by_side
from likewise.shared.job.shape import axis_of
from likewise.shared.program import Stage, Weight


@dataclass(frozen=True)
class LayerView:
    """What a template asks of a layer."""

    stage: Stage
    framework: str
    first: bool
    """Whether its input has the channels before the other axes."""
    ins: tuple[str, ...]
    shown_fields: frozenset[str]
    given_names: frozenset[str] | None
    """The weights that are given, by name; None for all."""
    counted: str | None = None
    """An expression of which steps count (batch, steps), true where they do; None where all of them do."""

    @property
    def layer(self) -> Any:
        """Return what was declared."""
        return self.stage.layer

    @property
    def kind(self) -> str:
        """Return its word in job files."""
        return self.stage.kind

    @property
    def var(self) -> str:
        """Return the variable that holds the layer."""
        return variable(self.stage.path)

    @property
    def out(self) -> str:
        """Return its output's variable."""
        return f"x_{self.var}"

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Return the inputs' shapes."""
        return self.stage.inputs

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the first input's shape."""
        return self.stage.inputs[0]

    @property
    def output(self) -> tuple[int, ...]:
        """Return the output's shape."""
        return self.stage.output

    @property
    def row(self) -> int:
        """Return how many numbers the first input of a sample has."""
        return prod(self.shape)

    @property
    def features(self) -> int:
        """Return the size of the input's last axis."""
        return self.shape[-1]

    @property
    def cell(self) -> Any:
        """Return the recurrent layer that it is, or holds; None for any other."""
        return getattr(self.layer, "layer", self.layer) if self.stage.cells else None

    @property
    def keeps_batch(self) -> bool:
        """Return whether it is a frozen batch normalization that goes on with the batch's statistics."""
        return self.kind == "batch_norm" and not self.layer.trains and self.layer.uses_batch

    @property
    def own_activation(self) -> bool:
        """Return whether an activation is one of its settings, and not all it does or a cell's."""
        others = ("activation", "glu", "swiglu")
        return hasattr(self.layer, "activation") and self.kind not in others and not self.stage.cells

    @property
    def weights(self) -> tuple[Weight, ...]:
        """Return the weights of the layer."""
        return self.stage.weights

    @property
    def given(self) -> tuple[Weight, ...]:
        """Return the weights that are given."""
        return tuple(
            weight for weight in self.weights if self.given_names is None or weight.name in self.given_names
        )

    # --- windows

    @property
    def window(self) -> Any:
        """Return the window's size, by axis where there are several."""
        return _plain(self.layer.window)

    @property
    def strides(self) -> Any:
        """Return the distance between windows, by axis where there are several."""
        return _plain(self.layer.steps)

    @property
    def strides_are_one(self) -> bool:
        """Return whether windows stand at every place."""
        return set(self.layer.steps) == {1}

    @property
    def dilation(self) -> Any:
        """Return how far apart the numbers of a window are; None where they stand side by side."""
        dilation = by_axis(getattr(self.layer, "dilation", 1), self.layer.axes)
        return _plain(dilation) if set(dilation) != {1} else None

    @property
    def keras_lacks(self) -> bool:
        """Return whether Keras's layer refuses its strides: uneven ones by channel, or dilated ones."""
        apart = self.dilation is not None and not self.strides_are_one
        by_channel = self.kind.startswith(("depthwise", "separable"))
        return apart or (by_channel and len(set(self.layer.steps)) > 1)

    @cached_property
    def pads(self) -> list[tuple[int, int]]:
        """Return how many zeros stand before and after each axis."""
        return list(self.layer.sides(self.shape))

    @property
    def last_first(self) -> tuple[int, ...]:
        """Return the same in one row, the last axis first."""
        return tuple(amount for pair in reversed(self.pads) for amount in pair)

    @property
    def padded(self) -> bool:
        """Return whether any zeros are added."""
        return any(before or after for before, after in self.pads)

    @property
    def even_pads(self) -> bool:
        """Return whether as many stand before as after."""
        return all(before == after for before, after in self.pads)

    @property
    def pads_before(self) -> Any:
        """Return how many stand before, by axis where there are several."""
        return _plain(tuple(before for before, _ in self.pads))

    @property
    def grid(self) -> tuple[int, ...]:
        """Return how many windows each axis has."""
        return tuple(self.layer.grid(self.shape))

    # --- transposed convolutions

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Return which output of the whole comes first on each axis, and how many there are."""
        return tuple(self.layer.places(self.shape))

    @property
    def whole(self) -> tuple[int, ...]:
        """Return how many outputs each axis has before any is cut off."""
        axes = zip(self.shape, self.layer.steps, self.layer.window, strict=False)
        return tuple((size - 1) * step + window for size, step, window in axes)

    @property
    def added(self) -> tuple[int, ...]:
        """Return how many outputs more than the cut ones leave are at each axis's end, in PyTorch's count."""
        return tuple(
            begin + count - (whole - begin)
            for (begin, count), whole in zip(self.places, self.whole, strict=True)
        )

    @property
    def is_pytorch_s(self) -> bool:
        """Return whether PyTorch's padding and output_padding cut so."""
        amounts = zip(self.added, self.layer.steps, strict=True)
        return all(added == 0 or 0 < added < step for added, step in amounts)

    @property
    def cuts_before(self) -> bool:
        """Return whether any output is cut off at the beginning."""
        return any(begin for begin, _ in self.places)

    @property
    def _keras_whole(self) -> tuple[int, ...]:
        """Return how many outputs Keras gives without padding."""
        gaps = zip(self.whole, self.layer.steps, self.layer.window, strict=True)
        return tuple(whole + max(step - window, 0) for whole, step, window in gaps)

    @property
    def cropped(self) -> Any:
        """Return what is cut off Keras's outputs before and after, on each axis."""
        cuts = tuple(
            (begin, whole - begin - count)
            for (begin, count), whole in zip(self.places, self._keras_whole, strict=True)
        )
        return cuts[0] if len(cuts) == 1 else cuts

    @property
    def beyond(self) -> bool:
        """Return whether outputs are wanted that Keras does not give."""
        return any(
            begin + count > whole
            for (begin, count), whole in zip(self.places, self._keras_whole, strict=True)
        )

    @property
    def slices(self) -> str:
        """Return, in Python, the places of a batch that the number `at` of each window stands at."""
        axes = zip(self.grid, self.layer.steps, strict=True)
        return ", ".join(
            [
                ":",
                *(
                    f"at[{axis}] : at[{axis}] + {(count - 1) * step + 1} : {step}"
                    for axis, (count, step) in enumerate(axes)
                ),
            ]
        )

    @property
    def begins(self) -> Any:
        """Return how many outputs are cut off before, by axis where there are several."""
        return _plain(tuple(begin for begin, _ in self.places))

    @property
    def output_padding(self) -> Any:
        """Return what PyTorch adds at the end: all of it where it cuts so, else what the whole lacks."""
        if self.is_pytorch_s:
            return _plain(self.added)
        return _plain(tuple(max(-after, 0) for after in self._cut_after))

    @property
    def has_output_padding(self) -> bool:
        """Return whether it adds anything."""
        padding = self.output_padding
        return any(padding) if isinstance(padding, tuple) else bool(padding)

    @property
    def crops(self) -> tuple[int, ...]:
        """Return what is padded behind it, at most 0, the last axis first; empty where PyTorch cuts so."""
        if self.is_pytorch_s:
            return ()
        cuts = zip(self.places, self._cut_after, strict=True)
        return tuple(-cut for (begin, _), after in reversed(list(cuts)) for cut in (begin, max(after, 0)))

    @property
    def _cut_after(self) -> tuple[int, ...]:
        return tuple(
            whole - begin - count for (begin, count), whole in zip(self.places, self.whole, strict=True)
        )

    @property
    def spatial(self) -> tuple[int, ...]:
        """Return the axes of a batch that are neither the batch's nor the channels'."""
        start = 2 if self.first else 1
        return tuple(range(start, start + len(self.shape) - 1))

    @property
    def dim(self) -> int:
        """Return the axis that `axis` names in a batch as the layer gets it; a sample's first is 1."""
        place = axis_of(self.layer.axis, self.output) + 1
        if not self.first:
            return place
        return 1 if place == len(self.output) else place + 1

    # --- zero padding, cropping and upsampling

    @property
    def sides(self) -> Any:
        """Return how much stands before and after each axis, or is cut off there."""
        pairs = self._sides
        return pairs[0] if len(pairs) == 1 else pairs

    @property
    def amounts(self) -> tuple[int, ...]:
        """Return the same with the last axis first, and what is cut off below 0."""
        sign = -1 if hasattr(self.layer, "cropping") else 1
        return tuple(sign * amount for pair in reversed(self._sides) for amount in pair)

    @property
    def _sides(self) -> tuple[tuple[int, int], ...]:
        amounts = self.layer.cropping if hasattr(self.layer, "cropping") else self.layer.padding
        return by_side(amounts, self.layer.axes)

    @property
    def factors(self) -> Any:
        """Return how many times as long each axis becomes."""
        return _plain(by_axis(self.layer.size, self.layer.axes))

    @property
    def stretches(self) -> tuple[tuple[int, int], ...]:
        """Return the same, each with its axis in a batch."""
        return tuple(enumerate(by_axis(self.layer.size, self.layer.axes), start=1))

    # --- normalization and prelu

    @property
    def normed(self) -> list[int]:
        """Return the axes that are normalized over, in a batch whose channels are last."""
        return [place + 1 for place in self.layer.places(self.shape)]

    @property
    def shared(self) -> list[int]:
        """Return the axes of a batch over which there is one alpha."""
        sizes = zip(self.weights[0].shape, self.shape, strict=True)
        declared = self.layer.shared_axes is not None
        return [axis for axis, (size, _) in enumerate(sizes, start=1) if declared and size == 1]

    # --- attention

    @property
    def key_features(self) -> int:
        """Return the features of an attention's key."""
        return self.shapes[-1][-1]

    @property
    def value_features(self) -> int:
        """Return the features of an attention's value."""
        return self.shapes[min(1, len(self.shapes) - 1)][-1]

    @property
    def one_projection(self) -> bool:
        """Return whether query, key and value have as many features."""
        return self.features == self.key_features == self.value_features

    @property
    def stock_attention(self) -> bool:
        """Return whether all heads together are as wide as the query."""
        wide = self.layer.num_heads * self.layer.key_dim == self.features
        return wide and self.layer.value_dim in (None, self.layer.key_dim)

    # --- initializers

    @cached_property
    def drawn(self) -> tuple[WeightView, ...]:
        """Return how each weight that is drawn is drawn."""
        return tuple(self._drawn(weight) for weight in self.weights if not weight.moving)

    @property
    def fields(self) -> Mapping[str, WeightView]:
        """Return how the weights of each initializer are drawn, by its field."""
        return {view.field: view for view in reversed(self.drawn)}

    @property
    def held(self) -> dict[str, Any]:
        """Return the regularizers and constraints of weights that are declared, by field."""
        fields = dict(self.cell or self.layer)
        del fields["activity_regularizer"]
        ends = ("_regularizer", "_constraint")
        return {name: rule for name, rule in fields.items() if name.endswith(ends) and rule is not None}

    def shown(self, field: str, view: WeightView) -> bool:
        """Return whether the initializer is written: it is no default, or it is asked for."""
        return not view.native or field in self.shown_fields

    def _drawn(self, weight: Weight) -> WeightView:
        end = weight.own_name.rpartition(".")[2]
        field = f"{end.removesuffix('_kernel')}_initializer"
        if weight.own_name == "attention_output.kernel" and self.layer.output_initializer is not None:
            field = "output_initializer"
        kind = self.cell.type if self.cell else self.kind
        row = native_table(self.framework).get(f"layer.{kind}", {}).get(field)
        beside = self.layer.model_dump(mode="json")
        return WeightView(
            name=weight.name,
            own_name=weight.own_name,
            field=field,
            shape=weight.shape,
            word=weight.initializer.type,
            native=row is not None and draws_alike(row.given(beside), weight),
            ones=weight.ones,
            **law_of(weight.initializer, weight),
        )


def variable(path: str) -> str:
    """Return the variable of a layer: its name, or `layer_<index>`."""
    return path.replace("layers.", "layer_") if path.startswith("layers.") else path


def _plain(values: tuple[int, ...]) -> Any:
    """Return one number for an axis alone, and as a pair otherwise."""
    return values[0] if len(values) == 1 else values
