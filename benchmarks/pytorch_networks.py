"""Idiomatic DataLoader loops against ours: an MLP on samples of the shape of digits, and a small conv net.

1,797 samples of 64 values in 10 classes, drawn at random, since only speed is asked here; batches of 32
and Adam. Both programs see the same batches from the same start.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pytorch_side import Weights, compare, first_weights, make_job, ours, start
from torch.utils.data import DataLoader, TensorDataset

from likewise.shared.job.training import BatchPlan
from likewise.worker.training.feeds import SampleOrder

BATCH = 32
EPOCHS = {"MLP 64-128-10": 4, "Conv net 8 x 8 x 16": 1}
"""Four epochs of the conv net would move its weights by a hundredth by rounding alone: too far to tell."""
_DRAW = np.random.default_rng(0)
X = _DRAW.standard_normal((1797, 64)).astype(np.float32)
Y = _DRAW.integers(0, 10, 1797)
MLP = [{"type": "dense", "units": 128, "activation": "relu"}, {"type": "dense", "units": 10}]
CONV: list[dict[str, Any]] = [
    {"type": "conv2d", "filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"},
    {"type": "max_pooling2d", "pool_size": 2},
    {"type": "flatten"},
    {"type": "dense", "units": 10},
]


class TorchConv(torch.nn.Module):  # type: ignore[misc]
    """The small conv net as one writes it in PyTorch, channels first."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 16, 3, padding=1)
        self.linear = torch.nn.Linear(16 * 4 * 4, 10)

    def forward(self, x: Any) -> Any:
        """(b, 1, 8, 8) → (b, 10)."""
        x = torch.nn.functional.max_pool2d(torch.relu(self.convolution(x)), 2)
        return self.linear(x.movedim(1, -1).flatten(1))  # in Keras's order, for equal results


def job_of(layers: list[dict[str, Any]], epochs: int) -> Any:
    """The job of a model."""
    return make_job(
        model={"layers": layers},
        loss="categorical_crossentropy",
        optimizer={"type": "adam", "learning_rate": 0.001},
        training={"epochs": epochs, "batch_size": BATCH, "shuffle": True},
    )


def idiomatic(model: Any, x: Any, weights: dict[str, Any], job: Any, threads: int) -> Weights:
    """A training loop over a DataLoader; `weights` are the start, by parameter."""
    torch.set_num_threads(threads)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(weights[name])))
    orders = SampleOrder(BatchPlan.of(job.training, len(x)), shuffle=True, seed=0)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, eps=1e-7)
    dataset = TensorDataset(torch.from_numpy(x), torch.from_numpy(Y))
    total = 0.0
    for epoch in range(job.training.epochs):
        for inputs, targets in DataLoader(dataset, batch_size=BATCH, sampler=orders.epoch(epoch).tolist()):
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(inputs)
    torch.set_num_threads(1)
    return {name: parameter.detach().numpy().copy() for name, parameter in model.named_parameters()}


def in_torch(weights: Weights, names: dict[str, str]) -> dict[str, Any]:
    """Our weights by PyTorch's names and in its layouts."""
    axes = {1: (0,), 2: (1, 0), 4: (3, 2, 0, 1)}
    return {names[name]: values.transpose(axes[values.ndim]) for name, values in weights.items()}


def measure(title: str, layers: list[dict[str, Any]], make: Any, x: Any, x_torch: Any, names: Any) -> None:
    """Print the table of one model."""
    job = job_of(layers, EPOCHS[title])
    begin = in_torch(first_weights(job, x), names)
    compare(
        f"{title}, epochs: {EPOCHS[title]} of {len(x):,} samples, batch {BATCH}, Adam",
        {
            f"DataLoader loop, {DEFAULT} threads (the default)": lambda: idiomatic(
                make(), x_torch, begin, job, DEFAULT
            ),
            "DataLoader loop, 1 thread": lambda: idiomatic(make(), x_torch, begin, job, 1),
            "ours, replayed (what auto takes)": lambda: in_torch(ours(job, x, Y)(), names),
            "ours, compiled, warm": lambda: in_torch(ours(job, x, Y, execution="compiled")(), names),
        },
        rounds=5,
        tolerance=2e-3,
    )


def mlp() -> Any:
    """Train it as one writes it in PyTorch."""
    return torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))


if __name__ == "__main__":
    DEFAULT = torch.get_num_threads()
    start()
    both = {"kernel": "weight", "bias": "bias"}
    measure(
        "MLP 64-128-10",
        MLP,
        mlp,
        X,
        X,
        {f"layers.{i}.{ours_}": f"{2 * i}.{theirs}" for i in (0, 1) for ours_, theirs in both.items()},
    )
    images = X.reshape(-1, 8, 8, 1)
    places = {0: "convolution", 3: "linear"}
    measure(
        "Conv net 8 x 8 x 16",
        CONV,
        TorchConv,
        images,
        images.reshape(-1, 1, 8, 8),
        {
            f"layers.{i}.{ours_}": f"{place}.{theirs}"
            for i, place in places.items()
            for ours_, theirs in both.items()
        },
    )
