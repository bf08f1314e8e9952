"""How exceptions become typed failures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from likewise.shared.errors import DataError, RedisError
from likewise.shared.job import Job
from likewise.worker.adapters.base import FrameworkAdapter, UnsupportedError
from likewise.worker.training.failures import TrainingError, diverged, typed
from likewise.worker.training.samples import loading


@pytest.fixture
def adapter(lab: object) -> FrameworkAdapter:
    return lab.adapter  # type: ignore[attr-defined, no-any-return]


def test_memory_that_ran_out_is_typed_with_the_way_out(adapter: FrameworkAdapter) -> None:
    with pytest.raises(TrainingError, match="smaller: MemoryError: 3 GiB") as caught, typed(adapter):
        raise MemoryError("3 GiB")
    assert caught.value.reason == "out_of_memory"


def test_the_adapter_types_its_own_exceptions(
    adapter: FrameworkAdapter, device_memory_error: type[Exception]
) -> None:
    with pytest.raises(TrainingError) as caught, typed(adapter):
        raise device_memory_error
    assert caught.value.reason == "out_of_memory"
    assert "DeviceMemoryError" in str(caught.value)


def test_what_an_adapter_cannot_do_is_told_in_its_own_words(adapter: FrameworkAdapter) -> None:
    with pytest.raises(TrainingError, match=r"^needs a compiler; install one$") as caught, typed(adapter):
        raise UnsupportedError("needs a compiler; install one")
    assert caught.value.reason == "unsupported"


def test_an_unknown_exception_is_internal_and_says_its_first_and_last_line(
    adapter: FrameworkAdapter,
) -> None:
    with pytest.raises(TrainingError) as caught, typed(adapter):
        raise KeyError("first\nmiddle\nlast")
    assert caught.value.reason == "internal"
    assert "KeyError" in str(caught.value)
    with pytest.raises(TrainingError, match="RuntimeError: first … last"), typed(adapter):
        raise RuntimeError("first\nmiddle\n\n last\n")


def test_a_very_long_message_is_shortened(adapter: FrameworkAdapter) -> None:
    with pytest.raises(TrainingError) as caught, typed(adapter):
        raise RuntimeError("x" * 100_000)
    assert len(str(caught.value)) < 1_200


@pytest.mark.parametrize("passing", [KeyboardInterrupt, SystemExit])
def test_an_interruption_passes(adapter: FrameworkAdapter, passing: type[BaseException]) -> None:
    with pytest.raises(passing), typed(adapter):
        raise passing
    with pytest.raises(passing), loading("x"):
        raise passing


def test_a_typed_failure_stays_what_it_is(adapter: FrameworkAdapter) -> None:
    with pytest.raises(TrainingError) as caught, typed(adapter):
        raise TrainingError("cancelled", "by the user", epoch=3, step=7)
    failure = caught.value.failure(seed=5)
    assert (failure.reason, failure.message, failure.seed, failure.epoch, failure.step) == (
        "cancelled",
        "by the user",
        5,
        3,
        7,
    )


@pytest.mark.parametrize("error", [DataError("gone"), ValueError("gone"), KeyError("gone"), OSError("gone")])
def test_an_array_that_cannot_be_loaded_is_damaged_data(error: Exception) -> None:
    with pytest.raises(TrainingError, match=r"^x cannot be read: ") as caught, loading("x"):
        raise error
    assert "gone" in str(caught.value)
    assert caught.value.reason == "data_damaged"


def test_a_store_that_is_away_is_no_failure_of_the_job() -> None:
    with pytest.raises(RedisError), loading("the train samples"):
        raise RedisError("no Redis at localhost:6379")


def test_divergence_names_epoch_update_and_a_lower_rate(job_of: Callable[..., Job]) -> None:
    error = diverged("loss became NaN", job=job_of(), step=9, steps_per_epoch=4)
    assert (error.reason, error.epoch, error.step) == ("diverged", 3, 9)
    assert str(error).startswith("The loss became NaN in epoch 3 (update 9).")
    assert "learning rate is too high" in str(error)
    assert "optimizer.learning_rate: 0.005 instead of 0.05" in str(error)
    assert "reduction" not in str(error)


def test_divergence_of_a_summed_loss_offers_the_mean(job_of: Callable[..., Job]) -> None:
    job = job_of(loss={"type": "mse", "reduction": "sum"})
    assert "loss.reduction: mean" in str(diverged("loss became NaN", job=job, step=1, steps_per_epoch=1))


def test_divergence_under_a_schedule_points_at_it(job_of: Callable[..., Job]) -> None:
    schedule = {"type": "constant", "warmup": 3}
    job = job_of(optimizer={"type": "sgd", "learning_rate": 1.0, "schedule": schedule})
    assert "rates of its schedule" in str(diverged("loss became NaN", job=job, step=1, steps_per_epoch=1))


def test_a_rate_far_from_all_usual_ones_is_not_answered_with_its_tenth(job_of: Callable[..., Job]) -> None:
    job = job_of(optimizer={"type": "sgd", "learning_rate": 1e300})
    told = str(diverged("loss became NaN", job=job, step=1, steps_per_epoch=1))

    assert "optimizer.learning_rate: 0.01 instead of 1e+300" in told
    assert "tenth" not in told
