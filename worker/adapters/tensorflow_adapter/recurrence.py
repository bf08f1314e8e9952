"""Lstm and gru over all their time steps, with gradients written out; the formulas are Keras's.

TensorFlow differentiates a while loop by keeping every intermediate result of every step in a list of its
own, which costs small layers more than their work. Here a step keeps its product with the recurrent kernel
and its states. Going back, a step is linear in the gradient that comes to it, so its factors are
computed for several steps at once, and the kernels' gradients for all.

The loops are `tf.while_loop`s whose bodies do several steps, so that tracing takes no longer for long
sequences. Sequences are (steps, batch, numbers) throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import tensorflow as tf

from likewise.shared.job.layers.recurrent import Bidirectional, Gru, Lstm

Tensor = Any

MOST_AT_ONCE = 10
"""The most steps of one turn of a loop."""


def is_written_out(layer: Any) -> bool:
    """Return whether `recurrence` has the layer's formula."""
    cell = layer.layer if isinstance(layer, Bidirectional) else layer
    return isinstance(cell, Lstm) or (isinstance(cell, Gru) and cell.reset_after)


def recurrence(layer: Lstm | Gru | Bidirectional, weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """Map (b, steps, features) to (b, steps, units) or (b, units), units twice in both directions.

    `weights` are the layer's in Keras's order: kernel, recurrent_kernel and, where there is one, bias.
    """
    x = tf.transpose(x, [1, 0, 2])
    if not isinstance(layer, Bidirectional):
        return _ended(layer, _states(layer, weights, x))
    cell, half = cast("Lstm | Gru", layer.layer), len(weights) // 2
    there = _states(cell, weights[:half], x)
    back = _states(cell, weights[half:], tf.reverse(x, axis=[0]))
    if cell.return_sequences:
        back = tf.reverse(back, axis=[0])
    return tf.concat([_ended(cell, states) for states in (there, back)], axis=-1)


def _ended(cell: Lstm | Gru, states: Tensor) -> Tensor:
    return tf.transpose(states, [1, 0, 2]) if cell.return_sequences else states[-1]


def _states(cell: Lstm | Gru, weights: Sequence[Tensor], x: Tensor) -> Tensor:
    """Return the state after each step of x: (steps, b, units)."""
    kernel, recurrent, *biases = weights
    steps, features = x.shape[0], x.shape[2]
    within = tf.zeros([recurrent.shape[1]], x.dtype)
    sums = tf.reshape(tf.matmul(tf.reshape(x, [-1, features]), kernel), [steps, -1, recurrent.shape[1]])
    if biases:
        before, within = tf.unstack(biases[0]) if isinstance(cell, Gru) else (biases[0], within)
        sums += before
    return _looped(_LSTM if isinstance(cell, Lstm) else _GRU, sums, recurrent, within)


class _Formula(NamedTuple):
    """A cell: what it does in a step, and how a gradient goes back through one."""

    step: Callable[[Tensor, Tensor, Sequence[Tensor]], Sequence[Tensor]]
    """Takes the input's part of the gates, the state's part, and h with what else is carried, each (b, …);
    returns the latter after the step."""
    factors: Callable[..., tuple[Tensor, ...]]
    """Takes the same of several steps, and what was carried out of them; returns what `back` needs."""
    back: Callable[..., tuple[Tensor, Tensor, list[Tensor]]]
    """Takes the gradients of what a step carries out, and its factors. Returns those of both parts of the
    gates, and of what it was given, of h without its way through the recurrent kernel."""
    carried: int


def _lstm_step(now: Tensor, own: Tensor, carried: Sequence[Tensor]) -> Sequence[Tensor]:
    i, f, g, o = tf.split(now + own, 4, axis=-1)
    c = tf.sigmoid(f) * carried[1] + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


def _lstm_factors(
    now: Tensor, own: Tensor, before: Sequence[Tensor], after: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    one = tf.constant(1.0, now.dtype)
    i, f, g, o = tf.split(now + own, 4, axis=-1)
    i, f, g, o, c = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o), tf.tanh(after[1])
    gates = [g * i * (one - i), before[1] * f * (one - f), i * (one - g * g), c * o * (one - o)]
    return o * (one - c * c), tf.concat(gates, axis=-1), f


def _lstm_back(
    carried: Sequence[Tensor], to_c: Tensor, gates: Tensor, f: Tensor
) -> tuple[Tensor, Tensor, list[Tensor]]:
    h, c = carried
    c += h * to_c
    both = tf.concat([c, c, c, h], axis=-1) * gates
    return both, both, [tf.zeros_like(h), c * f]


def _gru_step(now: Tensor, own: Tensor, carried: Sequence[Tensor]) -> Sequence[Tensor]:
    (h,) = carried
    sizes = [2 * h.shape[-1], h.shape[-1]]
    (gates, candidate), (own_gates, own_candidate) = (tf.split(part, sizes, axis=-1) for part in (now, own))
    z, r = tf.split(tf.sigmoid(gates + own_gates), 2, axis=-1)
    candidate = tf.tanh(candidate + r * own_candidate)
    return (z * h + (tf.constant(1.0, h.dtype) - z) * candidate,)


def _gru_factors(
    now: Tensor, own: Tensor, before: Sequence[Tensor], after: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    del after
    one = tf.constant(1.0, now.dtype)
    (h,) = before
    sizes = [2 * h.shape[-1], h.shape[-1]]
    (gates, candidate), (own_gates, own_candidate) = (tf.split(part, sizes, axis=-1) for part in (now, own))
    z, r = tf.split(tf.sigmoid(gates + own_gates), 2, axis=-1)
    candidate = tf.tanh(candidate + r * own_candidate)
    to_z = (h - candidate) * z * (one - z)
    to_candidate = (one - z) * (one - candidate * candidate)
    to_r = to_candidate * own_candidate * r * (one - r)
    return (
        tf.concat([to_z, to_r, to_candidate], axis=-1),
        tf.concat([to_z, to_r, to_candidate * r], axis=-1),
        z,
    )


def _gru_back(
    carried: Sequence[Tensor], now: Tensor, own: Tensor, z: Tensor
) -> tuple[Tensor, Tensor, list[Tensor]]:
    (h,) = carried
    three = tf.concat([h, h, h], axis=-1)
    return three * now, three * own, [h * z]


_LSTM = _Formula(_lstm_step, _lstm_factors, _lstm_back, 2)
_GRU = _Formula(_gru_step, _gru_factors, _gru_back, 1)


def _looped(formula: _Formula, sums: Tensor, recurrent: Tensor, within: Tensor) -> Tensor:
    """Return the state after each step, (steps, b, units), of sums (steps, b, gates · units)."""
    steps, units = sums.shape[0], recurrent.shape[0]
    at_once = max(number for number in range(1, MOST_AT_ONCE + 1) if steps % number == 0)
    turns = steps // at_once

    def in_turns(sequence: Tensor) -> Tensor:
        return tf.reshape(sequence, [turns, at_once, -1, sequence.shape[-1]])

    def kept(width: int) -> Any:
        return tf.TensorArray(sums.dtype, turns, element_shape=[at_once, None, width])

    def whole(array: Any) -> Tensor:
        stacked = array.stack()
        return tf.reshape(stacked, [steps, -1, stacked.shape[-1]])

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def looped(sums: Tensor, recurrent: Tensor, within: Tensor) -> tuple[Tensor, Any]:
        parts = in_turns(sums)

        def forward(turn: Tensor, carried: list[Tensor], arrays: list[Any]) -> Any:
            owns, states = [], []
            for now in tf.unstack(parts[turn]):
                owns.append(tf.matmul(carried[0], recurrent) + within)
                carried = list(formula.step(now, owns[-1], carried))
                states.append(carried)
            told = [owns, *zip(*states, strict=True)]
            return turn + 1, carried, [a.write(turn, tf.stack(b)) for a, b in zip(arrays, told, strict=True)]

        zeros = [tf.zeros([tf.shape(sums)[1], units], sums.dtype)] * formula.carried
        arrays = [kept(sums.shape[-1]), *[kept(units) for _ in zeros]]
        *_, arrays = tf.while_loop(
            lambda turn, *_: turn < turns, forward, (0, zeros, arrays), parallel_iterations=1
        )
        own, *after = map(whole, arrays)
        before = [tf.concat([zeros[0][None], one[:-1]], axis=0) for one in after]

        def gradient(upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            transposed = tf.transpose(recurrent)
            all_parts = [in_turns(one) for one in (upstream, sums, own, *before, *after)]

            def backward(turn: Tensor, carried: list[Tensor], arrays: list[Any]) -> Any:
                coming, now, product, *states = (part[turn] for part in all_parts)
                factors = formula.factors(now, product, states[: formula.carried], states[formula.carried :])
                told = []
                for one, *some in reversed(list(zip(*map(tf.unstack, (coming, *factors)), strict=True))):
                    carried = [carried[0] + one, *carried[1:]]
                    of_now, of_own, carried = formula.back(carried, *some)
                    carried[0] += tf.matmul(of_own, transposed)
                    told.append((of_now, of_own))
                told = [tf.stack(some[::-1]) for some in zip(*told, strict=True)]
                return turn - 1, carried, [a.write(turn, b) for a, b in zip(arrays, told, strict=True)]

            start = (turns - 1, zeros, [kept(sums.shape[-1]), kept(sums.shape[-1])])
            *_, arrays = tf.while_loop(lambda turn, *_: turn >= 0, backward, start, parallel_iterations=1)
            of_now, of_own = map(whole, arrays)
            flat = tf.reshape(of_own, [-1, of_own.shape[-1]])
            of_recurrent = tf.matmul(tf.reshape(before[0], [-1, units]), flat, transpose_a=True)
            return of_now, of_recurrent, tf.reduce_sum(flat, axis=0)

        return after[0], gradient

    return looped(sums, recurrent, within)
