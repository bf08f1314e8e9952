"""One seed's training: cuts it into blocks, hands them to a trainer and judges what comes back.

Knows nothing of queues, blobs or progress; `worker.runner` calls `advance` until `finished`, then
`conclude`. Every number depends on the job, the data and the seed alone, never on how steps fell
into blocks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shared.arrays import hash_arrays
from shared.losses import loss_value
from shared.result import Hashes
from shared.shapes import layer_shapes
from shared.spec import Job
from shared.spec.metrics import fitting_metrics
from shared.spec.schedule import ReduceOnPlateauSchedule
from worker.adapters.base import Block, Floats, FrameworkAdapter, Weights
from worker.batches import BatchHash, Plan, SampleOrder
from worker.divergence import diverged
from worker.early_stopping import Patience
from worker.epoch_losses import EpochLosses
from worker.failures import TrainingError
from worker.initial_weights import check_weights, draw_weights
from worker.masks import MaskSource, bytes_per_sample, dropout_layers, mask_keys
from worker.metrics import compute_metrics
from worker.pacing import Cut, Pace, cut
from worker.samples import Part, RunData
from worker.schedules import learning_rates
from worker.stopwatch import Stopwatch

_INT64_BYTES = 8
_ROWS_AT_ONCE = 4_096
"""Outputs of larger sets are taken in chunks, so that memory stays bounded."""

OutputsOf = Literal["train", "validation", "test"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a finished training leaves."""

    metrics: dict[str, dict[str, float | None]]
    outputs: Floats
    outputs_of: OutputsOf
    predictions: Floats | None
    weights: Weights


