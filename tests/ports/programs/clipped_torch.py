import torch
from torch import nn


class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.RNN(3, 6, batch_first=True)
        self.out = nn.Linear(6, 1)

    def forward(self, series):
        _, last = self.cell(series)
        return self.out(last[0]).squeeze(-1)


def model():
    return Memory()


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.5)


def step(model, optimizer, batch):
    optimizer.zero_grad(set_to_none=True)
    loss = 10 * nn.functional.mse_loss(model(batch["x"]), batch["y"])
    loss.backward()
    parameters = [one for name, one in model.named_parameters() if "bias_hh" not in name]
    nn.utils.clip_grad_norm_(parameters, max_norm=0.25)
    optimizer.step()
    return {"loss": loss.item()}
