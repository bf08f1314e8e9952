import torch
from torch import nn


def model():
    return nn.Sequential(nn.Linear(5, 6), nn.ELU(), nn.Linear(6, 1))


criterion = nn.MSELoss()


schedulers = {}


def optimizer(model):
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8, nesterov=True)
    schedulers[sgd] = torch.optim.lr_scheduler.ExponentialLR(sgd, gamma=0.7)
    return sgd


def step(model, optimizer, batch):
    optimizer.zero_grad()
    value = criterion(model(batch["x"]), batch["y"])
    value.backward()
    optimizer.step()
    schedulers[optimizer].step()
    return {"loss": value.item()}
