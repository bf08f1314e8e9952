"""What an adapter builds: a Trainer, an EnsembleTrainer and an Observer, and what they are given.

Weight names and layouts are Keras's, as `shared.program` lists them: `<layer path>.kernel`,
`<layer path>.bias` and so on, with the path of the `Stage` as the layer path. Samples have their
channels last. An adapter converts where its framework differs. At exactly 0 the gradient of |x| in a
loss is 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from likewise.shared.job.training import Accumulation

Floats = NDArray[np.floating[Any]]
Weights = dict[str, Floats]
State = Mapping[str, NDArray[Any]]
"""A training's state between blocks, as a flat mapping of arrays: names joined by dots."""
Snapshot = Any
"""Where a training stands, in a form of its Trainer's own."""


@dataclass(frozen=True)
class Batch:
    """Samples with their targets: those of one update, or all that a run trains on."""

    x: NDArray[Any]
    """(n, *input_shape), in the run's precision or a narrower dtype, such as uint8. The program casts and
    rescales each batch: see `shared.program.Rescale`."""
    y: NDArray[Any]
    """What the loss compares the outputs with: (n, outputs) in the run's precision, or class numbers, int64
    (n,). `ProgramSpec.target` says which."""
    weights: Floats | None = None
    """How much each sample counts in the loss, (n,) in the run's precision; None where all count alike."""

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Return the arrays that there are: x and y, and the weights where samples have some."""
        return (self.x, self.y) if self.weights is None else (self.x, self.y, self.weights)

    def at(self, rows: NDArray[np.int64]) -> Batch:
        """Return the samples of these rows (b,), in their order."""
        return Batch(*(array[rows] for array in self.arrays))


@dataclass(frozen=True, kw_only=True)
class Block:
    """n consecutive updates on batches of one size b.

    `first_step` is the number of updates done before (0 at the start). `learning_rates` is float64 (n,).
    `masks` has, by the path of each dropout layer with a rate above 0, the factors to multiply by: 0 or
    1/(1 − rate), in the run's precision, (n, b, *layer input).
    """

    indices: NDArray[np.int64]
    """(n, b): which training samples each batch holds."""
    learning_rates: NDArray[np.float64]
    first_step: int
    masks: Mapping[str, Floats] = field(default_factory=dict)
    accumulation: Accumulation | None = None
    """How the batches' gradients make updates, where not each makes its own."""

    def part(self, begin: int, end: int) -> Block:
        """Return the updates from `begin` to before `end`, counted in this block."""
        return Block(
            indices=self.indices[begin:end],
            learning_rates=self.learning_rates[begin:end],
            first_step=self.first_step + begin,
            masks={path: mask[begin:end] for path, mask in self.masks.items()},
            accumulation=self.accumulation and self.accumulation.part(begin, end),
        )


@dataclass(frozen=True, kw_only=True)
class Marks:
    """Snapshots taken on the way through a block: one before it, then one after every `every` updates."""

    every: int
    at: Callable[[int], Snapshot]
    """Gives a snapshot by its number. Number 0 is before the block; the block's end has none."""


@dataclass(frozen=True, kw_only=True)
class EnsembleBlock:
    """n consecutive updates of every member, on batches of one size b; otherwise as `Block`.

    `learning_rates` is float64 (members, n), and `masks` are (members, n, b, *layer input).
    """

    indices: NDArray[np.int64]
    """(members, n, b), or (n, b) where all members see the same batches."""
    learning_rates: NDArray[np.float64]
    first_step: int
    masks: Mapping[str, Floats] = field(default_factory=dict)
    accumulation: Accumulation | None = None

    def indices_of(self, member: int) -> NDArray[np.int64]:
        """Return which training samples each batch of one member holds: (n, b)."""
        return self.indices if self.indices.ndim == 2 else self.indices[member]

    def of_member(self, member: int) -> Block:
        """Return the block of one member."""
        return Block(
            indices=self.indices_of(member),
            learning_rates=self.learning_rates[member],
            first_step=self.first_step,
            masks={path: mask[member] for path, mask in self.masks.items()},
            accumulation=self.accumulation,
        )


