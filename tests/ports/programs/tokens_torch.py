import torch
from torch import nn


class Conv1D(nn.Module):
    """A dense layer as GPT-2 has it: its weight is (inputs, units)."""

    def __init__(self, nf, nx):
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(0.02 * torch.randn(nx, nf))
        self.bias = nn.Parameter(torch.zeros(nf))

    def forward(self, x):
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(*x.shape[:-1], self.nf)


class Begin(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        self.position_embeddings = nn.Parameter(torch.randn(1, 6, 8))

    def forward(self, x):
        return torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.position_embeddings


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(20, 8)
        self.begin = Begin()
        self.before = nn.LayerNorm(8)
        self.c_attn = Conv1D(24, 8)
        self.c_proj = Conv1D(8, 8)
        self.head = nn.Linear(8, 3)

    def attend(self, x):
        query, key, value = self.c_attn(x).split(8, dim=-1)
        scores = query @ key.transpose(1, 2) / 8**0.5
        later = torch.ones(6, 6, dtype=torch.bool).triu(1)
        return self.c_proj(scores.masked_fill(later, float("-inf")).softmax(-1) @ value)

    def forward(self, tokens):
        x = self.begin(self.words(tokens))
        return self.head((x + self.attend(self.before(x)))[:, -1])


def model():
    return Net()


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)
