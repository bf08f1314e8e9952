import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.value = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.width = width

    def forward(self, x):
        v, k, q = self.value(x), self.key(x), self.query(x)
        scores = q @ k.transpose(1, 2) / self.width**0.5
        return self.out(scores.softmax(dim=-1) @ v)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.attention = Attention(8)
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        x = x + self.attention(self.norm(x))
        return self.head(x.mean(dim=1))


def model():
    return Net()


def loss(outputs, targets):
    return ((outputs - targets) ** 2).mean()


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=1e-3)
