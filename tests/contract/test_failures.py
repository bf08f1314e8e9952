"""What goes wrong comes back as a typed reason or a plain sentence."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.shared.program import compile_job
from likewise.shared.results.run_result import Reason
from likewise.worker.adapters.base import FrameworkAdapter, UnsupportedError
from likewise.worker.adapters.trainer import Batch

ROOT = Path(__file__).parent.parent.parent


def reason_of_build(adapter: FrameworkAdapter, job: Any, *, weights: Any, samples: Batch) -> Reason | None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- whatever it is, it must have its reason
        adapter.build(compile_job(job, (3,)), job, weights=weights, samples=samples)
    return adapter.reason_of(caught.value)


def test_targets_that_would_be_broadcast_are_a_bad_shape(kit: Any) -> None:
    job = kit.job()
    x, y, weights = kit.problem(job)
    for wrong in (
        Batch(x[:, :2], y),
        Batch(x, y[:, :1]),
        Batch(x, y[:, None, :]),
        Batch(x, y[:, 0]),
        Batch(x, y, np.ones((12, 1))),
    ):
        assert reason_of_build(kit.adapter, job, weights=weights, samples=wrong) == "bad_shape"


def test_weights_that_do_not_fit_are_a_bad_shape(kit: Any) -> None:
    job = kit.job()
    x, y, weights = kit.problem(job)
    kernel, bias = weights["layers.0.kernel"], weights["layers.0.bias"]
    for wrong in (
        {"layers.0.kernel": kernel},
        {"layers.0.kernel": kernel.T.copy(), "layers.0.bias": bias},
        {"layers.0.kernel": kernel, "layers.0.bias": bias, "layers.1.bias": bias},
    ):
        assert reason_of_build(kit.adapter, job, weights=wrong, samples=Batch(x, y)) == "bad_shape"


def test_inputs_that_do_not_fit_are_a_bad_shape(kit: Any) -> None:
    trainer = kit.build(kit.job())
    with pytest.raises(Exception) as caught:  # noqa: PT011
        trainer.outputs(np.zeros((4, 5)))
    assert kit.adapter.reason_of(caught.value) == "bad_shape"

    layers = [{"type": "dropout", "rate": 0.5, "name": "drop"}, {"type": "dense", "units": 2}]
    trainer = kit.build(kit.job(layers=layers))
    with pytest.raises(Exception) as caught:  # noqa: PT011
        trainer.train(kit.block(1, masks={"drop": np.ones((1, 5, 1))}))
    assert kit.adapter.reason_of(caught.value) == "bad_shape"


@pytest.mark.parametrize("execution", ["auto", "eager"])
def test_a_computed_number_that_is_no_row_of_an_embedding_is_a_bad_index(execution: str, kit: Any) -> None:
    layers = [
        {"type": "activation", "activation": "relu"},
        {"type": "embedding", "input_dim": 5, "output_dim": 2},
        {"type": "flatten"},
        {"type": "dense", "units": 2},
    ]
    job = kit.job(layers=layers, execution=execution)
    draw = np.random.default_rng(2)
    weights = {p.name: draw.standard_normal(p.shape) for p in compile_job(job, (3,)).weights}
    for number, fits in ((4.0, True), (-1.0, True), (5.0, False)):
        x = np.full((12, 3), number)
        trainer = kit.trainer(job, weights=weights, x=x, y=np.zeros((12, 2)))
        for work in (partial(trainer.train, kit.block(1)), partial(trainer.outputs, x)):
            if fits:
                work()
                continue
            with pytest.raises(Exception) as caught:  # noqa: PT011
                work()
            assert kit.adapter.reason_of(caught.value) == "bad_index"


def test_more_memory_than_there_is_is_out_of_memory(kit: Any) -> None:
    job = kit.job(layers=[{"type": "dense", "units": 10**12}])
    with pytest.raises(Exception) as caught:  # noqa: PT011
        kit.default_weights(job, input_shape=(1000,), seed=0)
    assert kit.adapter.reason_of(caught.value) == "out_of_memory"
    assert kit.adapter.reason_of(MemoryError()) == "out_of_memory"


def test_what_the_framework_cannot_do_is_unsupported(kit: Any) -> None:
    assert kit.adapter.reason_of(UnsupportedError("no compiler")) == "unsupported"
    assert kit.adapter.reason_of(NotImplementedError("no kernel")) == "unsupported"


def test_an_unknown_exception_has_no_reason(kit: Any) -> None:
    for error in (KeyError("k"), ZeroDivisionError(), RuntimeError("something"), ValueError("something")):
        assert kit.adapter.reason_of(error) is None


def test_asking_for_a_gpu_gives_one_or_says_plainly_that_there_is_none(framework: str) -> None:
    script = (
        "import sys\n"
        "from likewise.worker.adapters import load_adapter\n"
        f"adapter = load_adapter({framework!r})\n"
        "try:\n"
        "    adapter.start(device='cuda', threads=1)\n"
        "except RuntimeError as error:\n"
        "    print('refused:', error)\n"
        "else:\n"
        "    assert adapter.device_peak_bytes() is not None\n"
        "    print('device:', adapter.describe().device)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said = done.stdout.strip()
    refused = said.startswith("refused:") and "finds no GPU here" in said and "device cpu" in said
    assert refused or (said.startswith("device:") and said != "device: cpu")
    assert done.stderr == ""
