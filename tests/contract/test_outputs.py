"""A model of several outputs: the sum of their weighted losses, its gradient, and members side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from likewise.shared.losses import total_losses
from likewise.shared.program import compile_job
from likewise.worker.adapters.trainer import Batch, EnsembleBlock

MODEL = {
    "layers": [
        {"type": "dense", "units": 4, "activation": "tanh", "name": "trunk"},
        {"type": "dense", "units": 3, "name": "kind", "inputs": ["trunk"]},
        {"type": "dense", "units": 2, "name": "flags", "inputs": ["trunk"]},
        {"type": "dense", "units": 1, "name": "size", "inputs": ["trunk"]},
    ],
    "outputs": ["size", "kind", "flags"],
}
LOSSES = {
    "kind": {"type": "categorical_crossentropy", "label_smoothing": 0.1, "class_weights": [1, 2, 0.5]},
    "flags": {"type": "binary_crossentropy", "weight": 3.0},
    "size": {"type": "mse", "weight": 0.2, "reduction": "sum"},
}


class Heads:
    """A job of three outputs with its samples, weighted, and the weights that it starts from."""

    def __init__(self, kit: Any, **changes: Any) -> None:
        inline = {"type": "inline", "x": [0.0], "y": [0.0], "sample_weights": [1.0]}
        self.job = kit.job(model=MODEL, loss=LOSSES, data=inline, **changes)
        self.program = compile_job(self.job, (3,))
        draw = np.random.default_rng(5)
        self.x = draw.standard_normal((12, 3))
        columns = [draw.standard_normal(12), draw.integers(0, 3, 12), *draw.integers(0, 2, (2, 12))]
        self.y = np.stack(columns, axis=1).astype(np.float64)
        self.counts = draw.uniform(0.1, 3.0, 12)
        self.weights = {one.name: draw.standard_normal(one.shape) for one in self.program.weights}
        self.samples = kit.weighted(self.y, self.counts)

    def outputs(self, weights: Any, rows: Any) -> Any:
        trunk = np.tanh(self.x[rows] @ weights["trunk.kernel"] + weights["trunk.bias"])
        heads = [trunk @ weights[f"{n}.kernel"] + weights[f"{n}.bias"] for n in ("size", "kind", "flags")]
        return np.concatenate(heads, axis=1)

    def loss(self, weights: Any, rows: Any) -> float:
        outputs = self.outputs(weights, rows)[None]
        return float(total_losses(self.job.losses, self.program, outputs, self.y[rows], self.counts[rows])[0])


@pytest.mark.parametrize("execution", ["eager", "auto"])
def test_what_is_minimised_is_the_sum_of_the_outputs_losses_each_times_its_weight(
    kit: Any, execution: str
) -> None:
    heads = Heads(kit, execution=execution)
    trainer = kit.trainer(heads.job, weights=heads.weights, x=heads.x, y=heads.samples)
    block = kit.block(1, rate=1.0)
    rows = block.indices[0]
    np.testing.assert_allclose(
        trainer.outputs(heads.x), heads.outputs(heads.weights, slice(None)), rtol=1e-12, atol=1e-13
    )
    (before,) = trainer.train(block)
    after = trainer.weights()

    assert before == pytest.approx(heads.loss(heads.weights, rows), rel=1e-12)
    draw = np.random.default_rng(6)
    for name, array in heads.weights.items():
        direction = draw.standard_normal(array.shape)
        sides = [heads.loss(heads.weights | {name: array + step * direction}, rows) for step in (1e-5, -1e-5)]
        slope = float((direction * (array - after[name])).sum())
        assert slope == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6, abs=1e-8), name


def test_members_side_by_side_train_as_each_alone(kit: Any) -> None:
    heads = Heads(kit)
    two = {name: np.stack([array, 0.5 * array]) for name, array in heads.weights.items()}
    ensemble = kit.ensemble(
        heads.job, optimizers=[heads.job.optimizer] * 2, weights=two, x=heads.x, y=heads.samples
    )
    block = kit.block(3)
    together = ensemble.train(
        EnsembleBlock(indices=block.indices, learning_rates=np.full((2, 3), 0.1), first_step=0)
    )
    for member in range(2):
        own = {name: array[member] for name, array in two.items()}
        alone = kit.trainer(heads.job, weights=own, x=heads.x, y=heads.samples)
        np.testing.assert_allclose(together[member], alone.train(block), rtol=1e-12)


def test_an_observed_step_has_each_output_as_a_layer_and_then_all_of_them(kit: Any) -> None:
    heads = Heads(kit, execution="eager")
    observer = kit.observer(heads.job, input_shape=(3,))
    rows = np.arange(5)
    batch = Batch(heads.x[rows], heads.y[rows], heads.counts[rows])
    seen = observer.observe(heads.weights, batch, masks={})

    assert list(seen.layers) == ["trunk", "kind", "flags", "size", "outputs"]
    assert seen.loss == pytest.approx(heads.loss(heads.weights, rows), rel=1e-12)
    assert list(seen.terms) == ["size", "kind", "flags"]
    assert sum(seen.terms.values()) == pytest.approx(seen.loss, rel=1e-12)
    np.testing.assert_allclose(seen.layers["outputs"], heads.outputs(heads.weights, rows), rtol=1e-12)
