"""Recurrent layers over (steps, features), and embedding. State starts at 0; steps go in order.

    simple_rnn   h ← activation(x·kernel + h·recurrent_kernel + bias)
    lstm         i, f, g, o = x·kernel + h·recurrent_kernel + bias, cut into four in this order
                 c ← σ(f)·c + σ(i)·tanh(g); h ← σ(o)·tanh(c)
    gru          z, r, n = x·kernel + bias₁ and z', r', n' = h·recurrent_kernel + bias₂, each cut into three
                 z ← σ(z + z'); r ← σ(r + r'); h ← z·h + (1 − z)·tanh(n + r·n')
                 without reset_after bias₂ is 0 and n' is the candidate's part of (r·h)·recurrent_kernel

At a step that is padding, in either direction, h and c stay as they are, and the output is the last one, 0
before there is any.

These are Keras's orders of gates. The fans of a kernel are its two axes, all
gates together; a bias has those of the kernel. An orthogonal recurrent_kernel is one matrix of all gates.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import field_validator

from likewise.shared.job.fields import Count
from likewise.shared.job.kinds import Kinds
from likewise.shared.job.layers.base import (
    BaseLayer,
    Cell,
    HoldsBias,
    HoldsKernel,
    LayerWeight,
    LearningLayer,
)
from likewise.shared.job.regularizers import Constraint, Regularizer
from likewise.shared.job.shape import Shape, ShapeError, need_axes
from likewise.shared.job.weights import FanScaled, Initializer, Orthogonal, Uniform, Zeros


class Embedding(LearningLayer):
    """A row of embeddings (input_dim, output_dim) for each number, which is a row's index from 0.

    A number is cut to a whole one towards 0; one that is no row ends the training, and no gradient passes
    through. The fans are input_dim and output_dim.
    """

    passes_gradient: ClassVar[bool] = False

    type: Literal["embedding"]
    input_dim: Count
    """How many different numbers there are: they run from 0 to input_dim − 1."""
    output_dim: Count
    embeddings_initializer: Initializer = Uniform(type="random_uniform")
    embeddings_regularizer: Regularizer | None = None
    """What the loss adds for all rows, whether a batch has their numbers or not."""
    embeddings_constraint: Constraint | None = None
    """What the rows are kept to after each update, all of them; axis 1 is a norm a row."""
    mask_zero: bool = False
    """Whether a 0 is padding, whose step the layers behind leave out: recurrent ones, attention, global
    average pooling and batch normalization. Flattening, convolution and other pooling know no padding, and
    all steps count behind them. Row 0 learns nevertheless. PyTorch's padding_idx leaves out nothing."""

    @property
    def padding_value(self) -> float | None:
        return 0.0 if self.mask_zero else None

    @property
    def index_limit(self) -> tuple[str, int] | None:
        return ("input_dim", self.input_dim)

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        if self.mask_zero and len(shape) != 1:
            raise ShapeError(f"with mask_zero needs one number a step, and gets samples of shape {shape}")
        return (*shape, self.output_dim)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        table = LayerWeight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            fan_in=self.input_dim,
            fan_out=self.output_dim,
        )
        return (table,)

    def uses(self, *inputs: Shape) -> int:
        return 0


class Masking(BaseLayer):
    """Steps whose features are all mask_value are padding, which layers behind leave out; it makes them 0.

    What leaves steps out is said at `mask_zero` of embedding.
    """

    keeps_steps: ClassVar[bool] = True
    keeps_axes: ClassVar[bool] = True

    type: Literal["masking"]
    mask_value: float = 0.0

    @property
    def padding_value(self) -> float | None:
        return self.mask_value

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        need_axes(shape, "steps, features")
        return shape


