"""What PyTorch does where no signature says it. CHECKS has a function a row; it raises AssertionError."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler

SCHEDULERS = {
    "constant": "LinearLR",
    "cosine_restarts": "CosineAnnealingWarmRestarts",
    "step": "StepLR",
    "exponential": "ExponentialLR",
    "cosine": "CosineAnnealingLR",
    "polynomial": "PolynomialLR",
    "piecewise": "MultiStepLR",
    "reduce_on_plateau": "ReduceLROnPlateau",
}


def steps_per(place: str, value: Any) -> None:
    """Where the class's own documentation calls step()."""
    text = getattr(lr_scheduler, SCHEDULERS[place.split(".")[1]]).__doc__
    once_an_epoch = r">>> for epoch in range\(\w+\):\n( +>>> .*\n)*? +>>>     scheduler\.step\("
    assert re.search(once_an_epoch, text)
    assert value == "epoch"


def watches(_: str, value: Any) -> None:
    """What the documentation gives to step()."""
    assert ("step(val_loss)" in lr_scheduler.ReduceLROnPlateau.__doc__) == (value == "validation_loss")


def optimizer(rate: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)


def rates(scheduler: Any, steps: list[Any]) -> list[float]:
    """The rate after each call of step()."""
    found = []
    for given in steps:
        scheduler.optimizer.step()
        scheduler.step(*given)
        found.append(round(scheduler.optimizer.param_groups[0]["lr"], 6))
    return found


def polynomial_end(_: str, value: Any) -> None:
    """Where the rate ends."""
    assert rates(lr_scheduler.PolynomialLR(optimizer(), total_iters=2), [()] * 4)[-1] == value


def boundary(_: str, value: Any) -> None:
    """The rate of the update at a milestone of 3: after three calls of step()."""
    rate = rates(lr_scheduler.MultiStepLR(optimizer(), [3]), [()] * 3)[-1]
    assert {1.0: "after", 0.1: "before"}[rate] == value


def patience_rule(_: str, value: Any) -> None:
    """When two epochs in a row without a fall lower the rate."""
    found = rates(lr_scheduler.ReduceLROnPlateau(optimizer(), patience=2), [(1.0,)] * 3)
    assert {(1.0, 1.0, 0.1): "reached", (1.0, 1.0, 1.0): "exceeded"}[tuple(found)] == value


def min_delta_kind(_: str, value: Any) -> None:
    """Whether a fall from 10 to 9.4 is more than a threshold of 0.1."""
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer(), patience=0, threshold=0.1)
    assert {1.0: "absolute", 0.1: "relative"}[rates(scheduler, [(10.0,), (9.4,)])[1]] == value


def has_no_activation(place: str, value: Any) -> None:
    """The layer's outputs have both signs and are affine in its input."""
    kind = place.split(".")[1]
    layer, shape = {
        "dense": (torch.nn.Linear(3, 50), (1, 3)),
        "conv1d": (torch.nn.Conv1d(3, 50, 1), (1, 3, 1)),
        "conv2d": (torch.nn.Conv2d(3, 50, 1), (1, 3, 1, 1)),
        "conv3d": (torch.nn.Conv3d(3, 50, 1), (1, 3, 1, 1, 1)),
        "depthwise_conv1d": (torch.nn.Conv1d(50, 50, 1, groups=50), (1, 50, 1)),
        "depthwise_conv2d": (torch.nn.Conv2d(50, 50, 1, groups=50), (1, 50, 1, 1)),
        "separable_conv1d": (torch.nn.Conv1d(3, 50, 1), (1, 3, 1)),
        "separable_conv2d": (torch.nn.Conv2d(3, 50, 1), (1, 3, 1, 1)),
        "conv1d_transpose": (torch.nn.ConvTranspose1d(3, 50, 1), (1, 3, 1)),
        "conv2d_transpose": (torch.nn.ConvTranspose2d(3, 50, 1), (1, 3, 1, 1)),
        "conv3d_transpose": (torch.nn.ConvTranspose3d(3, 50, 1), (1, 3, 1, 1, 1)),
    }[kind]
    x = torch.ones(shape)
    affine = torch.allclose(layer(3 * x) - layer(x), 2 * (layer(x) - layer(0 * x)), atol=1e-5)
    assert {True: "linear"}.get(affine and bool((layer(x) < 0).any())) == value


