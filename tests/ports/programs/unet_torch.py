import torch
from torch import nn
from torch.nn import functional as F


class DoubleConv(nn.Module):
    def __init__(self, in_ch, out_ch):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(in_ch, out_ch, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_ch),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_ch, out_ch, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_ch),
            nn.ReLU(inplace=True),
        )

    def forward(self, x):
        return self.block(x)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.inc = DoubleConv(1, 3)
        self.down = nn.Sequential(nn.MaxPool2d(2), DoubleConv(3, 5))
        self.conv = DoubleConv(8, 3)
        self.outc = nn.Conv2d(3, 1, 1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down(x1)
        x2 = F.interpolate(x2, scale_factor=2, mode="bilinear", align_corners=False)
        return self.outc(self.conv(torch.cat([x1, x2], dim=1)))


def model():
    return UNet()


def dice_loss(logits, truth, smooth=1.0):
    p = torch.sigmoid(logits)
    return 1 - (2 * (p * truth).sum() + smooth) / (p.sum() + truth.sum() + smooth)


def loss(outputs, targets):
    truth = targets.permute(0, 3, 1, 2)
    return F.binary_cross_entropy_with_logits(outputs, truth) + dice_loss(outputs, truth)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
