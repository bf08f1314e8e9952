import torch
from torch import nn
from torch.nn import functional as F


class Twins(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(6, 8)
        self.l2 = nn.Linear(8, 4)

    def embed(self, x):
        return F.normalize(self.l2(F.relu(self.l1(x))), dim=-1)

    def forward(self, left, right):
        return (self.embed(left) - self.embed(right)).pow(2).sum(-1).sqrt()


def model():
    return Twins()


def loss(distance, same):
    margin = 1.0
    positive = same * distance.pow(2)
    negative = (1 - same) * F.relu(margin - distance).pow(2)
    return (positive + negative).mean()


def optimizer(model):
    return torch.optim.Adam(model.parameters(), 1e-3)
