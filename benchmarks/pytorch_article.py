"""The article's PyTorch program as a newcomer writes it, against ours: 500 epochs on 6 samples."""

from __future__ import annotations

import numpy as np
import torch
from pytorch_side import Weights, compare, first_weights, make_job, ours, start

EPOCHS = 500
X = np.array([[-1.0], [0.0], [1.0], [2.0], [3.0], [4.0]], np.float32)
Y = 2 * X - 1
JOB = make_job(
    model={"layers": [{"type": "dense", "units": 1}]},
    loss={"type": "mse", "reduction": "sum"},
    optimizer={"type": "sgd", "learning_rate": 0.01},
    training={"epochs": EPOCHS},
)


def newcomer(threads: int) -> Weights:
    """The loop of the article, from the same start."""
    torch.set_num_threads(threads)
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    model = torch.nn.Linear(1, 1)
    begin = first_weights(JOB, X)
    with torch.no_grad():
        model.weight.copy_(torch.from_numpy(begin["layers.0.kernel"].T))
        model.bias.copy_(torch.from_numpy(begin["layers.0.bias"]))
    criterion = torch.nn.MSELoss(reduction="sum")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(EPOCHS):
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.set_num_threads(1)
    return {"kernel": model.weight.detach().numpy().T, "bias": model.bias.detach().numpy()}


def renamed(execution: str) -> Weights:
    """Ours, with the newcomer's names."""
    weights = ours(JOB, X, Y, execution=execution)()
    return {name.removeprefix("layers.0."): values for name, values in weights.items()}


if __name__ == "__main__":
    default = torch.get_num_threads()
    start()
    compare(
        "The article in PyTorch, 500 epochs",
        {
            f"newcomer's loop, {default} threads (the default)": lambda: newcomer(default),
            "newcomer's loop, 1 thread": lambda: newcomer(1),
            "ours, replayed (what auto takes)": lambda: renamed("auto"),
            "ours, compiled, warm": lambda: renamed("compiled"),
        },
        rounds=9,
        tolerance=1e-5,
    )