class _Recurrent(HoldsBias, HoldsKernel):
    gates: ClassVar[int] = 1
    """How many functions of input and state a step works out for each unit."""

    units: Count
    return_sequences: bool = False
    """Whether the output has h of every step, (steps, units), or of the last, (units,)."""
    zero_output_for_mask: bool = False
    """Whether a sequence's output is 0 at a step that is padding, as PyTorch's pad_packed_sequence has it,
    and as bidirectional always does."""
    use_bias: bool = True
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")
    recurrent_initializer: Initializer = Orthogonal(type="orthogonal")
    bias_initializer: Initializer = Zeros(type="zeros")
    recurrent_regularizer: Regularizer | None = None
    """What the loss adds for the recurrent kernel."""
    recurrent_constraint: Constraint | None = None
    """What the recurrent kernel is kept to after each update."""

    @property
    def minds_padding(self) -> bool:
        return True

    @property
    def passes_padding(self) -> bool:
        return self.return_sequences

    def output_shape(self, *inputs: Shape) -> Shape:
        (shape,) = inputs
        need_axes(shape, "steps, features")
        return (shape[0], self.units) if self.return_sequences else (self.units,)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        features, width = inputs[0][-1], self.gates * self.units
        found = [
            LayerWeight(name=name, shape=(rows, width), initializer=initializer, fan_in=rows, fan_out=width)
            for name, rows, initializer in (
                ("kernel", features, self.kernel_initializer),
                ("recurrent_kernel", self.units, self.recurrent_initializer),
            )
        ]
        if self.use_bias:
            bias = LayerWeight(
                name="bias",
                shape=self._bias_shape,
                initializer=self.bias_initializer,
                fan_in=features,
                fan_out=width,
                ones=self._bias_ones,
            )
            found.append(bias)
        return tuple(found)

    @property
    def _bias_shape(self) -> Shape:
        return (self.gates * self.units,)

    @property
    def _bias_ones(self) -> tuple[int, int] | None:
        return None

    def uses(self, *inputs: Shape) -> int:
        return inputs[0][0]

    def cells(self, *inputs: Shape) -> tuple[Cell, ...]:
        return (Cell(kind=self.kind, units=self.units, steps=inputs[0][0], gates=self.gates),)


class SimpleRnn(_Recurrent):
    """Elman's network: kernel (features, units), recurrent_kernel (units, units), bias (units,)."""

    type: Literal["simple_rnn"]
    activation: Literal["tanh", "relu"] = "tanh"


class Lstm(_Recurrent):
    """Hochreiter & Schmidhuber 1997 with a forget gate: kernels (…, 4·units), one bias (4·units,)."""

    gates: ClassVar[int] = 4

    type: Literal["lstm"]
    unit_forget_bias: bool = True
    """Whether the forget gate's bias starts at 1 instead (Jozefowicz et al. 2015)."""

    @property
    def _bias_ones(self) -> tuple[int, int] | None:
        return (self.units, 2 * self.units) if self.unit_forget_bias else None


class Gru(_Recurrent):
    """Cho et al. 2014: kernels (…, 3·units), bias (2, 3·units), or (3·units,) without reset_after."""

    gates: ClassVar[int] = 3

    type: Literal["gru"]
    reset_after: bool = True
    """Whether the reset gate multiplies the state's product with the recurrent kernel, as in PyTorch and
    cuDNN, or the state before it, as in the paper."""

    @property
    def _bias_shape(self) -> Shape:
        width = self.gates * self.units
        return (2, width) if self.reset_after else (width,)


class Bidirectional(BaseLayer):
    """One layer from the first step to the last, one of its own weights from the last to the first.

    Their outputs stand side by side, (…, 2·units), in the order of the input's steps; without
    return_sequences each gives what it ends with. Weights are named forward.kernel, backward.kernel ...
    """

    type: Literal["bidirectional"]
    layer: Annotated[SimpleRnn | Lstm | Gru, Kinds()]

    @field_validator("layer")
    @classmethod
    def _has_no_place_of_its_own(cls, layer: SimpleRnn | Lstm | Gru) -> SimpleRnn | Lstm | Gru:
        if layer.name is not None or layer.inputs is not None:
            raise ValueError("name and inputs belong to the bidirectional layer, not to the one inside")
        if layer.activity_regularizer is not None:
            raise ValueError("activity_regularizer belongs to the bidirectional layer, of whose output it is")
        return layer

    @property
    def learns(self) -> bool:
        return True

    @property
    def trains(self) -> bool:
        return self.layer.trainable

    def regularizer(self, weight: LayerWeight) -> Regularizer | None:
        return self.layer.regularizer(weight)

    def constraint(self, weight: LayerWeight) -> Constraint | None:
        return self.layer.constraint(weight)

    @property
    def minds_padding(self) -> bool:
        return True

    @property
    def passes_padding(self) -> bool:
        return self.layer.return_sequences

    def output_shape(self, *inputs: Shape) -> Shape:
        *steps, units = self.layer.output_shape(*inputs)
        return (*steps, 2 * units)

    def weights(self, *inputs: Shape) -> tuple[LayerWeight, ...]:
        return tuple(
            replace(weight, name=f"{direction}.{weight.name}")
            for direction in ("forward", "backward")
            for weight in self.layer.weights(*inputs)
        )

    def uses(self, *inputs: Shape) -> int:
        return self.layer.uses(*inputs)

    def cells(self, *inputs: Shape) -> tuple[Cell, ...]:
        return self.layer.cells(*inputs) * 2
