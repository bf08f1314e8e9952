"""Recurrent layers on PyTorch's fused functions, or written out; the parameters lie as in Keras.

PyTorch has two biases for each gate where Keras's lstm and simple_rnn have one, and the gru's gates in
another order. Parameters in Keras's layout make a step change, and clip, what the spec calls one weight.
The fused functions cannot be vectorised over members, and there is none for a gru whose state is reset
before the product: the cells then go step by step, by the formulas of `shared.job.layers.recurrent`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from likewise.shared.job.layers.recurrent import Bidirectional, Gru, Lstm, SimpleRnn
from likewise.shared.program import Stage
from likewise.worker.adapters.torch_adapter.activations import PLAIN
from likewise.worker.adapters.torch_adapter.weights import stored

Tensor = Any
_MODULES = {"simple_rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Recurrent(nn.Module):  # type: ignore[misc]
    """A simple_rnn, lstm or gru, in one direction or both."""

    def __init__(self, stage: Stage, *, initializers: bool, **where: Any) -> None:
        super().__init__()
        layer: SimpleRnn | Lstm | Gru | Bidirectional = stage.layer
        self.written_out = False
        """Whether the cells go step by step, as torch.vmap needs them."""
        self._both = isinstance(layer, Bidirectional)
        self._cell = layer.layer if isinstance(layer, Bidirectional) else layer
        self._gives_zeros = self._cell.return_sequences and (self._both or self._cell.zero_output_for_mask)
        self.stored = {}
        start: dict[str, Tensor] = {}
        if initializers:
            for direction in ("forward.", "backward.") if self._both else ("",):
                own = self._torch_s_own(stage.inputs[0][-1], **where)
                start |= {direction + name: values for name, values in own.items()}
        for weight in stage.weights:
            parameter = nn.Parameter(start.get(weight.own_name, torch.zeros(weight.shape, **where)))
            self.register_parameter(weight.own_name.replace(".", "_"), parameter)
            self.stored[weight.own_name] = stored(parameter)

    def forward(self, x: Tensor, counted: Tensor | None = None) -> Tensor:
        """Map (b, steps, features) to (b, steps, units) or (b, units), units twice in both directions."""
        alone = isinstance(self._cell, Gru) and not self._cell.reset_after
        if self.written_out or alone or counted is not None:
            return self._step_by_step(x, counted)
        directions = 2 if self._both else 1
        start = x.new_zeros(directions, len(x), self._cell.units)
        prefixes = ("forward_", "backward_") if self._both else ("",)
        flat = [tensor for prefix in prefixes for tensor in self._flat(prefix, x)]
        options = (True, 1, 0.0, False, self._both, True)
        match self._cell:
            case Lstm():
                sequence, last, _ = torch.lstm(x, (start, start), flat, *options)
            case Gru():
                sequence, last = torch.gru(x, start, flat, *options)
            case SimpleRnn():
                run = torch.rnn_tanh if self._cell.activation == "tanh" else torch.rnn_relu
                sequence, last = run(x, start, flat, *options)
        return sequence if self._cell.return_sequences else torch.cat(last.unbind(), dim=-1)

    def _step_by_step(self, x: Tensor, counted: Tensor | None) -> Tensor:
        """Do what `forward` does, in operations that torch.vmap knows."""
        back = None if counted is None else counted.flip(1)
        ways = (
            [self._states("forward_", x, counted), self._states("backward_", x.flip(1), back)]
            if self._both
            else [self._states("", x, counted)]
        )
        if not self._cell.return_sequences:
            return torch.cat([states[-1] for states in ways], dim=-1)
        sequences = [torch.stack(states, dim=1) for states in ways]
        return torch.cat((sequences[0], *(sequence.flip(1) for sequence in sequences[1:])), dim=-1)

    def _states(self, prefix: str, x: Tensor, counted: Tensor | None) -> list[Tensor]:
        """Return what each step of one direction gives: h (b, units)."""
        kernel, recurrent = (getattr(self, prefix + name) for name in ("kernel", "recurrent_kernel"))
        before, within = self._biases(prefix)
        sums = x @ kernel if before is None else x @ kernel + before
        h = c = x.new_zeros(len(x), self._cell.units)
        states = []
        counts = [None] * sums.shape[1] if counted is None else counted[..., None].unbind(1)
        for now, counting in zip(sums.unbind(1), counts, strict=True):
            before_h, before_c = h, c
            match self._cell:
                case Lstm():
                    i, f, g, o = (now + h @ recurrent).chunk(4, dim=-1)
                    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                    h = torch.sigmoid(o) * torch.tanh(c)
                case Gru(reset_after=True):
                    h = _reset_after(now, h, h @ recurrent if within is None else h @ recurrent + within)
                case Gru():
                    h = _reset_before(now, h, recurrent)
                case SimpleRnn(activation=activation):
                    h = PLAIN[activation](now + h @ recurrent)
            if counting is None:
                states.append(h)
                continue
            h, c = torch.where(counting, h, before_h), torch.where(counting, c, before_c)
            states.append(torch.where(counting, h, torch.zeros_like(h)) if self._gives_zeros else h)
        return states

    def _biases(self, prefix: str) -> tuple[Tensor | None, Tensor | None]:
        """Return what is added to the input's product, and in a gru that resets after it to the state's."""
        if not self._cell.use_bias:
            return None, None
        bias = getattr(self, f"{prefix}bias")
        return (bias[0], bias[1]) if bias.ndim == 2 else (bias, None)

    def _flat(self, prefix: str, x: Tensor) -> list[Tensor]:
        """Return one direction's weights as PyTorch wants them."""
        kernel, recurrent = (getattr(self, prefix + name) for name in ("kernel", "recurrent_kernel"))
        gates = kernel.shape[-1]
        if not self._cell.use_bias:
            biases = [x.new_zeros(gates)] * 2
        elif isinstance(self._cell, Gru):
            biases = list(getattr(self, f"{prefix}bias").unbind())
        else:
            biases = [getattr(self, f"{prefix}bias"), x.new_zeros(gates)]
        swap = _swapped if isinstance(self._cell, Gru) else _same
        return [swap(kernel).T, swap(recurrent).T, *(swap(bias) for bias in biases)]

    def _torch_s_own(self, features: int, **where: Any) -> dict[str, Tensor]:
        """Return what the torch.nn module starts one direction with, in Keras's layouts."""
        module = _MODULES[self._cell.type](features, self._cell.units, bias=self._cell.use_bias, **where)
        swap = _swapped if isinstance(self._cell, Gru) else _same
        values = {"kernel": swap(module.weight_ih_l0.T), "recurrent_kernel": swap(module.weight_hh_l0.T)}
        if self._cell.use_bias:
            both = torch.stack((module.bias_ih_l0, module.bias_hh_l0))
            two = isinstance(self._cell, Gru) and self._cell.reset_after
            values["bias"] = swap(both if two else both.sum(dim=0))
        return {name: tensor.detach().contiguous() for name, tensor in values.items()}


