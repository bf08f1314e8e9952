"""Faults of pairs that are written as people publish them, without this project in mind."""

from __future__ import annotations

from .faults import Fault

FAULTS = [
    Fault(
        "segments",
        "[skip, up(x)[..., :-1, :-1]]",
        "[up(x)[..., :-1, :-1], skip]",
        "forward",
        "concatenate",
        line="torch.cat",
    ),
    Fault("segments", "[..., :-1, :-1]", "[..., 1:, 1:]", "settings", "conv2d_transpose", "crop"),
    Fault("segments", "F.max_pool2d(skips[-1], 2)", "F.avg_pool2d(skips[-1], 2)", "forward", "max_pooling2d"),
    Fault("segments", "(outputs, targets)\n\n", "(outputs, targets, reduction='sum')\n\n", "loss", "loss"),
    Fault("encoder", "(model.parameters(), 1.0)", "(model.parameters(), 0.1)", "gradients", "classifier"),
    Fault(
        "encoder",
        "src_key_padding_mask=attention_mask == 0",
        "src_key_padding_mask=None",
        "forward",
        "softmax",
        line="nn.TransformerEncoderLayer",
    ),
    Fault(
        "encoder",
        'activation="gelu"',
        'activation="relu"',
        "forward",
        "gelu",
        line="nn.TransformerEncoderLayer",
    ),
    Fault("tutorial", "layer_norm_eps=1e-6", "layer_norm_eps=1e-5", "settings", "normalization", "epsilon"),
    Fault("tutorial", "* math.sqrt(self.d_model)", "* self.d_model", "forward", "", line="x + self.pe"),
    Fault("tutorial", "betas=(0.9, 0.98)", "betas=(0.9, 0.999)", "settings", "optimizer.beta_2", "beta_2"),
    Fault("tutorial", "10**-1.5", "20**-1.5", "settings", "optimizer.learning_rate", "learning_rate"),
    Fault(
        "dcgan",
        'nets["netD"].parameters(), lr=1e-4',
        'nets["netD"].parameters(), lr=4e-4',
        "settings",
        "optimizer.discriminator.learning_rate",
        "learning_rate",
    ),
    Fault("dcgan", "self.bn1(self.deconv1(x)), 0.3", "self.bn1(self.deconv1(x)), 0.2", "forward", "leaky"),
    Fault(
        "dcgan", "torch.ones(b, 1)) + criterion", "0.9 * torch.ones(b, 1)) + criterion", "forward", "outputs"
    ),
    Fault(
        "mobile", '"weight_decay": 0.02', '"weight_decay": 0.01', "settings", "weight_decay", "weight_decay"
    ),
    Fault("mobile", "(x.float() - 127.5) / 127.5", "x.float() / 255", "forward", "rescaling"),
    Fault(
        "mobile",
        "cross_entropy(outputs, targets)",
        "cross_entropy(outputs, targets, reduction='sum')",
        "loss",
        "loss",
    ),
    Fault("module", "F.gelu(self.fc2(x))", "F.gelu(self.fc2(x), approximate='tanh')", "forward", "gelu"),
    Fault("module", "nn.Linear(16, 3)", "nn.Linear(16, 3, bias=False)", "settings", "out", "use_bias"),
    Fault("module", "0.9)", "0.8)", "settings", "optimizer.momentum", "momentum"),
    Fault("module", "eps=1e-6", "eps=1e-2", "forward", "batch_normalization"),
    Fault("module", "tf.reduce_mean(tf.nn.emb", "tf.reduce_max(tf.nn.emb", "forward", "max", side="keras"),
    Fault("function", "F.max_pool2d", "F.avg_pool2d", "forward", "max_pool"),
    Fault("function", "(0, 1, 0, 1)", "(1, 0, 1, 0)", "settings", "wc2", "padding"),
    Fault("function", ", eps=1e-7", "", "settings", "optimizer.epsilon", "epsilon"),
    Fault("function", "F.relu(self.fc1(", "torch.tanh(self.fc1(", "forward", "relu"),
    Fault("function", "return tf.nn.relu(x)", "return tf.nn.elu(x)", "forward", "elu", side="keras"),
    Fault("looped", "0.1 * h", "0.2 * h", "forward", "multiply"),
    Fault("looped", "+ self.h2h(h)", "- self.h2h(h)", "forward", "add"),
    Fault("looped", "torch.tanh(", "torch.sigmoid(", "forward", "tanh"),
    Fault("looped", "nn.LayerNorm(6)", "nn.LayerNorm(6, eps=1e-3)", "settings", "norm", "epsilon"),
    Fault(
        "scaled",
        "[pw // 2, pw - pw // 2, ph // 2",
        "[pw - pw // 2, pw // 2, ph // 2",
        "settings",
        "stem",
        "padding",
        line="Conv2dSame(cin",
    ),
    Fault("scaled", "x * mask.div_(keep)", "x * mask", "training_mode", "drop"),
    Fault("scaled", "x / 255 - self.mean", "x - self.mean", "forward", "rescaling"),
    Fault("scaled", '"sigmoid"', '"hard_sigmoid"', "forward", "hard_sigmoid", side="keras"),
    Fault("cloze", ".bool()", ".bool().logical_not()", "forward", "reshape", line="y = F.scaled_dot_product"),
    Fault("cloze", "F.gelu(", "F.relu(", "forward", "output"),
    Fault("cloze", "        self.decoder.weight = self.wte.weight\n", "", "mapping", ""),
    Fault("cloze", "self.position_ids[:, :T]", "self.position_ids[:, 1 : T + 1]", "forward", "take"),
    Fault("cloze", "math.sqrt(self.size)", "float(self.size)", "forward", "reshape", side="keras"),
]
