import torch
from torch import nn


def model():
    return nn.Sequential(nn.Linear(6, 9), nn.ReLU(), nn.LayerNorm(9), nn.Linear(9, 2))


loss = nn.MSELoss()


def optimizer(model):
    decayed = [one for one in model.parameters() if one.ndim > 1]
    spared = [one for one in model.parameters() if one.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": spared, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=5e-3)
