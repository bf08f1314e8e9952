import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class Pictures(Dataset):
    def __init__(self, split):
        draws = np.random.RandomState(0 if split == "train" else 1)
        self.x = draws.randint(0, 256, (24, 5, 5, 3)).astype("uint8")
        self.y = draws.randint(0, 4, 24)
        self.mean = torch.tensor([0.5, 0.4, 0.3])
        self.std = torch.tensor([0.2, 0.25, 0.3])

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        x = torch.from_numpy(self.x[i]).float() / 255
        x = (x - self.mean) / self.std
        return x.permute(2, 0, 1), self.y[i]


def data(split):
    return DataLoader(Pictures(split), batch_size=8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 4)

    def forward(self, x):
        x = self.norm(torch.relu(self.conv(x)))
        return self.head(self.drop(x.mean(dim=(2, 3))))


def model():
    return Net()


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.05)


@torch.no_grad()
def evaluate(model):
    model.eval()
    losses, right, seen = 0.0, 0, 0
    for x, y in data("test"):
        logits = model(x.to(model.head.weight.dtype))
        losses += loss(logits, y).item() * len(y)
        right += (logits.argmax(1) == y).sum().item()
        seen += len(y)
    return {"loss": losses / seen, "accuracy": right / seen}
