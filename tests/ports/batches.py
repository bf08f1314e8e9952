"""The samples and targets of each pair of programs, drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from likewise.producer.port.exchanged import FedBatch


class Draws:
    """Draws arrays by their shape, with the samples first."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def normal(self, *shape: int) -> np.ndarray:
        return self._random.normal(size=shape)

    def below(self, limit: int, *shape: int) -> np.ndarray:
        return self._random.integers(0, limit, shape)


def _transformer(draw: Draws) -> FedBatch:
    tokens = draw.below(20, 5, 6)
    there = np.arange(6) < 3 + draw.below(4, 5)[:, None]
    return FedBatch({"token_ids": tokens, "padding_mask": there}, draw.below(3, 5))


def _encoder(draw: Draws) -> FedBatch:
    there = (np.arange(10) < np.array([10, 6, 10, 4])[:, None]).astype(np.int64)
    ids = (1 + draw.below(99, 4, 10)) * there
    inputs = {"input_ids": ids, "attention_mask": there, "token_type_ids": (np.arange(10) > 5) * there}
    return FedBatch(inputs, draw.below(3, 4))


def _cloze(draw: Draws) -> FedBatch:
    there = (np.arange(9) < np.array([9, 6, 9, 4])[:, None]).astype(np.int64)
    ids = (1 + draw.below(39, 4, 9)) * there
    inputs = {"input_ids": ids, "attention_mask": there, "token_type_ids": (np.arange(9) > 4) * there}
    return FedBatch(inputs, np.where(draw.below(5, 4, 9) < 2, draw.below(40, 4, 9), -100))


def _masked(draw: Draws) -> FedBatch:
    words = 1 + draw.below(14, 5, 6)
    lengths = np.array([6, 4, 3, 5, 2])
    return FedBatch({"words": np.where(np.arange(6) < lengths[:, None], words, 0)}, draw.below(3, 5))


def _policy(draw: Draws) -> FedBatch:
    rewards = draw.normal(6)
    return FedBatch({"state": draw.normal(6, 4), "action": draw.below(3, 6), "reward": rewards}, None)


