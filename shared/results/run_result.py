"""What a run returns: the numbers of its seeds as arrays, why it failed, what ran.

Missing is null, or NaN in an array, never 0; every duration is in seconds. Older versions listed each of few
seeds by itself. Such a seed becomes a piece of arrays with one row when it is read. Its arrays in the blob
store stay where they are: the bytes of an array of shape (n, m) are those of one of shape (1, n, m), and so
is their hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
from pydantic import Field, Strict, model_validator

from likewise.shared.frozen import Frozen
from likewise.shared.job.fields import Many
from likewise.shared.job.side import Framework, Label, OfSide
from likewise.shared.results.step_trace import Trace
from likewise.shared.store.arrays import AnyArray, ArrayRef, InlineArray

RESULT_SCHEMA_VERSION: Literal[1] = 1

Reason = Literal[
    "diverged",         # the loss, an output or a weight became NaN or infinite
    "out_of_memory",    # the host's or the device's memory ran out
    "bad_shape",        # arrays that do not fit together, as the framework says it
    "bad_index",        # an embedding got a number that is no row of its table
    "bad_weights",      # given initial weights that do not fit the model
    "unsupported",      # this framework, version or device cannot do what the job asks
    "too_large",        # more than the limits of its worker's settings allow
    "data_damaged",     # an array is gone from the blob store or is not what its hash says
    "data_unreachable", # an array lies where this worker cannot reach: its blob URL is missing or wrong
    "cancelled",        # by the user
    "hung",             # its training stood still, twice
    "program_refused",  # its program is not in the worker's folder, or is not what the run names
    "program_failed",   # its program raised an exception, or ended its process
    "time_limit",       # it took longer than limits.seconds or LIKEWISE_MAX_SECONDS
    "worker_lost",      # given up after too many workers died with it
    "invalid",          # the run could not be read (another schema version)
    "internal",         # a fault of Likewise; the message carries the exception's last line
]  # fmt: skip


class Failure(Frozen):
    """Why a training has no result; `seed`, `epoch` (from 1) and `step` (from 1) where it is known."""

    reason: Reason
    message: str
    seed: int | None = None
    epoch: int | None = None
    step: int | None = None


class Hashes(Frozen):
    """SHA-256 of what must be the same in every framework."""

    initial_weights: str
    batches: str
    """The hash of the sample indices of every batch trained on, in order, and of the dropout masks' keys."""


class Timings(Frozen):
    """Seconds by the worker's monotonic clock; the device is synchronised before each reading.

    Of a run that went on from a checkpoint: with what earlier attempts spent to come there.
    """

    queue_s: float | None = None
    """The time from submission to the first claim, by the server's clock."""
    build_s: float
    """Model, weights, data on the device."""
    compile_s: float
    """The first call of each compiled program, training included; 0 where nothing is compiled."""
    train_s: float
    """All training calls but the compiling ones."""
    predict_s: float
    """Outputs on the held-out samples and on the rows to predict."""


class Memory(Frozen):
    """The memory of a training, in bytes."""

    peak_bytes: int | None = None
    """Peak resident memory of the worker's process since this training began; of its whole life where
    `grown_bytes` is null."""
    grown_bytes: int | None = None
    """How far that peak rose above what the process held when this training began; null where the system
    cannot forget a peak."""
    device_peak_bytes: int | None = None
    """Peak memory of the accelerator since this training began; null on the CPU."""


