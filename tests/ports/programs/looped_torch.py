import torch
from torch import nn


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.i2h = nn.Linear(3, 6)
        self.h2h = nn.Linear(6, 6, bias=False)
        self.ln = nn.LayerNorm(6)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        h = x.new_zeros(x.size(0), 6)
        for xt in x.unbind(1):
            cand = torch.tanh(self.i2h(xt) + self.h2h(h))
            h = self.ln(0.9 * cand + 0.1 * h)
        return self.out(torch.relu(h))


def model():
    return Loop()


loss = nn.MSELoss()


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
