import torch
from torch import nn


class Bert(nn.Module):
    def __init__(
        self, vocab_size=100, d_model=32, nlayers=2, nhead=4, ff=64, max_len=16, num_labels=3, dropout=0.1
    ):
        super().__init__()
        self.tok = nn.Embedding(vocab_size, d_model)
        self.pos = nn.Embedding(max_len, d_model)
        self.seg = nn.Embedding(2, d_model)
        self.ln = nn.LayerNorm(d_model, eps=1e-12)
        self.drop = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            d_model, nhead, ff, dropout, activation="gelu", layer_norm_eps=1e-12, batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, nlayers)
        for block in self.encoder.layers:
            block.dropout = nn.Identity()  # BERT has no dropout between the two feed-forward layers
        self.pool = nn.Linear(d_model, d_model)
        self.cls = nn.Linear(d_model, num_labels)

    def forward(self, input_ids, attention_mask, token_type_ids):
        pos = torch.arange(input_ids.size(1), device=input_ids.device).unsqueeze(0)
        x = self.tok(input_ids) + self.pos(pos) + self.seg(token_type_ids)
        x = self.drop(self.ln(x))
        x = self.encoder(x, src_key_padding_mask=attention_mask == 0)
        x = torch.tanh(self.pool(x[:, 0]))
        return self.cls(self.drop(x))


criterion = nn.CrossEntropyLoss()


def loss(outputs, targets):
    return criterion(outputs, targets)


def optimizer(model):
    decay, no_decay = [], []
    for name, p in model.named_parameters():
        if name.endswith("bias") or "norm" in name or ".ln" in name or name.startswith("ln"):
            no_decay.append(p)
        else:
            decay.append(p)
    opt = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.01}, {"params": no_decay, "weight_decay": 0.0}],
        lr=5e-4,
        eps=1e-6,
    )
    return opt, torch.optim.lr_scheduler.LambdaLR(opt, lambda step: max(0.0, 1 - step / 100))


def step(model, optimizers, batch):
    opt, sched = optimizers
    opt.zero_grad()
    logits = model(batch["input_ids"], batch["attention_mask"], batch["token_type_ids"])
    l = criterion(logits, batch["y"])
    l.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    sched.step()
    return l.item()


def model():
    return Bert()