class Trainer(ABC):
    """One job with its weights, data and optimizer state on the device.

    Training is in training mode, `outputs` in inference mode: batch_norm uses and moves its statistics
    accordingly. The optimizer, its clipping and its decay see the trainable weights alone.

    Blocks must be handed over in order. The numbers must not depend on how steps are cut into blocks.
    Not thread-safe.
    """

    execution: str
    """What `execution` became, in words, such as `compiled (tf.function)` or `eager`."""
    compiles: bool
    """Whether the first call with a new batch size compiles a program."""

    @abstractmethod
    def train(self, block: Block) -> NDArray[np.float64]:
        """Run the block's updates; return each batch's loss before its update, float64 (n,).

        Returns when the device has finished. A loss may be NaN or infinite; the runner judges it.
        """

    @abstractmethod
    def outputs(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return the outputs in inference mode: x (m, *features) → (m, outputs), in the run's precision.

        With masks, one (m, *layer input) for each dropout layer if there are any, they are those in training
        mode; the moving statistics stay as they are.

        `x` is in the run's precision already, and not rescaled yet.
        """

    def penalty(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return what the layers' outputs for x add to its loss as one batch, where some are penalized.

        Those are two numbers (2,): the samples' means, and their sums (see `shared.job.regularizers`).
        `x` and `masks` are as in `outputs`.
        """
        raise NotImplementedError("this framework's adapter penalizes no layer's output")

    @abstractmethod
    def weights(self) -> Weights:
        """Return a copy of the current weights in canonical names and layouts."""

    @abstractmethod
    def load_weights(self, weights: Weights) -> None:
        """Replace the weights (all of them); the optimizer's state stays."""

    @abstractmethod
    def state(self) -> State:
        """Return a copy of what training has changed: weights, moving statistics, the optimizer's state.

        Names and layouts are the adapter's own. Another Trainer of the same job, data and adapter that loads
        this state trains the next block to the same bits.
        """

    @abstractmethod
    def load_state(self, state: State) -> None:
        """Go on from what `state` gave, as if nothing else had been trained."""

    def swap_average(self) -> None:
        """Exchange the trained weights and their moving average, which a job with `use_ema` has.

        A second exchange puts both back.
        """
        raise NotImplementedError("this framework's adapter keeps no moving average of the weights")

    def snapshot(self) -> Snapshot:
        """Return the state for this Trainer alone to restore, so that it may stay on the device."""
        return self.state()

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from what `snapshot` gave. The same snapshot may be restored many times."""
        self.load_state(snapshot)

    def train_marked(self, block: Block, *, every: int) -> tuple[NDArray[np.float64], Marks]:
        """Train the block as `train` does, with snapshots about every `every` updates.

        The Marks that come back say how many updates there are between two snapshots: `every`, or more where
        that suits the program.
        """
        snapshots, losses = [], []
        for begin in range(0, len(block.indices), every):
            snapshots.append(self.snapshot())
            losses.append(self.train(block.part(begin, begin + every)))
        return np.concatenate(losses), Marks(every=every, at=snapshots.__getitem__)


@dataclass(frozen=True, kw_only=True)
class Watch:
    """What a program that trains itself is given, and tells, on its way."""

    after_epoch: Callable[[float], None]
    """Takes the loss of an epoch that is over, as the program says it. What it raises ends the training."""
    compiled: Callable[[], None]
    """Takes that the first update is over, with which a program that compiles has compiled."""
    order: Callable[[int], NDArray[np.int64]] | None
    """Gives the order of the samples in an epoch, counted from 0, where the program shuffles them; with None
    the framework draws it, and its dropout masks, too."""
    masks: Callable[[str, int], Floats]
    """Gives a dropout's mask in an update, counted from 0, by the path of its layer: (b, *layer input)."""


class StockTrainer(Trainer):
    """The plain program of a job, which trains itself from its first epoch to its last.

    It has no blocks, and no state to go on from: a training that was interrupted begins again.
    """

    compiles = False

    @abstractmethod
    def train_whole(self, watch: Watch) -> None:
        """Run the program's own training."""

    def train(self, block: Block) -> NDArray[np.float64]:
        """Raise NotImplementedError: such a program has no blocks."""
        raise NotImplementedError("a stock program trains as a whole")

    def load_weights(self, weights: Weights) -> None:
        """Raise NotImplementedError: it has the weights that it was made with."""
        raise NotImplementedError("a stock program makes its weights itself")

    def state(self) -> State:
        """Return nothing: there is no way into the midst of the program's loop."""
        return {}

    def load_state(self, state: State) -> None:
        """Begin at the start."""


class EnsembleTrainer(ABC):
    """Members that differ in weights, batches, masks and the optimizer's numbers, trained as one program.

    Each member's numbers are those of a `Trainer` with its optimizer, its weights and its share of the
    blocks, up to rounding (in float64 1e-12 of the largest). Members never affect each other: one whose
    numbers become NaN or infinite keeps training with them, and nothing is raised. All else is as in
    `Trainer`.
    """

    members: int
    execution: str
    """What it is for a `Trainer`, such as `vectorised (torch.func)`; it begins with `vectorised`."""
    compiles: bool

    @abstractmethod
    def train(self, block: EnsembleBlock) -> NDArray[np.float64]:
        """Run the block's updates; return each batch's loss before its update, float64 (members, n)."""

    def swap_average(self) -> None:
        """Exchange every member's weights and their moving average (see `Trainer.swap_average`)."""
        raise NotImplementedError("this framework's adapter keeps no moving average of the weights")

    def penalty(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return what the layers' outputs add to each member's loss (see `Trainer.penalty`): (members, 2)."""
        raise NotImplementedError("this framework's adapter penalizes no layer's output")

    @abstractmethod
    def outputs(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return every member's outputs for the same samples x (m, *features), in inference mode.

        With masks, each (members, m, *layer input), in training mode (see `Trainer.outputs`).

        Returns (members, m, outputs).
        """

    @abstractmethod
    def weights(self) -> Weights:
        """Return a copy of the current weights in canonical names and layouts, each (members, *shape)."""

    @abstractmethod
    def state(self) -> State:
        """Return a copy of what training has changed in all members, as `Trainer.state` does."""

    @abstractmethod
    def load_state(self, state: State) -> None:
        """Go on from what `state` of an ensemble of the same members gave."""


class EnsembleOfOne:
    """It gives a Trainer a members axis of length 1, and is otherwise as an `EnsembleTrainer`."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self.load_state = trainer.load_state
        self.state = trainer.state
        self.swap_average = trainer.swap_average

    @property
    def execution(self) -> str:
        """Return how the Trainer executes."""
        return self._trainer.execution

    @property
    def compiles(self) -> bool:
        """Return whether the Trainer compiles."""
        return self._trainer.compiles

    def train(self, block: EnsembleBlock) -> NDArray[np.float64]:
        """Run the block's updates; return the losses (1, n)."""
        return self._trainer.train(block.of_member(0))[None]

    def outputs(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return the outputs (1, m, outputs); masks are (1, m, *layer input)."""
        own = _first(masks)
        outputs: Floats = (self._trainer.outputs(x) if own is None else self._trainer.outputs(x, own))[None]
        return outputs

    def penalty(self, x: Floats, masks: Mapping[str, Floats] | None = None) -> Floats:
        """Return what the layers' outputs add to the loss of x: (1, 2)."""
        added: Floats = self._trainer.penalty(x, _first(masks))[None]
        return added

    def weights(self) -> Weights:
        """Return a copy of the weights, each (1, *shape)."""
        return {name: array[None] for name, array in self._trainer.weights().items()}


def _first(masks: Mapping[str, Floats] | None) -> dict[str, Floats] | None:
    """Return the only member's masks."""
    return None if masks is None else {path: mask[0] for path, mask in masks.items()}


@dataclass(frozen=True, kw_only=True)
class Observed:
    """All that an update computes before it changes a weight, in canonical names and layouts."""

    layers: dict[str, Floats]
    """Each layer's output in training mode, by layer path: (b, *shape)."""
    loss: float
    gradients: Weights
    """These are the gradients of the trainable weights, before clipping and decay."""
    terms: Mapping[str, float] = field(default_factory=dict)
    """Each output's part of the loss, times its weight, by name."""


class Observer(ABC):
    """Shows one training step from the inside: what `Trainer.train` computes, one layer at a time.

    Nothing is compiled, nothing is kept from call to call, and no weight changes. `weights` are all of the
    program's, as `Trainer.weights` gives them; a batch comes with its dropout masks by stage path, each
    (b, *stage input).
    """

    @abstractmethod
    def observe(self, weights: Weights, batch: Batch, *, masks: Mapping[str, Floats]) -> Observed:
        """Compute outputs, loss and gradients of one step; the loss has the bits of an eager Trainer's."""

    @abstractmethod
    def refed(
        self,
        weights: Weights,
        inputs: Mapping[str, Sequence[Floats]],
        *,
        masks: Mapping[str, Floats],
    ) -> dict[str, Floats]:
        """Compute single layers again, each from inputs that are given to it.

        `inputs` has, by layer path, the arrays (b, *shape) of the layer's inputs. Returns the outputs of
        those layers in training mode, by layer path.
        """
