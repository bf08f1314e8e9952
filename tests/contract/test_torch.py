"""What only PyTorch can get wrong: compiling, and the process's own random generator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest


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


def test_compiled_runs_do_not_use_up_the_process_s_compilations(kit: Any) -> None:
    import torch._dynamo

    # torch.compile gives up on code that it has compiled so often, however different the models
    with torch._dynamo.config.patch(recompile_limit=1):
        for units in (1, 2, 3):
            layers = [{"type": "dense", "units": units}, {"type": "dense", "units": 2}]
            kit.build(kit.job(layers=layers, execution="compiled")).train(kit.block(1))


def test_default_weights_are_what_a_pytorch_user_gets_and_leave_the_generator_alone(kit: Any) -> None:
    import torch

    layers = [{"type": "flatten"}, {"type": "dense", "units": 50}, {"type": "dense", "units": 20}]
    job = kit.job(layers=layers, precision="float32")
    before = torch.random.get_rng_state()
    weights = kit.adapter.default_weights(job, input_shape=(4, 10), seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(5)
    linears = [torch.nn.Linear(40, 50), torch.nn.Linear(50, 20)]
    theirs = [array.detach().numpy() for linear in linears for array in (linear.weight.T, linear.bias)]
    for mine, other in zip(weights.values(), theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_weights_lie_in_one_tensor_each_as_aligned_as_by_itself() -> None:
    import torch

    from worker.adapters.torch_adapter.flat import Layout

    layout = Layout.of([(3, 5), (), (7,)], torch.float32)
    assert [(piece.begin, piece.end) for piece in layout.pieces] == [(0, 15), (16, 17), (32, 39)]
    flat = torch.arange(2 * layout.size).reshape(2, layout.size)
    kernel, scalar, bias = layout.shaped(flat)
    assert kernel.shape == (2, 3, 5)
    assert scalar.tolist() == [16, layout.size + 16]
    assert bias[0].tolist() == list(range(32, 39))
    assert layout.size % 16 == 0
