"""What only PyTorch can get wrong: compiling, and the process's own random generator."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from likewise.shared.program import compile_job


@pytest.fixture(autouse=True)
def _only_torch(framework: str) -> None:
    if framework != "torch":
        pytest.skip("about PyTorch alone")


def test_compiling_without_a_compiler_is_unsupported_with_the_way_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kit: Any
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Exception, match=r"C\+\+ compiler.*install g\+\+.*execution: auto") as caught:
        kit.build(kit.job(execution="compiled"))
    assert kit.adapter.reason_of(caught.value) == "unsupported"


def test_a_compiler_that_fails_is_unsupported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kit: Any
) -> None:
    broken = tmp_path / "g++"
    broken.write_text("#!/bin/sh\necho no space left >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    layers = [{"type": "dense", "units": 23, "activation": "mish"}, {"type": "dense", "units": 2}]
    trainer = kit.build(kit.job(layers=layers, execution="compiled"))
    with pytest.raises(Exception) as caught:  # noqa: PT011
        trainer.train(kit.block(1))
    assert kit.adapter.reason_of(caught.value) == "unsupported"


def test_a_compiled_lstm_of_float32_trains_as_an_eager_one(kit: Any) -> None:
    layers, shape, losses = [{"type": "lstm", "units": 2}, {"type": "dense", "units": 2}], (4, 3), []
    for execution in ("eager", "compiled"):
        job = kit.job(layers=layers, execution=execution, precision="float32")
        draw = np.random.default_rng(0)
        weights = {
            place.name: draw.standard_normal(place.shape).astype("float32")
            for place in compile_job(job, shape).weights
        }
        x, y, _ = kit.problem(job, input_shape=shape)
        trainer = kit.trainer(job, weights=weights, x=x, y=y)
        losses.append(trainer.train(kit.block(6)))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


@pytest.fixture
def compilations() -> Any:
    """How many graphs torch.compile has compiled so far."""
    import torch._dynamo.utils

    return lambda: torch._dynamo.utils.counters["stats"]["unique_graphs"]


def test_another_learning_rate_seed_or_sample_count_compiles_nothing(kit: Any, compilations: Any) -> None:
    layers = [{"type": "dense", "units": 2, "activation": "softsign"}]
    before = compilations()
    for count, (rate, beta) in enumerate([(0.001, 0.9), (0.003, 0.5)], start=1):
        optimizer = {"type": "adam", "learning_rate": rate, "beta_1": beta}
        training = {"epochs": count, "batch_size": 5, "drop_last": True}
        jobs = [
            kit.job(layers=layers, optimizer=optimizer, training=training, execution=execution)
            for execution in ("compiled", "eager")
        ]
        x, y, weights = kit.problem(jobs[0], seed=count)
        x, y = np.concatenate([x] * count), np.concatenate([y] * count)
        fast, plain = (kit.trainer(job, weights=weights, x=x, y=y) for job in jobs)
        assert fast.compiles == (count == 1)
        for first in (0, 300):  # more updates than a call of the program takes
            block = kit.block(300, first_step=first, rate=rate)
            np.testing.assert_allclose(fast.train(block), plain.train(block), rtol=1e-11)
        assert not fast.compiles
        for name, array in plain.weights().items():
            np.testing.assert_allclose(fast.weights()[name], array, rtol=1e-11)
    assert compilations() - before == 1


def test_what_was_forgotten_is_compiled_again_and_not_found_in_a_cache(kit: Any) -> None:
    from torch._dynamo.utils import counters

    job = kit.job(layers=[{"type": "dense", "units": 2, "activation": "selu"}], execution="compiled")
    for _ in range(2):
        kit.adapter.forget_programs()
        counters.clear()
        trainer = kit.build(job)
        assert trainer.compiles
        trainer.train(kit.block(2))
        found = {name: count for of in counters.values() for name, count in of.items() if "cache_hit" in name}
        assert counters["stats"]["unique_graphs"] == 1
        assert not any(found.values()), found
    kit.build(job).train(kit.block(2))
    assert counters["stats"]["unique_graphs"] == 1  # a program that is kept


def test_compiled_code_is_kept_in_a_folder_of_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from likewise.worker.adapters.torch_adapter.execution import check_compiler

    ended, other = tmp_path / "likewise-inductor-4194999-x", tmp_path / "likewise-other"
    ended.mkdir()
    other.mkdir()
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    check_compiler()
    own = Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR")
    assert own.name.startswith(f"likewise-inductor-{os.getpid()}-")
    assert set(tmp_path.iterdir()) == {own, other}


def test_compiled_runs_do_not_use_up_the_process_s_compilations(kit: Any) -> None:
    import torch._dynamo

    # torch.compile gives up on code that it has compiled so often, however different the models
    with torch._dynamo.config.patch(recompile_limit=1):
        for units in (1, 2):
            layers = [{"type": "dense", "units": units}, {"type": "dense", "units": 2}]
            kit.build(kit.job(layers=layers, execution="compiled")).train(kit.block(1))


def test_default_weights_are_what_a_pytorch_user_gets_and_leave_the_generator_alone(kit: Any) -> None:
    import torch

    layers = [{"type": "flatten"}, {"type": "dense", "units": 50}, {"type": "dense", "units": 20}]
    job = kit.job(layers=layers, precision="float32")
    before = torch.random.get_rng_state()
    weights = kit.default_weights(job, input_shape=(4, 10), seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(5)
    linears = [torch.nn.Linear(40, 50), torch.nn.Linear(50, 20)]
    theirs = [array.detach().numpy() for linear in linears for array in (linear.weight.T, linear.bias)]
    for mine, other in zip(weights.values(), theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_weights_lie_in_one_tensor_each_as_aligned_as_by_itself() -> None:
    import torch

    from likewise.worker.adapters.torch_adapter.weights import Layout

    layout = Layout.of([(3, 5), (), (7,)], torch.float32)
    assert [(piece.begin, piece.end) for piece in layout.pieces] == [(0, 15), (16, 17), (32, 39)]
    flat = torch.arange(2 * layout.size).reshape(2, layout.size)
    kernel, scalar, bias = layout.shaped(flat)
    assert kernel.shape == (2, 3, 5)
    assert scalar.tolist() == [16, layout.size + 16]
    assert bias[0].tolist() == list(range(32, 39))
    assert layout.size % 16 == 0


@pytest.mark.parametrize(
    ("units", "precision", "reason"),
    [
        (8, "float32", None),
        (200, "float32", "more than 10,000 numbers a step, and here it gives 24,000"),
        (200, "float64", None),
    ],
)
def test_an_lstm_trains_together_where_that_is_quicker(
    units: int, precision: str, reason: str | None, kit: Any
) -> None:
    from likewise.worker.adapters.torch_adapter.ensemble import obstacle

    layers = [{"type": "lstm", "units": units}, {"type": "dense", "units": 2}]
    job = kit.job(layers=layers, precision=precision)
    found = obstacle(job, compile_job(job, (10, 3)), samples=12, members=3, cpu=True)
    assert (found is None) if reason is None else (found is not None and reason in found)
    assert obstacle(job, compile_job(job, (10, 3)), samples=12, members=3, cpu=False) is None