class SeedTraining:
    """A trainer with its data, from the first step to the last."""

    def __init__(self, job: Job, *, data: RunData, adapter: FrameworkAdapter, seed: int) -> None:
        self._job = job
        self._data = data
        self.plan = Plan.of(job.training, len(data.train.x))
        self.stopwatch = Stopwatch()
        with self.stopwatch.measure("build_s"):
            weights = _initial_weights(job, data=data, adapter=adapter, seed=seed)
            self._initial_hash = hash_arrays(weights)
            self._trainer = adapter.build(
                job, input_shape=data.input_shape, weights=weights, x=data.train.x, y=data.train.y
            )
        self.execution = self._trainer.execution

        dropouts = dropout_layers(job.model, layer_shapes(job.model, data.input_shape))
        self._order = SampleOrder(self.plan, shuffle=job.training.shuffle, seed=seed)
        self._masks = MaskSource(dropouts, seed=seed, precision=job.precision)
        self._batch_hash = BatchHash(self.plan, mask_keys=mask_keys(dropouts, seed))
        sample_bytes = _INT64_BYTES + bytes_per_sample(dropouts, job.precision)
        self._pace = Pace(bytes_per_step=self.plan.largest_batch * sample_bytes)
        self._compiled_sizes: set[int] = set()

        self._step = 0
        self._epoch_losses = EpochLosses(self.plan, job.loss.reduction)
        self.validation_losses: list[float] = []
        rule = job.training.early_stopping
        self._patience = Patience(rule) if rule else None
        schedule = job.optimizer.schedule
        self._reducing = schedule if isinstance(schedule, ReduceOnPlateauSchedule) else None
        self._plateau = Patience(self._reducing) if self._reducing else None
        self._plateaus = 0
        self._best: Weights | None = None
        self.stopped_early = False

    @property
    def losses(self) -> list[float]:
        """One number a finished epoch."""
        return self._epoch_losses.finished

    @property
    def epochs_done(self) -> int:
        """Finished epochs."""
        return self._step // self.plan.steps_per_epoch

    @property
    def samples_done(self) -> int:
        """Samples trained on, each counted once an epoch."""
        within = self._step % self.plan.steps_per_epoch
        return self.epochs_done * self.plan.samples_per_epoch + within * self.plan.batch_size

    @property
    def finished(self) -> bool:
        """Whether all steps are done or patience has run out."""
        return self.stopped_early or self._step == self.plan.steps

    @property
    def hashes(self) -> Hashes:
        """Of the initial weights, and of the batches so far."""
        return Hashes(initial_weights=self._initial_hash, batches=self._batch_hash.hexdigest())

    def advance(self) -> None:
        """Train one block. Raises TrainingError (`diverged`), or whatever the framework raises."""
        begin = time.perf_counter()
        part = cut(self.plan, self._step, wanted=self._pace.wanted, stop_at_epochs=self._looks_at_each_epoch)
        block = self._block(part)
        compiles = self._trainer.compiles and part.batch_size not in self._compiled_sizes
        with self.stopwatch.measure("compile_s" if compiles else "train_s"):
            losses = self._trainer.train(block)
        self._compiled_sizes.add(part.batch_size)
        self._take(losses, block)
        if part.batch_size == self.plan.largest_batch and not compiles:
            self._pace.learn(part.steps, time.perf_counter() - begin)
        if self._looks_at_each_epoch and self._step % self.plan.steps_per_epoch == 0:
            self._end_epoch()

    def conclude(self) -> Outcome:
        """Metrics, outputs, predictions and weights of the finished training.

        Raises TrainingError (`diverged`) where an output or a weight is not finite.
        """
        if self._best is not None:
            self._trainer.load_weights(self._best)
        with self.stopwatch.measure("predict_s"):
            outputs = {name: self._outputs(part.x) for name, part in self._data.parts.items()}
            predictions = None if self._data.predict is None else self._outputs(self._data.predict)
        weights = self._trainer.weights()
        self._check_finite("weight", weights)
        self._check_finite("output on", {**outputs, "predict": predictions})
        names = self._job.metrics if self._job.metrics is not None else fitting_metrics(self._job.loss)
        metrics = {
            name: compute_metrics(names, loss=self._job.loss, outputs=outputs[name], targets=part.y)
            for name, part in self._data.parts.items()
        }
        outputs_of = _outputs_of(self._data.parts)
        return Outcome(
            metrics=metrics,
            outputs=outputs[outputs_of],
            outputs_of=outputs_of,
            predictions=predictions,
            weights=weights,
        )

    @property
    def _looks_at_each_epoch(self) -> bool:
        watches = self._patience is not None or self._plateau is not None
        return watches or "validation" in self._data.parts

    def _block(self, part: Cut) -> Block:
        return Block(
            indices=self._order.indices(part.first_step, part.steps),
            learning_rates=learning_rates(
                self._job.optimizer,
                first_step=part.first_step,
                steps=part.steps,
                steps_per_epoch=self.plan.steps_per_epoch,
                plateaus=self._plateaus,
            ),
            first_step=part.first_step,
            masks=self._masks.block(first_step=part.first_step, steps=part.steps, batch_size=part.batch_size),
        )

    def _take(self, losses: NDArray[np.float64], block: Block) -> None:
        """Count the block's losses in, up to the first that is not finite."""
        finite = np.isfinite(losses)
        good = len(losses) if finite.all() else int(finite.argmin())
        self._batch_hash.add(block.indices[: good + 1])
        known = len(self.losses)
        self._epoch_losses.add(losses[:good], block.indices.shape[1])
        self._step += good
        for epoch, loss in enumerate(self.losses[known:], start=known + 1):
            if not np.isfinite(loss):
                raise self._diverged(
                    "sum of its batches' losses became infinite", step=epoch * self.plan.steps_per_epoch
                )
        if good < len(losses):
            raise self._diverged(f"loss became {_shown(losses[good])}", step=self._step + 1)

    def _end_epoch(self) -> None:
        """Validation loss, a lower rate after a plateau, and early stopping."""
        if "validation" in self._data.parts:
            self.validation_losses.append(self._validation_loss(self._data.parts["validation"]))
        if self._plateau is not None and self._reducing is not None:
            self._plateau.improved(self._watched(self._reducing.monitor))
            if self._plateau.exhausted:
                self._plateaus += 1
                self._plateau.begin_anew()
        rule = self._job.training.early_stopping
        if self._patience is None or rule is None:
            return
        if self._patience.improved(self._watched(rule.monitor)) and rule.restore_best_weights:
            self._best = self._trainer.weights()
        self.stopped_early = self._patience.exhausted and self._step < self.plan.steps

    def _watched(self, monitor: Literal["loss", "validation_loss"]) -> float:
        return (self.losses if monitor == "loss" else self.validation_losses)[-1]

    def _validation_loss(self, part: Part) -> float:
        with self.stopwatch.measure("predict_s"):
            outputs = self._outputs(part.x)
        value = loss_value(self._job.loss, outputs, part.y)
        if not np.isfinite(value):
            raise self._diverged(f"validation loss became {_shown(value)}", step=self._step)
        return value

    def _outputs(self, x: Floats) -> Floats:
        chunks = [
            self._trainer.outputs(x[begin : begin + _ROWS_AT_ONCE])
            for begin in range(0, max(len(x), 1), _ROWS_AT_ONCE)
        ]
        return np.concatenate(chunks)

    def _check_finite(self, what: str, arrays: dict[str, Floats] | dict[str, Floats | None]) -> None:
        for name, array in arrays.items():
            if array is not None and not np.isfinite(array).all():
                raise self._diverged(f"{what} {name} became NaN or infinite", step=self._step)

    def _diverged(self, what: str, *, step: int) -> TrainingError:
        return diverged(what, job=self._job, step=step, steps_per_epoch=self.plan.steps_per_epoch)


def _initial_weights(job: Job, *, data: RunData, adapter: FrameworkAdapter, seed: int) -> Weights:
    shape = data.input_shape
    match job.initial_weights.type:
        case "shared":
            return draw_weights(job.model, shape, seed=seed, precision=job.precision)
        case "framework":
            own = adapter.default_weights(job, input_shape=shape, seed=seed)
            return check_weights(own, job.model, shape, precision=job.precision)
        case "values" | "npz":
            return check_weights(data.given_weights, job.model, shape, precision=job.precision)


def _outputs_of(parts: dict[str, Part]) -> OutputsOf:
    """The part that tells most about the model: held out from training as far as there is any."""
    if "test" in parts:
        return "test"
    return "validation" if "validation" in parts else "train"


def _shown(value: float) -> str:
    return "NaN" if np.isnan(value) else "infinite"
