import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, d, h, p):
        super().__init__()
        self.h, self.p = h, p
        self.qkv = nn.Linear(d, 3 * d)
        self.proj = nn.Linear(d, d)

    def forward(self, x, mask):
        B, T, C = x.shape
        q, k, v = self.qkv(x).view(B, T, 3, self.h, C // self.h).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=self.p if self.training else 0.0
        )
        return self.proj(y.transpose(1, 2).reshape(B, T, C))


class Block(nn.Module):
    def __init__(self, d, h, inner, p, eps):
        super().__init__()
        self.attn = Attention(d, h, p)
        self.ln_1, self.ln_2 = nn.LayerNorm(d, eps=eps), nn.LayerNorm(d, eps=eps)
        self.mlp = nn.ModuleDict({"fc": nn.Linear(d, inner), "proj": nn.Linear(inner, d)})
        self.drop = nn.Dropout(p)

    def forward(self, x, mask):
        x = self.ln_1(x + self.drop(self.attn(x, mask)))
        return self.ln_2(x + self.drop(self.mlp["proj"](F.gelu(self.mlp["fc"](x)))))


class MaskedLM(nn.Module):
    def __init__(self, vocab=40, d=24, n=2, h=3, inner=48, length=16, p=0.1, eps=1e-12):
        super().__init__()
        self.wte, self.wpe, self.wse = nn.Embedding(vocab, d), nn.Embedding(length, d), nn.Embedding(2, d)
        self.register_buffer("position_ids", torch.arange(length).unsqueeze(0), persistent=False)
        self.emb_ln, self.emb_drop = nn.LayerNorm(d, eps=eps), nn.Dropout(p)
        self.blocks = nn.ModuleList([Block(d, h, inner, p, eps) for _ in range(n)])
        self.head = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.LayerNorm(d, eps=eps))
        self.decoder = nn.Linear(d, vocab)
        self.decoder.weight = self.wte.weight

    def forward(self, input_ids, attention_mask, token_type_ids):
        T = input_ids.size(1)
        x = self.wte(input_ids) + self.wpe(self.position_ids[:, :T]) + self.wse(token_type_ids)
        x = self.emb_drop(self.emb_ln(x))
        keep = attention_mask[:, None, None, :].bool()
        for block in self.blocks:
            x = block(x, keep)
        return self.decoder(self.head(x))


def model():
    return MaskedLM()


def loss(outputs, targets):
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())


def optimizer(model):
    return torch.optim.Adam(model.parameters(), lr=5e-4)
