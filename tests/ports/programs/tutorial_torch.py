import math

import torch
from torch import nn


class PositionalEncoding(nn.Module):
    def __init__(self, d_model, dropout=0.1, max_len=64):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        position = torch.arange(max_len, dtype=torch.float32).unsqueeze(1)
        div = torch.exp(torch.arange(0, d_model // 2).float() * (-math.log(10000.0) / (d_model // 2)))
        pe = torch.cat([torch.sin(position * div), torch.cos(position * div)], dim=-1)
        self.register_buffer("pe", pe.unsqueeze(0))

    def forward(self, x):
        return self.dropout(x + self.pe[:, : x.size(1)])


class LM(nn.Module):
    def __init__(self, ntoken=40, d_model=24, nhead=3, d_hid=48, nlayers=2, dropout=0.1):
        super().__init__()
        self.encoder = nn.Embedding(ntoken, d_model)
        self.pos_encoder = PositionalEncoding(d_model, dropout)
        layers = nn.TransformerEncoderLayer(
            d_model, nhead, d_hid, dropout, batch_first=True, layer_norm_eps=1e-6
        )
        self.transformer_encoder = nn.TransformerEncoder(layers, nlayers)
        for block in self.transformer_encoder.layers:
            block.self_attn.dropout = 0.0
            block.dropout.p = 0.0
        self.d_model = d_model
        self.decoder = nn.Linear(d_model, ntoken)

    def forward(self, src):
        src = self.encoder(src) * math.sqrt(self.d_model)
        src = self.pos_encoder(src)
        mask = nn.Transformer.generate_square_subsequent_mask(src.size(1), dtype=src.dtype)
        return self.decoder(self.transformer_encoder(src, mask=mask, is_causal=True))


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs.transpose(1, 2), targets, ignore_index=0)


def optimizer(model):
    opt = torch.optim.Adam(model.parameters(), lr=1.0, betas=(0.9, 0.98), eps=1e-9)

    def rate(step):
        step += 1
        return 24**-0.5 * min(step**-0.5, step * 10**-1.5)

    return opt, torch.optim.lr_scheduler.LambdaLR(opt, rate)


def model():
    return LM()
