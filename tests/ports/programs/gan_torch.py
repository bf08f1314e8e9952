import torch
from torch import nn
from torch.nn import functional as F


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.lift = nn.Linear(4, 16)
        self.norm = nn.BatchNorm1d(16)
        self.draw = nn.Linear(16, 6)

    def forward(self, z):
        return torch.tanh(self.draw(self.norm(F.relu(self.lift(z)))))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.look = nn.Linear(6, 16)
        self.judge = nn.Linear(16, 1)

    def forward(self, x):
        x = F.leaky_relu(self.look(x), 0.2)
        return self.judge(F.dropout(x, 0.3, self.training))


def model():
    return {"generator": Generator(), "discriminator": Discriminator(), "smooth": Generator()}


def optimizer(models):
    return {
        "generator": torch.optim.Adam(models["generator"].parameters(), lr=1e-3, betas=(0.5, 0.999)),
        "discriminator": torch.optim.Adam(models["discriminator"].parameters(), lr=2e-3, betas=(0.5, 0.999)),
    }


def step(models, optimizers, batch):
    generator, discriminator = models["generator"], models["discriminator"]
    bce = nn.BCEWithLogitsLoss()
    real = batch["x"]
    n = len(real)
    z = torch.randn(n, 4, dtype=real.dtype)
    ones, zeros = torch.full((n, 1), 0.9, dtype=real.dtype), torch.zeros(n, 1, dtype=real.dtype)

    optimizers["discriminator"].zero_grad()
    fake = generator(z)
    d_loss = bce(discriminator(real), ones) + bce(discriminator(fake.detach()), zeros)
    d_loss.backward()
    nn.utils.clip_grad_value_(discriminator.parameters(), 0.5)
    optimizers["discriminator"].step()

    optimizers["generator"].zero_grad()
    g_loss = bce(discriminator(generator(z)), ones)
    g_loss.backward()
    optimizers["generator"].step()
    with torch.no_grad():
        for slow, fast in zip(models["smooth"].parameters(), generator.parameters()):
            slow.mul_(0.99).add_(fast, alpha=0.01)
    return {"d_loss": d_loss.item(), "g_loss": g_loss.item()}
