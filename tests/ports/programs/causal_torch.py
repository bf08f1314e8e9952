import torch
from torch import nn
from torch.nn import functional as F


class CausalConv(nn.Module):
    def __init__(self, inputs, outputs, dilation):
        super().__init__()
        self.left = 2 * dilation
        self.conv = nn.Conv1d(inputs, outputs, 3, dilation=dilation)

    def forward(self, x):
        return F.relu(self.conv(F.pad(x, (self.left, 0))))


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.entry = CausalConv(2, 4, 1)
        self.residual = nn.ModuleList([CausalConv(4, 4, 2), CausalConv(4, 4, 4)])
        self.head = nn.Conv1d(4, 1, 1)

    def forward(self, x):
        x = self.entry(x)
        for block in self.residual:
            x = x + block(x)
        return self.head(x).squeeze(1)


def model():
    return Forecaster()


def loss(outputs, targets):
    return torch.log(torch.cosh(outputs - targets)).mean()


def optimizer(model):
    return torch.optim.Adamax(model.parameters(), lr=2e-3)
