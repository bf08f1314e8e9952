"""The traced replay of one seed: trains it again and lays updates open (see `shared.results.step_trace`).

An update is observed before it is trained: the adapter's Observer computes it from the current weights, then
the trainer does the update by the same code as in every training. So nothing here is part of a normal
training.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.draws import DrawPurpose, Draws
from likewise.shared.results.seed_table import Load
from likewise.shared.results.step_trace import (
    NUMBERS,
    PROJECTIONS,
    Refeed,
    Stage,
    StepTensor,
    Trace,
    TraceRequest,
)
from likewise.shared.store.arrays import ArrayRef
from likewise.worker.adapters.base import FrameworkAdapter
from likewise.worker.adapters.trainer import Batch, Block, Observed, Observer, Weights
from likewise.worker.training.failures import typed
from likewise.worker.training.samples import loading
from likewise.worker.training.training import OngoingTraining

MOST_KEPT_BYTES = 2**24
"""Larger tensors are not returned whole: they would not show better where two frameworks part."""

Tensors = dict[Stage, dict[str, NDArray[Any]]]


class Tracer:
    """Replays once. `tick` is called between steps; what it raises ends the replay."""

    def __init__(
        self,
        request: TraceRequest,
        training: OngoingTraining,
        *,
        adapter: FrameworkAdapter,
        load: Load,
        store: Callable[[NDArray[Any]], ArrayRef],
        tick: Callable[[], None],
    ) -> None:
        self._request = request
        self._training, self._adapter = training, adapter
        self._trainer = training.alone()
        self._job, self._data = training.job, training.data
        self._load, self._store, self._tick = load, store, tick
        self._take = Fingerprinter().take
        self._steps: list[int] = []
        self._rows: list[NDArray[np.float64]] = []
        self._rates: list[float] = []
        self._places: tuple[StepTensor, ...] = ()
        self._evaluated: list[tuple[StepTensor, NDArray[Any]]] = []
        # the last observed update: the weights before it, the update itself, and what it computed
        self._before: Weights = {}
        self._block: Block | None = None
        self._tensors: Tensors = {}

    def run(self) -> Trace:
        """Replay. Raises TrainingError for whatever but a divergence, which ends the trace."""
        training, request = self._training, self._request
        with typed(self._adapter):
            observer = self._adapter.observer(training.program, training.job)
        start = self._trainer.weights()
        if request.start is not None:
            with loading("the initial weights of the replay"):
                given = {name: self._load(ref) for name, ref in request.start.items()}
            with typed(self._adapter):
                self._trainer.load_weights(
                    {name: array.astype(self._job.precision) for name, array in given.items()}
                )
        if request.skip:
            self._lay_open(observer)
            self._skip()
        resumed = self._trainer.weights()
        begin = time.perf_counter()
        while self._goes_on(begin):
            self._tick()
            self._lay_open(observer)
        refed = {}
        if request.refeed is not None and self._block is not None:
            with loading("the tensors that layers are fed with again"):
                weights, inputs = self._shared_step(request.refeed, self._before)
            with typed(self._adapter):
                refed = observer.refed(weights, inputs, masks=self._batch(self._block)[1])
        return self._trace(start, resumed, refed)

    def _skip(self) -> None:
        """Train normally, up to the first update that is asked for."""
        training = self._training
        while training.step < self._request.skip and not training.finished:
            self._tick()
            with typed(self._adapter):
                training.advance(most=self._request.skip - training.step)

    def _lay_open(self, observer: Observer) -> None:
        """Observe the next update, then train it."""
        training = self._training
        self._before = self._trainer.weights()
        self._block = block = training.next_update()
        with typed(self._adapter):
            batch, masks = self._batch(block)
            seen = observer.observe(self._before, batch, masks=masks)
            received = training.program.rescale.apply(batch.x, self._job.precision)
            self._tensors = _tensors(block, dataclasses.replace(batch, x=received), seen)
            training.advance(most=1)
            self._tensors["update"] = dict(self._trainer.weights())
            if not training.failures:  # after the weights were read: the end may put the best ones back
                self._evaluate()
        tensors = self._tensors
        self._places = tuple(
            StepTensor(stage=stage, tensor=name) for stage, named in tensors.items() for name in named
        )
        self._rows.append(np.stack([self._take(one) for named in tensors.values() for one in named.values()]))
        self._steps.append(block.first_step + 1)
        self._rates.append(float(block.learning_rates[0]))

    def _goes_on(self, begin: float) -> bool:
        request = self._request
        asked = sum(step > request.skip for step in self._steps)
        return (
            not self._training.finished
            and asked < request.steps
            and (not asked or time.perf_counter() - begin < request.seconds)
        )

    def _batch(self, block: Block) -> tuple[Batch, dict[str, NDArray[Any]]]:
        """Return the samples and masks of a block's only step."""
        batch = self._data.train.at(block.indices[0])
        return batch, {path: mask[0] for path, mask in block.masks.items()}

    def _evaluate(self) -> None:
        """Measure after the update: a validation loss, and after the last one all metrics and outputs."""
        training = self._training
        found: dict[str, Any] = {}
        if training.validation_losses() and training.step % training.plan.steps_per_epoch == 0:
            found["validation_loss"] = training.validation_losses()[-1]
        if training.finished:
            (trained,) = training.conclude()
            if trained.outputs is not None:
                found["outputs"] = trained.outputs
                found |= {} if trained.predictions is None else {"predictions": trained.predictions}
                found |= {
                    f"{part}.{name}": value
                    for part, metrics in trained.metrics.items()
                    for name, value in metrics.items()
                    if value is not None
                }
        step = training.step
        self._evaluated += [
            (StepTensor(stage="evaluation", tensor=name, step=step), np.asarray(value))
            for name, value in found.items()
        ]

    def _shared_step(
        self, refeed: Refeed, own: Weights
    ) -> tuple[Weights, dict[str, list[NDArray[np.floating[Any]]]]]:
        """Return the other side's weights and layer inputs, in this run's precision."""
        precision = self._job.precision
        given = {name: self._load(ref) for name, ref in refeed.weights.items()}
        fitting = {
            name: array.astype(precision)
            for name, array in given.items()
            if name in own and own[name].shape == array.shape
        }
        inputs = {
            path: [self._load(ref).astype(precision) for ref in refs] for path, refs in refeed.inputs.items()
        }
        return {**own, **fitting}, inputs

    def _trace(self, start: Weights, resumed: Weights, refed: Weights) -> Trace:
        request, tensors = self._request, self._tensors
        last = [(place, array) for place, array in self._evaluated if place.step == self._training.step]
        if last:
            tensors = {**tensors, "evaluation": {place.tensor: array for place, array in last}}
        weights = self._before if request.keep else start if request.keep_start else {}
        starts = [_stacked([self._take(array) for array in one.values()]) for one in (start, resumed)]
        training = self._training
        diverged = training.failures.get(0)
        return Trace(
            steps=tuple(self._steps),
            finished=training.stopped_early or training.step == training.plan.steps,
            ended_by=str(diverged) if diverged else None,
            zero_gradients=request.zero_gradients,
            given_start=request.start is not None,
            weight_names=tuple(start),
            starts=self._store(np.stack(starts)),
            places=self._places,
            table=self._store(np.stack(self._rows) if self._rows else np.zeros((0, 0, 0))),
            learning_rates=tuple(self._rates),
            evaluated=tuple(place for place, _ in self._evaluated),
            evaluations=self._store(_stacked([self._take(array) for _, array in self._evaluated])),
            start_weights=self._kept(weights),
            kept={stage: self._kept(named) for stage, named in tensors.items()} if request.keep else {},
            refed=self._kept(refed),
        )

    def _kept(self, arrays: dict[str, NDArray[Any]]) -> dict[str, ArrayRef]:
        return {name: self._store(array) for name, array in arrays.items() if array.nbytes <= MOST_KEPT_BYTES}


