import torch
from torch import nn


def conv_bn(inp, oup, stride):
    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)),
        nn.Conv2d(inp, oup, 3, stride, 0, bias=False),
        nn.BatchNorm2d(oup, eps=1e-3, momentum=1e-2),
        nn.ReLU6(inplace=True),
    )


def conv_dw(inp, oup, stride):
    pad = [nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []
    return nn.Sequential(
        *pad,
        nn.Conv2d(inp, inp, 3, stride, 0 if stride == 2 else 1, groups=inp, bias=False),
        nn.BatchNorm2d(inp, eps=1e-3, momentum=1e-2),
        nn.ReLU6(inplace=True),
        nn.Conv2d(inp, oup, 1, 1, 0, bias=False),
        nn.BatchNorm2d(oup, eps=1e-3, momentum=1e-2),
        nn.ReLU6(inplace=True),
    )


class MobileNetV1(nn.Module):
    def __init__(self, ch_in=3, n_classes=6):
        super().__init__()
        self.model = nn.Sequential(
            conv_bn(ch_in, 8, 2),
            conv_dw(8, 16, 1),
            conv_dw(16, 24, 2),
            nn.AdaptiveAvgPool2d(1),
        )
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(24, n_classes)

    def forward(self, x):
        x = (x.float() - 127.5) / 127.5
        x = self.model(x)
        x = x.view(-1, 24)
        return self.fc(self.dropout(x))


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)


def optimizer(model):
    stem = [model.model[0][1].weight]
    rest = [one for one in model.parameters() if one is not stem[0]]
    groups = [{"params": stem, "weight_decay": 0.02}, {"params": rest}]
    return torch.optim.Adam(groups, lr=1e-3, eps=1e-7)


def model():
    return MobileNetV1()