def forget_bias(_: str, value: Any) -> None:
    """Whether the second of the four gates starts at 1."""
    lstm = torch.nn.LSTM(2, 5)
    assert torch.allclose((lstm.bias_ih_l0 + lstm.bias_hh_l0)[5:10], torch.ones(5)) == value


def is_cut(place: str, value: Any) -> None:
    """Whether an initializer keeps within two of its standard deviations."""
    word = {"glorot_normal": "xavier_normal_", "he_normal": "kaiming_normal_"}[place.split(".")[1]]
    drawn = getattr(torch.nn.init, word)(torch.empty(300, 300))
    assert bool(drawn.abs().max() < 3 * drawn.std()) == value


def limits(_: str, value: Any) -> None:
    """Where a narrow truncated normal ends: at two deviations, or where its numbers reach -2 and 2."""
    drawn = torch.nn.init.trunc_normal_(torch.empty(300, 300), std=0.1)
    assert {True: "deviations", False: "absolute"}[bool(drawn.abs().max() <= 0.2)] == value


def moving_variance(_: str, value: Any) -> None:
    """What one batch of 0, 2 leaves of the variance: 1 by n, 2 by n - 1."""
    layer = torch.nn.BatchNorm1d(1, momentum=1.0)
    layer(torch.tensor([[0.0], [2.0]]))
    assert {1.0: "biased", 2.0: "unbiased"}[float(layer.running_var)] == value


def frozen_mode(_: str, value: Any) -> None:
    """Whether a layer in training whose weights are frozen moves its mean."""
    layer = torch.nn.BatchNorm1d(1).requires_grad_(False)
    layer(torch.tensor([[1.0], [3.0]]))
    assert {True: "training", False: "inference"}[bool(layer.running_mean)] == value


def flatten_order(_: str, value: Any) -> None:
    """Where the second number of an image of 1 x 2 pixels and two channels comes from."""
    image = torch.arange(4.0).reshape(1, 1, 2, 2).permute(0, 3, 1, 2)  # to (batch, channels, height, width)
    assert {1.0: "channels_last", 2.0: "channels_first"}[float(torch.nn.Flatten()(image)[0, 1])] == value


def reset_after(_: str, value: Any) -> None:
    """One step of a cell with the reset gate at the product, against nn.GRU's."""
    cell = torch.nn.GRU(2, 3, batch_first=True).double()
    x, h = torch.randn(1, 1, 2).double(), torch.randn(1, 1, 3).double()
    given, state = (
        cell.weight_ih_l0 @ x[0, 0] + cell.bias_ih_l0,
        cell.weight_hh_l0 @ h[0, 0] + cell.bias_hh_l0,
    )
    r, z = (torch.sigmoid(given[i : i + 3] + state[i : i + 3]) for i in (0, 3))
    after = (1 - z) * torch.tanh(given[6:] + r * state[6:]) + z * h[0, 0]
    assert torch.allclose(cell(x, h)[1][0, 0], after) == value


def shuffles(_: str, value: Any) -> None:
    """Whether a bare DataLoader changes the order of 40 samples."""
    seen = np.concatenate([batch.numpy() for batch in torch.utils.data.DataLoader(torch.arange(40))])
    assert (not np.array_equal(seen, np.arange(40))) == value


def hard_slope(_: str, value: Any) -> None:
    """How fast a hard sigmoid rises."""
    function = torch.nn.Hardsigmoid()
    assert abs(float(function(torch.tensor(1.0)) - function(torch.tensor(0.0))) - value) < 1e-6


