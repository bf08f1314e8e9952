import torch
from torch import nn
from torch.nn import functional as F


class Heads(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.wq, self.wk = nn.Linear(width, width), nn.Linear(width, width)
        self.wv, self.wo = nn.Linear(width, width), nn.Linear(width, width)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, queries, memory, causal=False):
        q, k, v = self.split(self.wq(queries)), self.split(self.wk(memory)), self.split(self.wv(memory))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.wo(mixed.transpose(1, 2).flatten(2))


class DecoderLayer(nn.Module):
    def __init__(self, width=8, heads=2, inner=12):
        super().__init__()
        self.self_attn = Heads(width, heads)
        self.cross_attn = Heads(width, heads)
        self.ffn = nn.Sequential(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))
        self.ln1 = nn.LayerNorm(width, eps=1e-6)
        self.ln2 = nn.LayerNorm(width, eps=1e-6)
        self.ln3 = nn.LayerNorm(width, eps=1e-6)
        self.vocab = nn.Linear(width, 7)

    def forward(self, source, target):
        x = self.ln1(target + self.self_attn(target, target, causal=True))
        x = self.ln2(x + self.cross_attn(x, source))
        x = self.ln3(x + self.ffn(x))
        return self.vocab(x)


def model():
    return DecoderLayer()


def loss(outputs, targets):
    return F.cross_entropy(outputs.transpose(1, 2), targets)


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-9)
