import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, ins, outs):
        super().__init__()
        self.conv = nn.Conv2d(ins, outs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outs, eps=1e-3, momentum=0.01)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)))


class UNet(nn.Module):
    def __init__(self, base=3, depth=2):
        super().__init__()
        sizes = [2, *(base * 2**level for level in range(depth + 1))]
        self.down = nn.ModuleList(Block(sizes[i], sizes[i + 1]) for i in range(depth))
        self.bottom = Block(sizes[-2], sizes[-1])
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(b, a, 3, stride=2) for a, b in zip(sizes[-2:0:-1], sizes[:1:-1])
        )
        self.merge = nn.ModuleList(Block(2 * a, a) for a in sizes[-2:0:-1])
        self.head = nn.Conv2d(base, 1, 1)

    def forward(self, x):
        skips = []
        for block in self.down:
            skips.append(block(x))
            x = F.max_pool2d(skips[-1], 2)
        x = self.bottom(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips)):
            x = merge(torch.cat([skip, up(x)[..., :-1, :-1]], dim=1))
        return torch.sigmoid(self.head(x))


def model():
    return UNet()


def loss(outputs, targets):
    return F.binary_cross_entropy(outputs, targets)


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
