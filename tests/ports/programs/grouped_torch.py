import torch
from torch import nn


def model():
    return nn.Sequential(
        nn.Conv2d(4, 8, kernel_size=3, padding="same", groups=2),
        nn.GroupNorm(num_groups=4, num_channels=8),
        nn.SiLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(8, 6, kernel_size=1),
        nn.GroupNorm(1, 6),
        nn.Flatten(),
        nn.Linear(54, 2),
    )


loss = nn.HuberLoss(delta=0.5)


def optimizer(net):
    return torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.02)
