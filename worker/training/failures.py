"""Why a training stopped: one exception with a typed reason, and how other exceptions become it.

Only what a job can cause is typed here. An exception of a callback (Redis is away, a lease is lost) is not
the job's fault and passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from likewise.shared.errors import LikewiseError
from likewise.shared.job import Job
from likewise.shared.job.shape import ShapeError
from likewise.shared.results.run_result import Failure, Reason
from likewise.worker.adapters.base import FrameworkAdapter, UnsupportedError

_HIGHEST_USUAL_RATE = 10.0
"""A tenth of a higher learning rate is no advice."""
_LONGEST_MESSAGE = 1_000

_SENTENCES: dict[Reason, str] = {
    "out_of_memory": "Memory ran out; make training.batch_size or the model smaller",
    "bad_shape": "Arrays do not fit together",
    "bad_index": "An embedding got a number that is no row of its table: rows run from 0 to input_dim - 1",
    "unsupported": "This worker cannot do what the job asks",
    "internal": "A fault in Likewise or its worker, please report it",
}


class TrainingError(Exception):
    """Says why a training ends without a result; the message is for the user."""

    def __init__(
        self, reason: Reason, message: str, *, epoch: int | None = None, step: int | None = None
    ) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.epoch = epoch
        self.step = step

    def failure(self, seed: int | None = None) -> Failure:
        """Return the failure as it travels in a result."""
        return Failure(reason=self.reason, message=str(self), seed=seed, epoch=self.epoch, step=self.step)


@contextmanager
def typed(adapter: FrameworkAdapter, *, passing: type[Exception] = TrainingError) -> Iterator[None]:
    """Turn whatever the work inside raises into TrainingError.

    TrainingError itself, `passing`, KeyboardInterrupt and SystemExit pass unchanged.
    """
    try:
        yield
    except (TrainingError, passing):
        raise
    except ShapeError as error:
        raise TrainingError("bad_shape", str(error)) from error
    except UnsupportedError as error:
        raise TrainingError("unsupported", str(error)) from error
    except MemoryError as error:
        raise TrainingError("out_of_memory", message_of("out_of_memory", error)) from error
    except Exception as error:
        reason = adapter.reason_of(error) or "internal"
        raise TrainingError(reason, message_of(reason, error)) from error


def message_of(reason: Reason, error: BaseException) -> str:
    """Return what the user is told of an exception with this reason."""
    sentence = _SENTENCES.get(reason)
    return f"{sentence}: {in_short(error)}" if sentence else in_short(error)


def in_short(error: BaseException) -> str:
    """Return the exception in one short line: frameworks say what matters in the first line or the last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " … ".join(dict.fromkeys([lines[0], lines[-1]])) if lines else type(error).__name__
    if not isinstance(error, LikewiseError) and lines:
        text = f"{type(error).__name__}: {text}"
    text = text.encode(errors="backslashreplace").decode()  # half of a character cannot be sent
    return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"


def diverged(what: str, *, job: Job, step: int, steps_per_epoch: int) -> TrainingError:
    """Return a `diverged` failure. `what` says what is no longer a number; `step` counts from 1."""
    epoch = (step - 1) // steps_per_epoch + 1
    rate = job.optimizer.learning_rate
    if job.optimizer.schedule is None and rate > _HIGHEST_USUAL_RATE:
        remedy = (
            f"rates from 0.0001 to 1 are usual, such as optimizer.learning_rate: 0.01 instead of {rate:g}"
        )
    elif job.optimizer.schedule is None:
        remedy = f"try a tenth of it, optimizer.learning_rate: {rate / 10:g} instead of {rate:g}"
    else:
        remedy = "lower optimizer.learning_rate or the rates of its schedule"
    if job.loss.reduction != "mean":
        remedy += (
            ", or loss.reduction: mean; a sum's gradient grows with every sample of the batch, "
            "which acts like a higher learning rate"
        )
    return TrainingError(
        "diverged",
        f"The {what} in epoch {epoch} (update {step}). Most often the learning rate is too high, so that "
        f"each update overshoots by more than the last: {remedy}",
        epoch=epoch,
        step=step,
    )
