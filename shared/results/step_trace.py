"""A traced replay: what is asked of it and what it tells.

A run with a `TraceRequest` trains its one seed again, as it was trained, and lays some of its updates open:
what went in, each layer's output, the loss, the gradients, the weights after. Of each tensor it keeps a
fingerprint: a few numbers, enough to tell that two frameworks' tensors differ and by about how much.

Stages are in the order of a step:

    data        the samples of the batch: `indices`, `x`, `y`, as they are after preparation
    forward     each layer's output in training mode, by layer path; before the first update (step 0) also
                the initial weights, by name, since the forward pass is the first that sees them
    loss        `loss`
    backward    the gradient of each trainable weight, by its name, before clipping and decay, from the
                last layer's to the first's, as the backward pass meets them
    update      each weight after the update, by its name; moving statistics are weights, too
    evaluation  what is taken in inference mode: `validation_loss` after an epoch; at the end `outputs`,
                `predictions` and the metrics, such as `test.accuracy`

Steps count updates from 1.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Many
from likewise.shared.store.arrays import ArrayRef

Stage = Literal["data", "forward", "loss", "backward", "update", "evaluation"]

PROJECTIONS = 4
"""Numbers of a fingerprint that are sums over the tensor with pseudo-random factors from [−1, 1)."""
LARGEST, SIZE = PROJECTIONS, PROJECTIONS + 1
"""Places in a fingerprint of the largest absolute value and of the number of elements."""
NUMBERS = PROJECTIONS + 2


class Refeed(Frozen):
    """One step of another framework, for a replay to compute again from the same weights and inputs."""

    weights: dict[str, ArrayRef]
    """Weights before the update, by name. The run keeps its own if one is missing or has another shape."""
    inputs: dict[str, Many[ArrayRef]]
    """The inputs (b, *shape) of each layer to compute again, by layer path."""


class TraceRequest(Frozen):
    """Which updates of a replay are observed, and what is kept of them. The run has one seed.

    The first update is always observed: it shows how large losses and gradients are at the beginning.
    """

    skip: int = Field(default=0, ge=0)
    """How many updates are trained normally before those that are observed."""
    steps: int = Field(ge=1)
    """The most updates that are observed after the skipped ones."""
    seconds: float = Field(gt=0)
    """No further update is observed after so many seconds."""
    keep_start: bool = False
    """Whether to return the run's own initial weights as arrays."""
    start: dict[str, ArrayRef] | None = None
    """Initial weights to train from instead of the run's own, such as another framework's."""
    zero_gradients: Many[str] = ()
    """The weights whose gradients updates take for zero, since they are nothing but rounding; what is
    observed of them is what they are."""
    keep: bool = False
    """Whether to return the tensors of the last observed update as arrays, too."""
    refeed: Refeed | None = None
    """What to compute again after the last observed update."""


class StepTensor(Frozen):
    """A tensor of a step. `step` is None where it is one of every step."""

    stage: Stage
    tensor: str
    step: int | None = None


class Trace(Frozen):
    """What a replay observed. Tensors too large to be worth a transfer are not kept."""

    steps: Many[int]
    """Which updates were observed, in order."""
    finished: bool
    """Whether the training ended with the last observed update."""
    ended_by: str | None = None
    """Why the training could not go on, such as a loss that is no number."""
    zero_gradients: Many[str] = ()
    """The weights whose gradients its updates took for zero."""
    given_start: bool = False
    """Whether it trained from the request's initial weights."""
    weight_names: Many[str]
    starts: ArrayRef
    """Fingerprints of its own initial weights and of those after the skip: float64 (2, weights, NUMBERS)."""
    places: Many[StepTensor]
    """The tensors of a step."""
    table: ArrayRef
    """Their fingerprints: float64 (steps, places, NUMBERS)."""
    learning_rates: Many[float]
    """The learning rate of each observed update."""
    evaluated: Many[StepTensor] = ()
    """The tensors that were computed in inference mode on the way."""
    evaluations: ArrayRef | None = None
    """Their fingerprints: float64 (evaluated, NUMBERS)."""
    start_weights: dict[str, ArrayRef] = Field(default_factory=dict)
    """The initial weights for `keep_start`, or those before the last observed update for `keep`, by name."""
    kept: dict[str, dict[str, ArrayRef]] = Field(default_factory=dict)
    """The tensors of the last observed update, by stage and name."""
    refed: dict[str, ArrayRef] = Field(default_factory=dict)
    """Layers' outputs for the inputs of `refeed`, by layer path."""
