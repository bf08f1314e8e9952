"""Recurrent layers over (steps, features), and embedding. State starts at 0; steps go in order.

    simple_rnn   h ← activation(x·kernel + h·recurrent_kernel + bias)
    lstm         i, f, g, o = x·kernel + h·recurrent_kernel + bias, cut into four in this order
                 c ← σ(f)·c + σ(i)·tanh(g); h ← σ(o)·tanh(c)
    gru          z, r, n = x·kernel + bias₁ and z', r', n' = h·recurrent_kernel + bias₂, each cut into three
                 z ← σ(z + z'); r ← σ(r + r'); h ← z·h + (1 − z)·tanh(n + r·n')
                 without reset_after bias₂ is 0 and n' is the candidate's part of (r·h)·recurrent_kernel

These are Keras's orders of gates. The fans of a kernel are its two axes, all
gates together; a bias has those of the kernel. An orthogonal recurrent_kernel is one matrix of all gates.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from shared.spec.fields import Count
from shared.spec.initializers import FanScaled, Initializer, Orthogonal, Uniform, Zeros
from shared.spec.layers.base import BaseLayer


class Embedding(BaseLayer):
    """A row of embeddings (input_dim, output_dim) for each number, which is a row's index from 0.

    A number is cut to a whole one towards 0; one that is no row ends the training, and no gradient passes
    through. The fans are input_dim and output_dim.
    """

    type: Literal["embedding"]
    input_dim: Count
    """How many different numbers there are: they run from 0 to input_dim − 1."""
    output_dim: Count
    embeddings_initializer: Initializer = Uniform(type="random_uniform")


class _Recurrent(BaseLayer):
    units: Count
    return_sequences: bool = False
    """Whether the output has h of every step, (steps, units), or of the last, (units,)."""
    use_bias: bool = True
    kernel_initializer: Initializer = FanScaled(type="glorot_uniform")
    recurrent_initializer: Initializer = Orthogonal(type="orthogonal")
    bias_initializer: Initializer = Zeros(type="zeros")


class SimpleRnn(_Recurrent):
    """Elman's network: kernel (features, units), recurrent_kernel (units, units), bias (units,)."""

    type: Literal["simple_rnn"]
    activation: Literal["tanh", "relu"] = "tanh"


class Lstm(_Recurrent):
    """Hochreiter & Schmidhuber 1997 with a forget gate: kernels (…, 4·units), one bias (4·units,)."""

    type: Literal["lstm"]
    unit_forget_bias: bool = True
    """Whether the forget gate's bias starts at 1 instead (Jozefowicz et al. 2015)."""


class Gru(_Recurrent):
    """Cho et al. 2014: kernels (…, 3·units), bias (2, 3·units), or (3·units,) without reset_after."""

    type: Literal["gru"]
    reset_after: bool = True
    """Whether the reset gate multiplies the state's product with the recurrent kernel, as in PyTorch and
    cuDNN, or the state before it, as in the paper."""


class Bidirectional(BaseLayer):
    """One layer from the first step to the last, one of its own weights from the last to the first.

    Their outputs stand side by side, (…, 2·units), in the order of the input's steps; without
    return_sequences each gives what it ends with. Weights are named forward.kernel, backward.kernel ...
    """

    type: Literal["bidirectional"]
    layer: Annotated[SimpleRnn | Lstm | Gru, Field(discriminator="type")]

    @field_validator("layer")
    @classmethod
    def _has_no_place_of_its_own(cls, layer: SimpleRnn | Lstm | Gru) -> SimpleRnn | Lstm | Gru:
        if layer.name is not None or layer.inputs is not None:
            raise ValueError("name and inputs belong to the bidirectional layer, not to the one inside")
        return layer
