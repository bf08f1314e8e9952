import torch
import torch.nn.functional as F


class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.local = torch.nn.Conv1d(3, 4, 3)
        self.mixed = torch.nn.Linear(16, 6)
        self.result = torch.nn.Linear(6, 2)

    def forward(self, x):
        x = F.conv1d(x.transpose(1, 2), self.local.weight, self.local.bias).relu()
        x = F.avg_pool1d(x, kernel_size=2).flatten(start_dim=1)
        x = F.softplus(F.linear(x, self.mixed.weight, self.mixed.bias))
        return F.linear(x, self.result.weight, self.result.bias)


def model():
    return Plain()


def loss(outputs, targets):
    return F.l1_loss(outputs, targets)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.02)
