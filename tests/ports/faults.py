"""Faults of the first pairs: an edit of a right port, and the finding that must come first."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """An edit of a right port, and the finding that must come first."""

    pair: str
    old: str
    new: str
    rung: str
    path: str
    setting: str | None = None
    side: str = "torch"
    more: tuple[tuple[str, str], ...] = ()
    line: str | None = None
    """What the line holds that is to be named, where that is not the edited one."""

    def __str__(self) -> str:
        return f"{self.pair}: {self.new.strip()[:50]}"


FAULTS = [
    Fault("mlp", "eps=1e-5", "eps=1e-3", "settings", "norm", "epsilon"),
    Fault("mlp", "nn.Dropout(0.3)", "nn.Dropout(0.7)", "settings", "dropout", "rate"),
    Fault("mlp", "            nn.Dropout(0.3),\n", "", "settings", "dropout", "dropout"),
    Fault("mlp", "nn.GELU()", "nn.GELU(approximate='tanh')", "forward", "gelu"),
    Fault("mlp", "nn.Tanh()", "nn.Sigmoid()", "forward", "tanh"),
    Fault("mlp", "nn.Linear(16, 3)", "nn.Linear(16, 3, bias=False)", "settings", "head", "use_bias"),
    Fault("mlp", "momentum=0.9", "momentum=0.8", "settings", "optimizer.momentum", "momentum"),
    Fault("mlp", "momentum=0.9", "momentum=0.9, nesterov=True", "settings", "optimizer.nesterov", "nesterov"),
    Fault("mlp", "lr=0.1", "lr=0.01", "settings", "optimizer.learning_rate", "learning_rate"),
    Fault(
        "mlp",
        "cross_entropy(outputs, targets)",
        "cross_entropy(outputs, targets, reduction='sum')",
        "loss",
        "loss",
    ),
    Fault(
        "mlp",
        "cross_entropy(outputs, targets)",
        "cross_entropy(outputs.softmax(-1), targets)",
        "loss",
        "loss",
    ),
    Fault(
        "mlp",
        "cross_entropy(outputs, targets)",
        "cross_entropy(outputs, targets, label_smoothing=0.1)",
        "loss",
        "loss",
    ),
    Fault("conv", "eps=1e-3, ", "", "settings", "norm", "epsilon"),
    Fault("conv", "momentum=0.01", "momentum=0.99", "settings", "norm", "momentum"),
    Fault("conv", "F.pad(x, (0, 1, 0, 1))", "F.pad(x, (1, 0, 1, 0))", "settings", "stem", "padding"),
    Fault(
        "conv",
        "nn.Conv2d(2, 4, 3, stride=2)",
        "nn.Conv2d(2, 4, 3, stride=2, padding=1)",
        "settings",
        "stem",
        "padding",
        more=(("F.pad(x, (0, 1, 0, 1))", "x"),),
    ),
    Fault("conv", "nn.LeakyReLU(0.2)", "nn.LeakyReLU()", "forward", "leaky_re_lu", "negative_slope"),
    Fault("conv", "F.max_pool2d(x, 2)", "F.avg_pool2d(x, 2)", "forward", "max_pooling2d"),
    Fault("conv", "F.relu(self.stem", "F.relu6(10 * self.stem", "forward", "relu"),
    Fault("conv", ", eps=1e-7", "", "settings", "optimizer.epsilon", "epsilon"),
    Fault("conv", "eps=1e-7", "eps=1e-7, betas=(0.9, 0.99)", "settings", "optimizer.beta_2", "beta_2"),
    Fault("vit", "        q, k, v = (t.view", "        k, q, v = (t.view", "mapping", "to_qkv", "order"),
    Fault("vit", "eps=1e-6", "eps=1e-3", "settings", "norm_0", "epsilon"),
    Fault("vit", "lr=0.1", "lr=0.01", "settings", "optimizer.learning_rate", "learning_rate"),
    Fault(
        "patches", "q, k, v = split", "v, k, q = split", "mapping", "attention.dense", "order", side="keras"
    ),
    Fault("patches", "(0, 1, 3, 2, 4, 5)", "(0, 1, 3, 4, 2, 5)", "mapping", "patch", "order"),
    Fault("patches", "(0, 1, 3, 2, 4, 5)", "(0, 1, 3, 5, 2, 4)", "mapping", "patch", "order"),
    Fault("residual", "return torch.relu(x + y)", "return x + torch.relu(y)", "forward", "add"),
    Fault(
        "residual",
        "nn.BatchNorm2d(width)\n        self.b ",
        "nn.BatchNorm2d(width, eps=1e-2)\n        self.b ",
        "settings",
        "one_na",
        "epsilon",
    ),
    Fault("residual", ".mean(dim=(2, 3))", ".amax(dim=(2, 3))", "forward", "global_average_pooling2d"),
    Fault(
        "residual",
        "self.b = nn.Conv2d(width, width, 3, padding=1, bias=False)",
        "self.b = nn.Conv2d(width, width, 3, padding=1)",
        "settings",
        "one_b",
        "use_bias",
    ),
    Fault(
        "residual",
        "lr=0.05)",
        "lr=0.05, weight_decay=0.01)",
        "settings",
        "optimizer.weight_decay",
        "weight_decay",
    ),
    Fault("lstm", "x[:, -1]", "x[:, 0]", "forward", "head"),
    Fault("lstm", "nn.GRU(6, 5, batch_first=True)", "nn.GRU(6, 5)", "forward", "gru"),
    Fault(
        "lstm", "self.lstm(self.words(tokens))", "self.lstm(self.words(tokens.flip(1)))", "forward", "words"
    ),
    Fault("attention", "/ self.width**0.5", "/ self.width", "forward", "divide"),
    Fault("attention", "softmax(dim=-1)", "softmax(dim=-2)", "forward", "softmax"),
    Fault(
        "attention",
        "x = x + self.attention(self.norm(x))",
        "x = self.attention(self.norm(x))",
        "forward",
        "add",
    ),
    Fault("attention", "nn.LayerNorm(8)", "nn.LayerNorm(8, eps=1e-12)", "settings", "norm", "epsilon"),
    Fault("attention", ".mean()", ".sum()", "loss", "loss"),
    Fault(
        "attention",
        "        self.head = nn.Linear(8, 2)",
        "        self.head = nn.Linear(8, 2)\n        self.norm.requires_grad_(False)",
        "gradients",
        "norm.gamma",
        "trainable",
    ),
    Fault(
        "transformer",
        "TransformerEncoderLayer(16, 4, 32",
        "TransformerEncoderLayer(16, 2, 32",
        "settings",
        "attention.query",
        "num_heads",
    ),
    Fault("transformer", "attn.dropout = 0.1", "attn.dropout = 0.2", "settings", "dropout", "rate"),
    Fault("transformer", "batch_first=True", "batch_first=True, norm_first=True", "forward", "attention"),
    Fault("transformer", "batch_first=True", "batch_first=True, activation='gelu'", "forward", "relu"),
    Fault("transformer", "~attention_mask", "attention_mask", "forward", "softmax"),
    Fault("transformer", "+ self.positions", "+ self.positions.flip(1)", "forward", "add"),
    Fault("transformer", "+ self.positions", "", "mapping", "positions"),
    Fault("stacked", "last[-2], last[-1]", "last[-1], last[-2]", "forward", "head"),
    Fault("stacked", "torch.cat([last[-2], last[-1]], dim=1)", "_steps[:, -1]", "forward", "head"),
    Fault("stacked", "dropout=0.2", "dropout=0.4", "settings", "between", "rate"),
    Fault("separable", "padding=1, groups", "padding=2, dilation=2, groups", "settings", "stem.depthwise"),
    Fault("separable", "leaving, 1, bias=bias)", "leaving, 1, bias=False)", "settings", "stem.pointwise"),
    Fault(
        "separable",
        "self.right_norm = nn.BatchNorm2d(6)",
        "self.right_norm = nn.BatchNorm2d(6, eps=1e-2)",
        "settings",
        "right_norm",
        "epsilon",
    ),
    Fault("separable", "self.stem(x).relu()", "self.stem(x.relu())", "forward", "stem.depthwise"),
    Fault("autoencoder", "F.elu", "F.relu", "forward", "elu"),
    Fault("autoencoder", ".sum(dim=(1, 2, 3)).mean()", ".mean()", "loss", "loss"),
    Fault("autoencoder", "Adam(", "AdamW(", "settings", "optimizer.weight_decay", "weight_decay"),
    Fault(
        "autoencoder",
        "stride=2)\n        self.code",
        "stride=2, bias=False)\n        self.code",
        "settings",
        "down",
        "use_bias",
    ),
    Fault("dropouts", "nn.Dropout2d(0.25)", "nn.Dropout2d(0.75)", "settings", "spatial_dropout2d", "rate"),
    Fault("dropouts", "nn.Dropout2d(0.25)", "nn.Dropout(0.25)", "settings", "spatial_dropout2d", "dropout"),
    Fault(
        "dropouts",
        "F.dropout(x, 0.4, training=self.training)",
        "F.dropout(x, 0.4)",
        "forward",
        "dropout",
        "training",
    ),
    Fault("dropouts", "F.dropout(x, 0.4, training=self.training)", "x", "settings", "dropout", "dropout"),
    Fault("dropouts", "/ keep", "/ rate", "training_mode", "dropout"),
    Fault("dropouts", "< keep) / keep", "< rate) / keep", "training_mode", "dropout"),
    Fault("dropouts", "own_dropout(x, 0.3)", "x", "settings", "dropout", "dropout"),
    Fault(
        "dropouts",
        "x + 0.1 * torch.randn_like(x)",
        "x + 0.2 * torch.randn_like(x)",
        "training_mode",
        "noise",
    ),
    Fault(
        "dropouts",
        "            x = x + 0.1 * torch.randn_like(x)",
        "            pass",
        "settings",
        "normal",
        "noise",
    ),
    Fault(
        "dropouts",
        "def model():",
        "class Resting(Net):\n    def train(self, mode=True):\n        super().train(mode)\n"
        "        self.norm.eval()\n        return self\n\n\ndef model():",
        "training_mode",
        "norm",
        more=(("return Net()", "return Resting()"),),
        line="self.norm = nn",
    ),
    Fault(
        "gan",
        "fake.detach()",
        "fake",
        "gradients",
        "step",
        more=(("d_loss.backward()", "d_loss.backward()\n    optimizers['generator'].step()"),),
    ),
    Fault("gan", "        slow.mul_(0.99)", "        slow.mul_(0.9)", "update", "smooth"),
    Fault(
        "gan",
        "(discriminator.parameters(), 0.5)",
        "(discriminator.parameters(), 0.001)",
        "gradients",
        "discriminator",
    ),
    Fault("gan", "torch.full((n, 1), 0.9,", "torch.full((n, 1), 1.0,", "forward", "ones_like"),
    Fault(
        "gan", "lr=1e-3, betas=(0.5, 0.999)", "lr=1e-3", "settings", "optimizer.generator.beta_1", "beta_1"
    ),
    Fault("gan", "g_loss.backward()", "(g_loss / 2).backward()", "gradients", "generator"),
    Fault("pictures", "/ 255", "/ 127.5 - 1", "data", "data.x", "mean_and_deviation"),
    Fault(
        "pictures",
        "return x.permute(2, 0, 1)",
        "return x.flip(-1).permute(2, 0, 1)",
        "data",
        "data.x",
        "channels",
    ),
    Fault("pictures", "return x.permute(2, 0, 1)", "return x.permute(2, 1, 0)", "data", "data.x", "axes"),
    Fault("pictures", "batch_size=8)", "batch_size=8, shuffle=True)", "data", "data", "shuffle"),
    Fault("pictures", "    model.eval()\n", "", "data", "evaluate", "training"),
    Fault("pictures", ".item() * len(y)", ".item()", "data", "evaluate.loss"),
]