def _tensors(block: Block, batch: Batch, seen: Observed) -> Tensors:
    """Return a step's tensors by stage, each stage in the order of its computing."""
    return {
        "data": {
            "indices": block.indices[0],
            "x": batch.x,
            "y": batch.y,
            # samples without weights count alike, which is what a framework with weights is held against
            "sample_weights": np.ones(len(batch.x)) if batch.weights is None else batch.weights,
        },
        "forward": dict(seen.layers),
        "loss": {**_terms(seen), "loss": np.array([seen.loss])},
        "backward": dict(reversed(seen.gradients.items())),
    }


def _terms(seen: Observed) -> dict[str, NDArray[Any]]:
    """Return each output's part of the loss; nothing of an only output's, which is all of it."""
    if len(seen.terms) < 2:
        return {}
    return {f"{name}.loss": np.array([term]) for name, term in seen.terms.items()}


def _stacked(rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.stack(rows) if rows else np.zeros((0, 0))


_PERIOD = 2**16
"""Elements with factors of their own; longer tensors take each stretch of them times a factor."""


class Fingerprinter:
    """Takes fingerprints; holds the factors (2 MB)."""

    def __init__(self) -> None:
        self._draws = Draws(0, DrawPurpose.FINGERPRINT)
        self._factors = self._signed(_PERIOD, item=0)

    def take(self, array: NDArray[Any] | float) -> NDArray[np.float64]:
        """Return the fingerprint; NaN and infinities give numbers that are not finite."""
        flat = np.asarray(array, dtype=np.float64).reshape(-1)
        found = np.zeros(NUMBERS)
        with np.errstate(all="ignore"):
            if flat.size <= _PERIOD:
                found[:PROJECTIONS] = self._factors[:, : flat.size] @ flat
            else:
                stretches = -(-flat.size // _PERIOD)
                padded = np.zeros(stretches * _PERIOD)
                padded[: flat.size] = flat
                sums = self._factors @ padded.reshape(stretches, _PERIOD).T
                found[:PROJECTIONS] = (sums * self._signed(stretches, item=1)).sum(axis=1)
            largest = np.max(np.abs(flat), initial=0.0)
        found[PROJECTIONS:] = (largest, flat.size)
        return found

    def _signed(self, count: int, *, item: int) -> NDArray[np.float64]:
        """Draw factors (PROJECTIONS, count) from [−1, 1)."""
        rows = [self._draws.uniforms(count, index=index, item=item) for index in range(PROJECTIONS)]
        return 2.0 * np.stack(rows) - 1.0
