"""The job of `many_seeds.py` as a newcomer writes it in PyTorch: one Celery task a seed."""

from __future__ import annotations

import os

import celery
import torch

app = celery.Celery("plain", broker=os.environ["PLAIN_REDIS"], backend=os.environ["PLAIN_REDIS"])
X = torch.tensor([-1.0, 0.0, 1.0, 2.0, 3.0, 4.0])[:, None]
Y = 2 * X - 1


@app.task(name="train")  # type: ignore[untyped-decorator]
def train(seed: int) -> float:
    """The last epoch's loss."""
    torch.manual_seed(seed)
    model = torch.nn.Linear(1, 1)
    with torch.no_grad():
        model.weight.fill_(0.37)
        model.bias.zero_()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    criterion = torch.nn.MSELoss()
    for _ in range(500):
        optimizer.zero_grad()
        loss = criterion(model(X), Y)
        loss.backward()
        optimizer.step()
    return float(loss.item())