class SeedArrays(Frozen):
    """What the seeds of a run came to, as arrays: axis 0 is the seed, in the order of `seeds`.

    One seed has the same form as 10,000. What a seed has not is NaN; so is everything of a seed that failed,
    but for the epochs that it finished. `shared.results.seed_table.SeedTable` reads them.
    """

    seeds: Annotated[Many[int], Field(min_length=1)]
    point: int = 0
    """Which of `Run.optimizers` they were trained with."""
    failures: Many[Failure] = ()
    """Why seeds failed, each naming its own."""
    epochs: AnyArray
    """Epochs trained, int64 (seeds,)."""
    losses: AnyArray
    """One number an epoch, float64 (seeds, epochs); NaN after a seed's last.

    It is the loss's reduction over all samples of the epoch, each batch evaluated before its own update
    (`mean`: batch losses weighted by batch size; a sum: their sum), or the plain mean of the batches' losses
    where `training.epoch_loss` is per_batch.
    """
    validation_losses: AnyArray | None = None
    stopped_early: AnyArray
    """1 where patience ran out, int64 (seeds,)."""
    metrics: dict[str, dict[str, AnyArray]] = Field(default_factory=dict)
    """The metrics by part (`train`, `validation`, `test`) and name: float64 (seeds,); NaN where undefined."""
    predictions: AnyArray | None = None
    """The model's outputs for the rows of `predict`: (seeds, n, outputs), in the run's precision."""
    outputs: AnyArray | None = None
    """The model's outputs on the part named by `outputs_of`: (seeds, n, outputs)."""
    outputs_of: Literal["train", "validation", "test"] | None = None
    weights: dict[str, AnyArray] = Field(default_factory=dict)
    """Trained weights by name, (seeds, *shape), in Keras's layouts, in the run's precision."""
    hashes: AnyArray
    """The SHA-256 of `Hashes`, initial weights then batches, as big-endian numbers: int64 (seeds, 2, 4);
    zeros where a training failed before it had any."""
    timings: AnyArray
    """Seconds by the fields of `Timings` in order, float64 (seeds, 5). Of seeds that were trained
    together each has an equal share."""
    memory: AnyArray | None = None
    """Bytes by the fields of `Memory` in order, float64 (seeds, 3). Seeds that were trained together share
    one peak. Null in older results that measured none."""

    @model_validator(mode="before")
    @classmethod
    def _had_one_peak(cls, value: Any) -> Any:
        """Read older documents, which say one peak for all of their seeds."""
        if not isinstance(value, dict) or not {"peak_bytes", "device_peak_bytes"} & value.keys():
            return value
        document = dict(value)
        peaks = [document.pop("peak_bytes", None), None, document.pop("device_peak_bytes", None)]
        if any(peak is not None for peak in peaks):
            rows = np.tile(np.array(peaks, np.float64), (len(document["seeds"]), 1))
            document["memory"] = InlineArray.of(rows).model_dump()
        return document

    @model_validator(mode="after")
    def _has_a_row_a_seed(self) -> Self:
        """Refuse arrays that are not of the shapes described here, before anybody works with them."""
        seeds, held = len(self.seeds), self.validation_losses
        shapes: tuple[tuple[str, AnyArray | None, tuple[int, ...] | None], ...] = (
            ("epochs", self.epochs, ()),
            ("stopped_early", self.stopped_early, ()),
            ("losses", self.losses, self.losses.shape[1:2] or (0,)),
            ("validation_losses", held, () if held is None else held.shape[1:2] or (0,)),
            ("hashes", self.hashes, (2, 4)),
            ("timings", self.timings, (len(Timings.model_fields),)),
            ("memory", self.memory, (len(Memory.model_fields),)),
            *((name, array, ()) for named in self.metrics.values() for name, array in named.items()),
            *((name, array, None) for name, array in self.weights.items()),
            ("predictions", self.predictions, None),
            ("outputs", self.outputs, None),
        )
        for name, array, rest in shapes:
            if array is None:
                continue
            if array.shape[:1] != (seeds,) or rest not in (None, array.shape[1:]):
                raise ValueError(f"{name} has the shape {array.shape}, and there are {seeds} seeds")
        return self

    @property
    def refs(self) -> list[ArrayRef]:
        """Return the references of the arrays that lie in the blob store."""
        arrays = [
            *(self.epochs, self.losses, self.validation_losses, self.stopped_early),
            *(self.predictions, self.outputs, self.hashes, self.timings, self.memory),
            *(array for named in self.metrics.values() for array in named.values()),
            *self.weights.values(),
        ]
        return [array for array in arrays if isinstance(array, ArrayRef)]


