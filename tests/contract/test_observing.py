"""A step that is observed is the step that is trained: same loss, same gradients, same weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.worker.adapters.trainer import Batch

LAYERS = [
    {"type": "dense", "units": 4, "activation": "tanh"},
    {"type": "batch_norm", "name": "norm", "momentum": 0.9},
    {"type": "dropout", "rate": 0.5, "name": "drop"},
    {"type": "dense", "units": 4, "name": "side"},
    {"type": "add", "inputs": ["drop", "side"]},
    {"type": "dense", "units": 2},
]
PATHS = ["layers.0", "norm", "drop", "side", "layers.4", "layers.5"]


class Step:
    """One step of a job, trained and observed."""

    def __init__(self, kit: Any, **changes: Any) -> None:
        self.job = kit.job(layers=LAYERS, execution="eager", **changes)
        x, y, weights = kit.problem(self.job)
        shape = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0}
        weights |= {f"norm.{name}": np.full(4, value, self.job.precision) for name, value in shape.items()}
        keep = np.random.default_rng(2).integers(0, 2, (1, 5, 4))
        masks = {"drop": (keep * 2.0).astype(self.job.precision)}
        self.block = kit.block(1, masks=masks)
        self.weights = weights
        self.trainer = kit.trainer(self.job, weights=weights, x=x, y=y)
        self.observer = kit.observer(self.job, input_shape=(3,))
        self.x, self.y = x[self.block.indices[0]], y[self.block.indices[0]]
        self.masks = {"drop": masks["drop"][0]}

    def observe(self) -> Any:
        return self.observer.observe(self.weights, Batch(self.x, self.y), masks=self.masks)

    def inputs(self, seen: Any) -> dict[str, list[Any]]:
        sources = [self.job.model.sources(index) for index in range(len(PATHS))]
        values = [self.x, *seen.layers.values()]
        return {path: [values[one] for one in places] for path, places in zip(PATHS, sources, strict=True)}


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_an_observed_step_is_the_trained_one_bit_for_bit(kit: Any, precision: str) -> None:
    step = Step(kit, precision=precision)
    seen = step.observe()
    rate = np.dtype(precision).type(0.1)

    assert list(seen.layers) == PATHS
    assert seen.loss == step.trainer.train(step.block)[0]
    after = step.trainer.weights()
    assert set(seen.gradients) == {name for name in after if "moving" not in name}
    for name, gradient in seen.gradients.items():
        assert gradient.dtype == precision
        np.testing.assert_array_equal(after[name], step.weights[name] - rate * gradient, err_msg=name)


def test_a_layer_fed_with_its_own_inputs_gives_its_own_output(kit: Any) -> None:
    step = Step(kit)
    seen = step.observe()
    again = step.observer.refed(step.weights, step.inputs(seen), masks=step.masks)

    assert list(again) == PATHS
    for path, output in seen.layers.items():
        np.testing.assert_array_equal(again[path], output, err_msg=path)


def test_only_the_layers_named_are_fed_again_and_other_inputs_give_other_outputs(kit: Any) -> None:
    step = Step(kit)
    seen = step.observe()
    inputs = {"layers.5": [seen.layers["layers.4"] + 1.0]}
    again = step.observer.refed(step.weights, inputs, masks=step.masks)

    assert list(again) == ["layers.5"]
    assert np.abs(again["layers.5"] - seen.layers["layers.5"]).max() > 1e-3


def test_observing_leaves_nothing_behind(kit: Any) -> None:
    step = Step(kit)
    first = step.observe()
    step.observer.refed(step.weights, step.inputs(first), masks=step.masks)
    second = step.observe()

    assert first.loss == second.loss
    for path, output in first.layers.items():
        np.testing.assert_array_equal(second.layers[path], output)


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "embedding", "input_dim": 7, "output_dim": 3},
        {"type": "lstm", "units": 3},
        {"type": "gru", "units": 3},
        {"type": "bidirectional", "layer": {"type": "simple_rnn", "units": 2}},
        {"type": "conv1d", "filters": 3, "kernel_size": 2, "padding": "same"},
    ],
    ids=lambda layer: str(layer["type"]),
)
def test_gradients_have_the_weights_names_and_layouts(kit: Any, layer: dict[str, Any]) -> None:
    from likewise.shared.program import compile_job

    embedding = layer["type"] == "embedding"
    shape = (4,) if embedding else (4, 3)
    more = [] if layer["type"] in ("lstm", "gru", "bidirectional") else [{"type": "flatten"}]
    job = kit.job(layers=[layer, *more, {"type": "dense", "units": 2}], execution="eager")
    draw = np.random.default_rng(1)
    places = compile_job(job, shape).weights
    weights = {place.name: draw.standard_normal(place.shape) for place in places}
    x = draw.integers(0, 7, (5, 4)).astype(float) if embedding else draw.standard_normal((5, 4, 3))
    y = draw.standard_normal((5, 2))
    trainer = kit.trainer(job, weights=weights, x=x, y=y)
    seen = kit.observer(job, input_shape=shape).observe(weights, Batch(x, y), masks={})
    trainer.train(kit.block(1, batch=5).__class__(
        indices=np.arange(5)[None], learning_rates=np.array([0.1]), first_step=0
    ))  # fmt: skip

    assert list(seen.gradients) == [place.name for place in places]
    for name, after in trainer.weights().items():
        np.testing.assert_allclose(weights[name] - 0.1 * seen.gradients[name], after, rtol=1e-13, atol=1e-15)
