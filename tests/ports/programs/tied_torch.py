import torch
from torch import nn


class LM(nn.Module):
    def __init__(self, vocabulary=12, width=6):
        super().__init__()
        self.wte = nn.Embedding(vocabulary, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, idx):
        h, _ = self.lstm(self.wte(idx))
        return self.lm_head(self.ln_f(h))


def model():
    return LM()


def loss(logits, labels):
    return nn.functional.cross_entropy(logits.reshape(-1, logits.size(-1)), labels.reshape(-1))


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=1e-3)
