import torch
from torch import nn

accumulation_steps = 4


class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(6, 7)
        self.fc2 = nn.Linear(7, 3)

    def forward(self, x):
        return self.fc2(self.fc1(x).tanh())


def model():
    return Scorer()


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def step(model, optimizer, batch):
    running = 0.0
    optimizer.zero_grad()
    size = len(batch["x"]) // accumulation_steps
    for x, y in zip(batch["x"].split(size), batch["y"].split(size)):
        loss = nn.functional.cross_entropy(model(x), y)
        (loss / accumulation_steps).backward()
        running += loss.item() / accumulation_steps
    optimizer.step()
    return {"loss": running}
