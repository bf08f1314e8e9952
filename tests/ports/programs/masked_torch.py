import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(15, 5)
        self.encoder = nn.LSTM(5, 4, bidirectional=True, batch_first=True)
        self.tags = nn.Linear(8, 3)

    def forward(self, words):
        lengths = (words != 0).sum(dim=1)
        packed = pack_padded_sequence(self.embedding(words), lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.encoder(packed)
        return self.tags(torch.cat([hidden[0], hidden[1]], dim=1))


def model():
    return Tagger()


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs, targets)


def optimizer(model):
    return torch.optim.SGD(model.parameters(), lr=0.2)
