"""Recurrent layers on Keras's weights, written out step by step.

Keras loops over the steps in a while loop of its own, which tf.vectorized_map takes 5 to 10 s to trace and
runs no quicker; with the steps one after another in the graph it takes a tenth of that. The formulas are
those of `shared.job.layers.recurrent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from shared.job.layers.recurrent import Bidirectional, Gru, Lstm, SimpleRnn
from worker.adapters.tensorflow_adapter.activations import PLAIN

Tensor = Any
Cell = SimpleRnn | Lstm | Gru


def step_by_step(layer: Cell | Bidirectional, weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """(b, steps, features) → (b, steps, units) or (b, units), units twice in both directions.

    `weights` are the layer's in Keras's order: kernel, recurrent_kernel and, where there is one, bias.
    """
    if not isinstance(layer, Bidirectional):
        return _ended(layer, _states(layer, weights, x))
    half = len(weights) // 2
    there = _states(layer.layer, weights[:half], x)
    back = _states(layer.layer, weights[half:], tf.reverse(x, axis=[1]))
    if layer.layer.return_sequences:
        back = back[::-1]
    return tf.concat([_ended(layer.layer, states) for states in (there, back)], axis=-1)


def _ended(cell: Cell, states: Sequence[Tensor]) -> Tensor:
    return tf.stack(states, axis=1) if cell.return_sequences else states[-1]


def _states(cell: Cell, weights: Sequence[Tensor], x: Tensor) -> list[Tensor]:
    """h after each step of x (b, steps, features): (b, units) each."""
    kernel, recurrent, *biases = weights
    before = within = None
    if biases:
        before, within = tf.unstack(biases[0]) if len(biases[0].shape) == 2 else (biases[0], None)
    sums = tf.tensordot(x, kernel, 1)
    h = c = tf.zeros([tf.shape(x)[0], cell.units], x.dtype)
    states = []
    for now in tf.unstack(sums if before is None else sums + before, axis=1):
        match cell:
            case SimpleRnn(activation=activation):
                h = PLAIN[activation](now + h @ recurrent)
            case Lstm():
                i, f, g, o = tf.split(now + h @ recurrent, 4, axis=-1)
                c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
                h = tf.sigmoid(o) * tf.tanh(c)
            case Gru(reset_after=True):
                h = _reset_after(now, h, h @ recurrent if within is None else h @ recurrent + within)
            case Gru():
                h = _reset_before(now, h, recurrent)
        states.append(h)
    return states


def _reset_after(now: Tensor, h: Tensor, own: Tensor) -> Tensor:
    """A gru's state after h; `now` has the input's part of z, r and the candidate, `own` the state's."""
    of_input, of_state = (tf.split(part, 3, axis=-1) for part in (now, own))
    z, r = (tf.sigmoid(of_input[gate] + of_state[gate]) for gate in (0, 1))
    return _mixed(z, h, tf.tanh(of_input[2] + r * of_state[2]))


def _reset_before(now: Tensor, h: Tensor, recurrent: Tensor) -> Tensor:
    """The same, the state reset before the product with the candidate's part of its kernel."""
    of_input, kernels = (tf.split(part, 3, axis=-1) for part in (now, recurrent))
    z, r = (tf.sigmoid(of_input[gate] + h @ kernels[gate]) for gate in (0, 1))
    return _mixed(z, h, tf.tanh(of_input[2] + (r * h) @ kernels[2]))


def _mixed(z: Tensor, h: Tensor, candidate: Tensor) -> Tensor:
    return z * h + (tf.constant(1.0, h.dtype) - z) * candidate
