import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, code=5, width=4):
        super().__init__()
        self.width = width
        self.project = nn.Linear(code, width * 9)
        self.layers = nn.Sequential(
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.ConvTranspose2d(width, 2, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, z):
        x = self.project(z).view(-1, 3, 3, self.width).permute(0, 3, 1, 2)
        return self.layers(x)


def model():
    return Decoder()


def loss(outputs, targets):
    return nn.functional.l1_loss(outputs, targets.permute(0, 3, 1, 2))


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=2e-3, betas=(0.5, 0.999))
