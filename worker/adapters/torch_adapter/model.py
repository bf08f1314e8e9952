"""Layers and activations as torch.nn modules; a Linear's weight is the kernel transposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- PyTorch's own name for it
from torch import nn

from shared.spec.model import ActivationLayer, Dense, Dropout, Flatten, Model
from worker.adapters.base import Weights
from worker.adapters.errors import BadShapeError
from worker.adapters.shapes import check_weights

Tensor = Any


def _selu(x: Tensor) -> Tensor:
    # torch.selu has the gradient 1.758 at exactly 0, where the pinned formula has 1.051;
    # clamp keeps the branch not taken finite, so that its gradient is 0 and not NaN
    below = 1.6732632423543772 * torch.expm1(x.clamp(max=0.0))
    return 1.0507009873554805 * torch.where(x < 0, below, x)


def _identity(x: Tensor) -> Tensor:
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": _identity,
    "relu": torch.relu,
    "leaky_relu": partial(F.leaky_relu, negative_slope=0.2),
    "elu": F.elu,
    "selu": _selu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    # from the default threshold of 20 on it is the identity, 2e-9 off; from 40 on nothing is lost
    "softplus": partial(F.softplus, threshold=40.0),
    "softsign": F.softsign,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softmax": partial(torch.softmax, dim=-1),
    "mish": F.mish,
}


class Activation(nn.Module):  # type: ignore[misc]
    """An activation function as a module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._function = ACTIVATIONS[name]

    def forward(self, x: Tensor) -> Tensor:
        """The function of x."""
        return self._function(x)


class Network(nn.Module):  # type: ignore[misc]
    """The model's layers, applied one after another."""

    def __init__(
        self, model: Model, *, input_shape: tuple[int, ...], dtype: Any, device: str, initializers: bool
    ) -> None:
        """Build every layer; `initializers` false leaves the weights as they lie, to be loaded."""
        super().__init__()
        self._dropped: dict[int, str] = {}
        self._linear: dict[str, Any] = {}
        modules: list[Any] = []
        shape = input_shape
        for index, layer in enumerate(model.layers):
            path = model.layer_path(index)
            match layer:
                case Dense():
                    make = nn.Linear if initializers else partial(nn.utils.skip_init, nn.Linear)
                    linear = make(shape[-1], layer.units, bias=layer.use_bias, dtype=dtype, device=device)
                    self._linear[path] = linear
                    modules.append(linear)
                    if layer.activation != "linear":
                        modules.append(Activation(layer.activation))
                    shape = (*shape[:-1], layer.units)
                case Flatten():
                    modules.append(nn.Flatten())
                    shape = (prod(shape),)
                case ActivationLayer():
                    modules.append(Activation(layer.activation))
                case Dropout() if layer.rate > 0:
                    self._dropped[len(modules)] = path
                    modules.append(nn.Identity())
        self.layers = nn.ModuleList(modules)
        self.input_shape = input_shape
        self.output_shape = shape

    def forward(self, x: Tensor, masks: Mapping[str, Tensor] | None = None) -> Tensor:
        """The outputs for x (b, *input_shape); in training with a mask for each dropout layer."""
        for index, layer in enumerate(self.layers):
            if index not in self._dropped:
                x = layer(x)
            elif masks is not None:
                x = _dropped(x, masks[self._dropped[index]])
        return x

    def weights(self) -> Weights:
        """A copy of the weights, by name and in layouts of `worker.adapters.base`."""
        named: Weights = {}
        for path, linear in self._linear.items():
            named[f"{path}.kernel"] = linear.weight.detach().T.contiguous().cpu().numpy().copy()
            if linear.bias is not None:
                named[f"{path}.bias"] = linear.bias.detach().cpu().numpy().copy()
        return named

    def load(self, weights: Weights) -> None:
        """Replace the weights; raises BadShapeError where they do not fit."""
        check_weights({name: array.shape for name, array in self.weights().items()}, weights)
        for path, linear in self._linear.items():
            _assign(linear.weight, weights[f"{path}.kernel"].T)
            if linear.bias is not None:
                _assign(linear.bias, weights[f"{path}.bias"])


def _dropped(x: Tensor, mask: Tensor) -> Tensor:
    if mask.shape != x.shape:
        raise BadShapeError(f"a dropout mask of shape {tuple(mask.shape)} for values of {tuple(x.shape)}")
    return x * mask


def _assign(parameter: Tensor, values: Any) -> None:
    with torch.no_grad():
        parameter.copy_(torch.as_tensor(values.copy()))


def default_weights(model: Model, *, input_shape: tuple[int, ...], dtype: Any, seed: int) -> Weights:
    """What `torch.manual_seed(seed)` and torch.nn's initializers give; the generator is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(model, input_shape=input_shape, dtype=dtype, device="cpu", initializers=True)
    return network.weights()
