import torch
from torch import nn


class Separable(nn.Module):
    def __init__(self, entering, leaving, times=1, bias=True):
        super().__init__()
        self.depth = nn.Conv2d(entering, times * entering, 3, padding=1, groups=entering, bias=False)
        self.point = nn.Conv2d(times * entering, leaving, 1, bias=bias)

    def forward(self, x):
        return self.point(self.depth(x))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = Separable(3, 6)
        self.stem_norm = nn.BatchNorm2d(6)
        self.left = Separable(6, 6, times=2, bias=False)
        self.left_norm = nn.BatchNorm2d(6)
        self.right = nn.Conv2d(6, 6, 1, bias=False)
        self.right_norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x = self.stem_norm(self.stem(x).relu())
        right = self.right_norm(self.right(x))
        x = (right + self.left_norm(self.left(x))).relu()
        return self.head(x.mean(dim=(2, 3)))


def model():
    return Net()


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=1e-2)