def _reset_after(now: Tensor, h: Tensor, own: Tensor) -> Tensor:
    """Return a gru's next state; `now` has the input's part of z, r and the candidate, `own` the state's."""
    of_input, of_state = now.chunk(3, dim=-1), own.chunk(3, dim=-1)
    z, r = (torch.sigmoid(of_input[gate] + of_state[gate]) for gate in (0, 1))
    return z * h + (1.0 - z) * torch.tanh(of_input[2] + r * of_state[2])


def _reset_before(now: Tensor, h: Tensor, recurrent: Tensor) -> Tensor:
    """Return a gru's next state, reset before the product with the candidate's part of its kernel."""
    units = h.shape[-1]
    gates, candidate = recurrent.split((2 * units, units), dim=-1)
    z, r, n = now.chunk(3, dim=-1)
    of_state = (h @ gates).chunk(2, dim=-1)
    z, r = torch.sigmoid(z + of_state[0]), torch.sigmoid(r + of_state[1])
    return z * h + (1.0 - z) * torch.tanh(n + (r * h) @ candidate)


def _same(values: Tensor) -> Tensor:
    return values


def _swapped(values: Tensor) -> Tensor:
    """Swap z, r, n for r, z, n on the last axis, or back."""
    first, second, third = values.chunk(3, dim=-1)
    return torch.cat((second, first, third), dim=-1)
