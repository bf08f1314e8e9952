import torch
import torch.nn.functional as F
from torch import nn


class Generator(nn.Module):
    def __init__(self, nz=10):
        super().__init__()
        self.fc = nn.Linear(nz, 4 * 4 * 16, bias=False)
        self.bn0 = nn.BatchNorm1d(4 * 4 * 16, eps=1e-3, momentum=0.01)
        self.deconv1 = nn.ConvTranspose2d(16, 8, 5, 1, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(8, eps=1e-3, momentum=0.01)
        self.deconv2 = nn.ConvTranspose2d(8, 1, 4, 2, 1, bias=False)

    def forward(self, z):
        x = F.leaky_relu(self.bn0(self.fc(z)), 0.3)
        x = x.view(-1, 4, 4, 16).permute(0, 3, 1, 2)
        x = F.leaky_relu(self.bn1(self.deconv1(x)), 0.3)
        return torch.tanh(self.deconv2(x))


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 5, 2)
        self.conv2 = nn.Conv2d(8, 16, 5, 2)
        self.fc = nn.Linear(16 * 2 * 2, 1)

    def forward(self, x):
        x = F.pad(x, (1, 2, 1, 2))
        x = F.dropout(F.leaky_relu(self.conv1(x), 0.3), 0.3, self.training)
        x = F.pad(x, (1, 2, 1, 2))
        x = F.dropout(F.leaky_relu(self.conv2(x), 0.3), 0.3, self.training)
        return self.fc(x.permute(0, 2, 3, 1).flatten(1))


def model():
    return {"netG": Generator(), "netD": Discriminator()}


def optimizer(nets):
    return {
        "optG": torch.optim.Adam(nets["netG"].parameters(), lr=1e-4, eps=1e-7),
        "optD": torch.optim.Adam(nets["netD"].parameters(), lr=1e-4, eps=1e-7),
    }


criterion = nn.BCEWithLogitsLoss()


def step(nets, opts, batch):
    netG, netD = nets["netG"], nets["netD"]
    real = batch["x"]
    b = real.size(0)
    noise = torch.randn(b, 10, device=real.device)
    fake = netG(noise)
    out_real = netD(real)
    out_fake = netD(fake)
    errD = criterion(out_real, torch.ones(b, 1)) + criterion(out_fake, torch.zeros(b, 1))
    errG = criterion(out_fake, torch.ones(b, 1))
    opts["optG"].zero_grad()
    opts["optD"].zero_grad()
    gradG = torch.autograd.grad(errG, list(netG.parameters()), retain_graph=True)
    gradD = torch.autograd.grad(errD, list(netD.parameters()))
    for p, g in zip(netG.parameters(), gradG):
        p.grad = g
    for p, g in zip(netD.parameters(), gradD):
        p.grad = g
    opts["optG"].step()
    opts["optD"].step()
    return {"errG": errG.item(), "errD": errD.item()}