BATCHES: Mapping[str, Callable[[Draws], FedBatch]] = {
    "vit": lambda draw: FedBatch({"x": draw.normal(4, 8, 8, 3)}, draw.below(5, 4)),
    "patches": lambda draw: FedBatch({"x": draw.normal(4, 8, 8, 3)}, draw.below(5, 4)),
    "mlp": lambda draw: FedBatch({"x": draw.normal(6, 12)}, draw.below(3, 6)),
    "conv": lambda draw: FedBatch({"x": draw.normal(5, 8, 8, 2)}, draw.below(3, 5)),
    "residual": lambda draw: FedBatch({"x": draw.normal(5, 6, 6, 4)}, draw.below(3, 5)),
    "lstm": lambda draw: FedBatch({"x": draw.below(20, 6, 7)}, draw.below(2, 6)),
    "stacked": lambda draw: FedBatch({"x": draw.below(20, 6, 7)}, draw.below(2, 6)),
    "attention": lambda draw: FedBatch({"x": draw.normal(4, 5, 8)}, draw.normal(4, 2)),
    "dropouts": lambda draw: FedBatch({"x": draw.normal(7, 6, 6, 2)}, draw.normal(7, 2)),
    "gan": lambda draw: FedBatch({"x": np.tanh(draw.normal(8, 6))}, None),
    "pictures": lambda draw: FedBatch({"x": draw.normal(8, 5, 5, 3)}, draw.below(4, 8)),
    "autoencoder": lambda draw: FedBatch({"x": draw.normal(3, 8, 8, 1)}, draw.normal(3, 8, 8, 1)),
    "segments": lambda draw: FedBatch({"x": draw.normal(3, 8, 8, 2)}, 1.0 * (draw.normal(3, 8, 8, 1) > 0)),
    "separable": lambda draw: FedBatch({"x": draw.normal(5, 8, 8, 3)}, draw.below(4, 5)),
    "transformer": _transformer,
    "gru": lambda draw: FedBatch({"x": draw.below(30, 6, 8)}, draw.below(2, 6)),
    "masked": _masked,
    "locked": lambda draw: FedBatch({"x": draw.normal(6, 7, 7, 3)}, draw.below(2, 6)),
    "averaged": lambda draw: FedBatch({"x": draw.normal(6, 5)}, draw.normal(6, 2)),
    "accumulate": lambda draw: FedBatch({"x": draw.normal(8, 6)}, draw.below(3, 8)),
    "tied": lambda draw: FedBatch({"x": draw.below(12, 4, 6)}, draw.below(12, 4, 6)),
    "offers": lambda draw: FedBatch(
        {"customer": draw.normal(6, 4), "shop": draw.below(9, 6)}, draw.normal(6)
    ),
    "decoder": lambda draw: FedBatch({"x": draw.normal(4, 5)}, draw.normal(4, 12, 12, 2)),
    "grouped": lambda draw: FedBatch({"x": draw.normal(5, 6, 6, 4)}, draw.normal(5, 2)),
    "schedule": lambda draw: FedBatch({"x": draw.normal(6, 5)}, draw.normal(6, 1)),
    "clipped": lambda draw: FedBatch({"x": draw.normal(5, 9, 3)}, draw.normal(5)),
    "vae": lambda draw: FedBatch({"x": draw.normal(6, 10)}, draw.below(2, 6, 10).astype(float)),
    "siamese": lambda draw: FedBatch(
        {"left": draw.normal(6, 6), "right": draw.normal(6, 6)}, draw.below(2, 6).astype(float)
    ),
    "unet": lambda draw: FedBatch({"x": draw.normal(3, 8, 8, 1)}, draw.below(2, 3, 8, 8, 1).astype(float)),
    "crossing": lambda draw: FedBatch(
        {"source": draw.normal(4, 5, 8), "target": draw.normal(4, 4, 8)}, draw.below(7, 4, 4)
    ),
    "functional": lambda draw: FedBatch({"x": draw.normal(5, 10, 3)}, draw.normal(5, 2)),
    "causal": lambda draw: FedBatch({"x": draw.normal(4, 12, 2)}, draw.normal(4, 12)),
    "squeeze": lambda draw: FedBatch({"x": draw.normal(5, 9, 9, 2)}, draw.below(3, 5)),
    "highway": lambda draw: FedBatch({"x": draw.normal(6, 7)}, draw.normal(6)),
    "decay": lambda draw: FedBatch({"x": draw.normal(6, 6)}, draw.normal(6, 2)),
    "inception": lambda draw: FedBatch({"x": draw.normal(4, 6, 6, 16)}, draw.below(3, 4)),
    "preact": lambda draw: FedBatch({"x": draw.normal(4, 6, 6, 2)}, draw.below(3, 4)),
    "policy": _policy,
    "encoder": _encoder,
    "tutorial": lambda draw: FedBatch({"x": 1 + draw.below(39, 4, 11)}, draw.below(40, 4, 11)),
    "dcgan": lambda draw: FedBatch({"x": np.tanh(draw.normal(6, 8, 8, 1))}, None),
    "tokens": lambda draw: FedBatch({"x": draw.below(20, 4, 5)}, draw.below(3, 4)),
    "video": lambda draw: FedBatch({"x": draw.normal(4, 3, 8, 8, 3)}, draw.below(3, 4)),
    "scaled": lambda draw: FedBatch({"x": 1.0 * draw.below(256, 4, 16, 16, 3)}, draw.below(5, 4)),
    "cloze": _cloze,
    "looped": lambda draw: FedBatch({"x": draw.normal(5, 4, 3)}, draw.normal(5, 2)),
    "module": lambda draw: FedBatch({"x": draw.below(20, 6, 5)}, draw.below(3, 6)),
    "function": lambda draw: FedBatch({"x": draw.normal(6, 8, 8, 1)}, draw.below(3, 6)),
    "mobile": lambda draw: FedBatch({"x": draw.below(256, 6, 16, 16, 3)}, draw.below(6, 6)),
}


def batch_for(name: str) -> FedBatch:
    """Draw the batch of one pair."""
    return BATCHES[name](Draws())
