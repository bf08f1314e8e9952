import torch
from torch import nn
from torch.nn import functional as F


class Unit(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.dw = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.pw = nn.Conv2d(width, width, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x):
        shortcut = x
        x = F.relu(x)
        return shortcut + self.bn(self.pw(self.dw(x)))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.units = nn.ModuleList(Unit(4) for _ in range(2))
        self.top = nn.Linear(4, 3)

    def forward(self, x):
        x = self.stem(x)
        for unit in self.units:
            x = unit(x)
        return self.top(F.adaptive_avg_pool2d(F.relu(x), 1).flatten(1))


def model():
    return Net()


def loss(outputs, targets):
    return F.cross_entropy(outputs, targets)


class DecoupledSGD(torch.optim.SGD):
    """Keras decays weights by the learning rate, before the step, and not by the gradient."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for one in group["params"]:
                one.mul_(1 - group["lr"] * 0.01)
        return super().step()


def optimizer(model):
    return DecoupledSGD(model.parameters(), lr=0.05)
