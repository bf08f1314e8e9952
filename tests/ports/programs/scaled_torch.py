import math
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn


class Conv2dSame(nn.Conv2d):
    def forward(self, x):
        ih, iw = x.shape[-2:]
        kh, kw = self.kernel_size
        sh, sw = self.stride
        ph = max((math.ceil(ih / sh) - 1) * sh + kh - ih, 0)
        pw = max((math.ceil(iw / sw) - 1) * sw + kw - iw, 0)
        if ph > 0 or pw > 0:
            x = F.pad(x, [pw // 2, pw - pw // 2, ph // 2, ph - ph // 2])
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


NORM = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


class ConvNormAct(nn.Sequential):
    def __init__(
        self,
        cin,
        cout,
        k=3,
        s=1,
        groups=1,
        act=nn.SiLU,
        norm=NORM,
    ):
        mods = [Conv2dSame(cin, cout, k, s, groups=groups, bias=False), norm(cout)]
        if act is not None:
            mods.append(act(inplace=True))
        super().__init__(*mods)


class SqueezeExcitation(nn.Module):
    def __init__(self, channels, squeeze):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeeze, 1)
        self.fc2 = nn.Conv2d(squeeze, channels, 1)
        self.activation = nn.SiLU()
        self.scale_activation = nn.Sigmoid()

    def forward(self, x):
        s = self.activation(self.fc1(self.avgpool(x)))
        return self.scale_activation(self.fc2(s)) * x


class StochasticDepth(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training or self.p == 0.0:
            return x
        keep = 1.0 - self.p
        mask = torch.empty([x.shape[0], 1, 1, 1], dtype=x.dtype).bernoulli_(keep)
        return x * mask.div_(keep)


class MBConv(nn.Module):
    def __init__(self, cin, cout, k, s, ratio, sd):
        super().__init__()
        hidden = cin * ratio
        mods = [] if ratio == 1 else [ConvNormAct(cin, hidden, 1)]
        mods += [
            ConvNormAct(hidden, hidden, k, s, groups=hidden),
            SqueezeExcitation(hidden, max(1, cin // 4)),
            ConvNormAct(hidden, cout, 1, act=None),
        ]
        self.block = nn.Sequential(*mods)
        self.use_res = s == 1 and cin == cout
        self.stochastic_depth = StochasticDepth(sd)

    def forward(self, x):
        y = self.block(x)
        if self.use_res:
            y = self.stochastic_depth(y)
            y += x
        return y


@dataclass
class Stage:
    ratio: int
    k: int
    s: int
    cin: int
    cout: int
    n: int


class EfficientNet(nn.Module):
    def __init__(self, num_classes=5, dropout=0.3, stochastic_depth_prob=0.2):
        super().__init__()
        stages = [Stage(1, 3, 1, 12, 12, 1), Stage(4, 5, 2, 12, 20, 2)]
        feats = [ConvNormAct(3, 12, 3, 2)]
        total, n = sum(s.n for s in stages), 0
        for st in stages:
            row = []
            for i in range(st.n):
                row.append(
                    MBConv(
                        st.cin if i == 0 else st.cout,
                        st.cout,
                        st.k,
                        st.s if i == 0 else 1,
                        st.ratio,
                        stochastic_depth_prob * n / total,
                    )
                )
                n += 1
            feats.append(nn.Sequential(*row))
        feats.append(ConvNormAct(20, 48, 1))
        self.features = nn.Sequential(*feats)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(dropout, inplace=True), nn.Linear(48, num_classes))
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, x):
        x = (x / 255 - self.mean) / self.std
        x = self.features(x)
        return self.classifier(torch.flatten(self.avgpool(x), 1))


def model():
    return EfficientNet()


def loss(outputs, targets):
    return F.cross_entropy(outputs, targets)


class TFRMSprop(torch.optim.RMSprop):
    """Epsilon under the root, and momentum of steps, as TensorFlow has it."""

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                st = self.state[p]
                if not st:
                    st["sq"], st["buf"] = torch.zeros_like(p), torch.zeros_like(p)
                st["sq"].mul_(group["alpha"]).addcmul_(p.grad, p.grad, value=1 - group["alpha"])
                st["buf"].mul_(group["momentum"]).addcdiv_(
                    p.grad, (st["sq"] + group["eps"]).sqrt(), value=group["lr"]
                )
                p.sub_(st["buf"])


def optimizer(model):
    return TFRMSprop(model.parameters(), lr=0.016, alpha=0.9, momentum=0.9, eps=1e-3)
