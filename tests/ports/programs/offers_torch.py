import torch
from torch import nn
from torch.nn import functional as F


class Offers(nn.Module):
    def __init__(self):
        super().__init__()
        self.shops = nn.Embedding(9, 3)
        self.trunk = nn.Linear(7, 8)
        self.heads = nn.ModuleDict({"price": nn.Linear(8, 1), "kind": nn.Linear(8, 3)})

    def forward(self, customer, shop):
        hidden = F.relu(self.trunk(torch.cat([customer, self.shops(shop)], dim=-1)))
        return {name: head(hidden) for name, head in self.heads.items()}


def model():
    return Offers()


def loss(outputs, targets):
    fit = F.mse_loss(outputs["price"].squeeze(1), targets)
    return fit + 0.5 * outputs["kind"].logsumexp(dim=1).mean()


def optimizer(model):
    return torch.optim.Adagrad(model.parameters(), lr=0.05, initial_accumulator_value=0.1, eps=1e-7)