LOSSES = {"mse": "MSELoss", "mae": "L1Loss", "huber": "HuberLoss", "poisson": "PoissonNLLLoss"}
WEIGHTED = {"mse": "mse_loss", "mae": "l1_loss", "huber": "huber_loss"}


def targets(place: str, value: Any) -> None:
    """Whether a target column means one target an output: the loss is the mean of the rows' losses."""
    loss = getattr(torch.nn, LOSSES[place.split(".")[1]])()
    output, target = torch.tensor([[0.3], [0.6]]), torch.tensor([[1.0], [0.0]])
    rows = [loss(output[i : i + 1], target[i : i + 1]) for i in range(2)]
    alike = torch.allclose(loss(output, target), torch.stack(rows).mean())
    assert {True: "aligned", False: "broadcast"}[alike] == value


def weighting(place: str, value: Any) -> None:
    """Whether weights of 2 double the loss."""
    kind = place.split(".")[1]
    output, target, twos = torch.tensor([[0.3], [0.6]]), torch.tensor([[1.0], [0.0]]), torch.full((2, 1), 2.0)
    if kind == "binary_crossentropy":
        losses = [torch.nn.BCEWithLogitsLoss(weight=weight)(output, target) for weight in (None, twos)]
    elif kind == "categorical_crossentropy":
        logits, classes = torch.tensor([[0.3, 0.1], [0.6, 1.0]]), torch.tensor([0, 1])
        losses = [torch.nn.CrossEntropyLoss(weight=weight)(logits, classes) for weight in (None, twos[:, 0])]
    elif kind == "multi_margin":
        outputs, classes = torch.tensor([[0.3, 0.1], [0.6, 1.0]]), torch.tensor([0, 1])
        losses = [torch.nn.MultiMarginLoss(weight=weight)(outputs, classes) for weight in (None, twos[:, 0])]
    else:
        loss = getattr(torch.nn.functional, WEIGHTED[kind])
        losses = [loss(output, target), loss(output, target, weight=twos)]
    assert {2.0: "by_count", 1.0: "by_weights"}[round(float(losses[1] / losses[0]), 5)] == value


def from_logits(place: str, value: Any) -> None:
    """Whether outputs that are no probabilities have the loss of the probabilities they stand for."""
    if "categorical" in place:
        found = torch.nn.CrossEntropyLoss()(torch.tensor([[3.0, -2.0]]), torch.tensor([0]))
        of_logits = -torch.tensor([3.0, -2.0]).log_softmax(0)[0]
    else:
        found = torch.nn.BCEWithLogitsLoss()(torch.tensor([[3.0]]), torch.tensor([[1.0]]))
        of_logits = -torch.tensor(3.0).sigmoid().log()
    assert torch.allclose(found, of_logits) == value


CHECKS = {
    "loss.*.targets": targets,
    "loss.*.weighting": weighting,
    "loss.*.from_logits": from_logits,
    "training.shuffle": shuffles,
    "schedule.*.per": steps_per,
    "schedule.reduce_on_plateau.monitor": watches,
    "schedule.polynomial.end_learning_rate": polynomial_end,
    "schedule.piecewise.boundary": boundary,
    "schedule.reduce_on_plateau.patience_rule": patience_rule,
    "schedule.reduce_on_plateau.min_delta_kind": min_delta_kind,
    "layer.dense.activation": has_no_activation,
    "layer.*conv*.activation": has_no_activation,
    "layer.lstm.unit_forget_bias": forget_bias,
    "layer.batch_norm.moving_variance": moving_variance,
    "layer.batch_norm.frozen_mode": frozen_mode,
    "layer.flatten.order": flatten_order,
    "activation.hard_sigmoid.slope": hard_slope,
    "layer.gru.reset_after": reset_after,
    "initializer.*_normal.truncated": is_cut,
    "initializer.truncated_normal.limits": limits,
}
