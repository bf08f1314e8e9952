import torch
from torch import nn


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Linear(dim, 3 * dim)
        self.to_out = nn.Linear(dim, dim)

    def forward(self, x):
        b, n, d = x.shape
        q, k, v = (t.view(b, n, self.heads, -1).transpose(1, 2) for t in self.to_qkv(x).chunk(3, dim=-1))
        weights = (q @ k.transpose(-1, -2) * (d // self.heads) ** -0.5).softmax(-1)
        return self.to_out((weights @ v).transpose(1, 2).reshape(b, n, d))


class ViT(nn.Module):
    def __init__(self, dim=12):
        super().__init__()
        self.patch = nn.Conv2d(3, dim, 4, 4)
        self.norms = nn.ModuleList([nn.LayerNorm(dim, eps=1e-6) for _ in range(2)])
        self.attentions = nn.ModuleList([Attention(dim, 3) for _ in range(2)])
        self.head = nn.Linear(dim, 5)

    def forward(self, images):
        x = self.patch(images).flatten(2).transpose(1, 2)
        for norm, attention in zip(self.norms, self.attentions):
            x = x + attention(norm(x))
        return self.head(x.mean(1))


def model():
    return ViT()


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)
