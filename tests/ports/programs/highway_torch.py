import torch
from torch import nn


class Highway(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.w_gate = nn.Parameter(torch.randn(size, size) / size**0.5)
        self.w_plain = nn.Parameter(torch.randn(size, size) / size**0.5)
        self.b_gate = nn.Parameter(torch.zeros(size))

    def forward(self, x):
        t = torch.sigmoid(x @ self.w_gate + self.b_gate)
        return t * torch.relu(x @ self.w_plain) + (1 - t) * x


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(7, 5), Highway(5), nn.PReLU(), nn.Linear(5, 3))

    def forward(self, x):
        return self.layers(x)


def model():
    return Net()


def loss(outputs, targets):
    taus = torch.tensor([0.1, 0.5, 0.9], dtype=outputs.dtype)
    error = targets.unsqueeze(1) - outputs
    return torch.maximum(taus * error, (taus - 1) * error).mean()


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.05)
