import torch
from torch import nn
from torch.nn import functional as F


class ConvBlock(nn.Module):
    def __init__(self, inputs, outputs, size):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.pool = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
        self.branch_pool = ConvBlock(16, 4, 1)
        self.branch3x3dbl = nn.Sequential(ConvBlock(16, 4, 1), ConvBlock(4, 4, 3), ConvBlock(4, 4, 3))
        self.branch3x3 = nn.Sequential(ConvBlock(16, 4, 1), ConvBlock(4, 4, 3))
        self.branch1x1 = ConvBlock(16, 4, 1)

    def forward(self, x):
        pooled = self.branch_pool(self.pool(x))
        double = self.branch3x3dbl(x)
        single = self.branch3x3(x)
        return torch.cat([self.branch1x1(x), single, double, pooled], dim=1)


class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.mixed = nn.Sequential(Mixed(), Mixed())
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        return self.fc(self.mixed(x).mean((2, 3)))


def model():
    return Inception()


def loss(outputs, targets):
    return F.cross_entropy(outputs, targets)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.05)