class Environment(Frozen):
    """What ran, recorded by the worker that ran it."""

    framework: Framework
    framework_version: str
    versions: dict[str, str]
    """The versions of the packages that matter: python, numpy, celery, keras …"""
    device: str
    """`cpu`, or the accelerator's name."""
    threads: int
    execution: str
    """What `execution: auto` became, such as `compiled (tf.function)`."""
    flags: dict[str, str]
    """Settings that change numbers: determinism, TF32, oneDNN."""
    platform: str
    host: str
    image: str | None = None
    """The container image, where the environment names it."""
    import_s: float | None = None
    """How long the framework took to import and warm up, once for all runs of the worker's process."""


class Conditions(Frozen):
    """What may have disturbed a timed run, from its first to its last second."""

    wall_s: float
    cpu_s: float
    """CPU time of the worker's process, all threads."""
    others_cpu_s: float | None = None
    """CPU time that all other processes of the machine took meanwhile, in ticks of about 10 ms, so that it
    may fall below 0; null where nobody counts."""
    stolen_s: float | None = None
    """CPU time that a hypervisor gave to other machines meanwhile."""
    load: float
    """The host's load average over the last minute, this run included."""
    cores: int
    """How many cores the process may use."""
    throttled_s: float | None = None
    """How long a container's CPU quota held its processes back; null where nobody counts."""
    interruptions: int
    """How often another process took the core away (involuntary context switches)."""
    governor: str | None = None
    """The CPUs' frequency governor; null where it cannot be read, or they have several."""


class IdentifiedRun(Protocol):
    """Whatever says which run it is about: a record, a claim, or the run."""

    @property
    def run_id(self) -> str:
        """Return the run's id."""

    @property
    def experiment_id(self) -> str:
        """Return the id of the run's experiment."""

    @property
    def framework(self) -> str:
        """Return the framework that the run is for."""

    @property
    def side(self) -> str:
        """Return the label of the run's side."""


class RunResult(OfSide):
    """The result of a run: the arrays of its seeds, or a failure of the whole run."""

    schema_version: Literal[1] = RESULT_SCHEMA_VERSION
    run_id: str
    experiment_id: str
    framework: Framework
    side: Label = ""
    """The label of its side."""
    status: Literal["succeeded", "failed"]
    """`failed` if any seed failed."""
    failure: Failure | None = None
    """The whole run's failure, or the first failed seed's."""
    arrays: Many[SeedArrays] = ()
    """The seeds that ended, in pieces; those that a failure of the run kept from ending are in none."""
    notes: Many[str] = ()
    """Sentences on how the seeds were trained, such as why one after another."""
    trace: Trace | None = None
    """What was observed, in a run with a trace request, which has no seeds."""
    environment: Environment | None = None
    conditions: Conditions | None = None
    """What may have disturbed a timed run; null of others."""
    worker: str | None = None
    attempt: int = 1
    target_scaling: Many[Many[float]] | None = None
    """The mean and the scale of each target that was standardised: outputs·scale + mean are in its units."""
    output_columns: dict[str, Annotated[tuple[int, int], Strict(False)]] = Field(default_factory=dict)
    """Where the numbers of each named output begin and end in rows of outputs; empty for an only output."""

    @classmethod
    def of_failure(
        cls, run: IdentifiedRun, failure: Failure, *, worker: str | None, attempt: int
    ) -> RunResult:
        """Return the result of a run that ended without one: all that is known of it is its failure."""
        return cls(
            run_id=run.run_id,
            experiment_id=run.experiment_id,
            framework=run.framework,
            side=run.side,
            status="failed",
            failure=failure,
            worker=worker,
            attempt=attempt,
        )

    @model_validator(mode="before")
    @classmethod
    def _listed_its_seeds(cls, value: Any) -> Any:
        """Read older documents, which list the results of few seeds one by one."""
        return _as_arrays(value) if isinstance(value, dict) and "seeds" in value else value


