import torch
from torch import nn
from torch.nn import functional as F


def mlp():
    return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 2))


def model():
    return {"student": mlp(), "teacher": mlp()}


def optimizer(models):
    return torch.optim.SGD(models["student"].parameters(), lr=0.05)


def step(models, optimizer, batch):
    x, y = batch["x"], batch["y"]
    optimizer.zero_grad()
    prediction = models["student"](x)
    with torch.no_grad():
        target = models["teacher"](x)
    supervised = F.mse_loss(prediction, y)
    consistency = F.mse_loss(prediction, target)
    (supervised + 0.3 * consistency).backward()
    optimizer.step()
    with torch.no_grad():
        for old, new in zip(models["teacher"].parameters(), models["student"].parameters()):
            old.lerp_(new, 0.05)
    return {"supervised": supervised, "consistency": consistency}
