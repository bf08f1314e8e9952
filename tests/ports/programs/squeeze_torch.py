import torch
from torch import nn


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduced):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Conv2d(channels, reduced, 1), nn.ReLU(), nn.Conv2d(reduced, channels, 1), nn.Hardsigmoid()
        )

    def forward(self, x):
        return x * self.fc(self.pool(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        norm = {"eps": 1e-3, "momentum": 0.01}
        self.body = nn.Sequential(
            nn.Conv2d(2, 6, 1, bias=False),
            nn.BatchNorm2d(6, **norm),
            nn.Hardswish(),
            nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=6, bias=False),
            nn.BatchNorm2d(6, **norm),
            SqueezeExcite(6, 2),
            nn.Conv2d(6, 4, 1),
            nn.AdaptiveMaxPool2d(1),
        )
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(torch.flatten(self.body(x), 1))


def model():
    return Block()


loss = nn.CrossEntropyLoss(label_smoothing=0.1)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9, nesterov=True)