class StoredResult(Frozen):
    """A result as Celery's Redis backend stores it for a task that succeeded, in the same JSON."""

    status: Literal["SUCCESS"] = "SUCCESS"
    result: RunResult
    traceback: None = None
    children: Many[str] = ()
    date_done: str | None = None
    """When it was stored, in ISO 8601, UTC."""
    task_id: str | None = None
    """The id of the run."""


_Json = Mapping[str, Any]
_KNOWN = frozenset(
    {
        *("seed", "status", "failure", "epochs", "losses", "validation_losses", "final_loss"),
        *("stopped_early", "metrics", "predictions", "outputs", "outputs_of", "weights", "hashes"),
        *("timings", "peak_bytes", "grown_bytes", "device_peak_bytes"),
    }
)
_TIMINGS = ("queue_s", "build_s", "compile_s", "train_s", "predict_s")
_MEMORY = ("peak_bytes", "grown_bytes", "device_peak_bytes")
_NO_HASHES = {"initial_weights": "0" * 64, "batches": "0" * 64}


def _as_arrays(document: _Json) -> dict[str, Any]:
    """Return the document of a result with its listed seeds as pieces of arrays.

    Raises ValueError for a listed seed that no version can have written.
    """
    found = dict(document)
    try:
        pieces = [_piece(seed) for seed in found.pop("seeds")]
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"a listed seed cannot be read: {type(error).__name__}: {error}") from None
    found["arrays"] = [*pieces, *found.get("arrays", ())]
    return found


def _piece(seed: _Json) -> dict[str, Any]:
    """Return the `SeedArrays` document of one listed seed."""
    if odd := sorted(seed.keys() - _KNOWN):
        raise ValueError(f"a listed seed has the unknown field {odd[0]}")
    failure = seed.get("failure")
    hashes = seed.get("hashes") or _NO_HASHES
    digests = bytes.fromhex(hashes["initial_weights"] + hashes["batches"])
    timings = seed.get("timings") or {}
    validation = seed.get("validation_losses") or ()
    return {
        "seeds": [seed["seed"]],
        "failures": [] if failure is None else [{**failure, "seed": seed["seed"]}],
        "epochs": _inline(np.array([seed["epochs"]], np.int64)),
        "losses": _curve(seed.get("losses") or ()),
        "validation_losses": _curve(validation) if validation else None,
        "stopped_early": _inline(np.array([seed.get("stopped_early", False)], np.int64)),
        "metrics": {
            part: {name: _numbers([value]) for name, value in named.items()}
            for part, named in (seed.get("metrics") or {}).items()
        },
        "predictions": _one_row(seed.get("predictions")),
        "outputs": _one_row(seed.get("outputs")),
        "outputs_of": seed.get("outputs_of"),
        "weights": {name: _one_row(ref) for name, ref in (seed.get("weights") or {}).items()},
        "hashes": _inline(np.frombuffer(digests, ">i8").astype(np.int64).reshape(1, 2, 4)),
        "timings": _numbers([[timings.get(name) for name in _TIMINGS]]),
        "memory": _numbers([[seed.get(name) for name in _MEMORY]]),
    }


def _one_row(ref: _Json | None) -> dict[str, Any] | None:
    """Return the same array with an axis of one seed before its own."""
    return None if ref is None else {**ref, "shape": [1, *ref["shape"]]}


def _curve(losses: Sequence[float]) -> dict[str, Any]:
    return _inline(np.array([losses], np.float64).reshape(1, len(losses)))


def _numbers(values: Sequence[Any]) -> dict[str, Any]:
    """Return numbers of which some may be null, as float64."""
    return _inline(np.array(values, np.float64))


def _inline(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    return InlineArray.of(array).model_dump()
