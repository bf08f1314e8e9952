"""TensorFlow with Keras: devices, versions, flags and exceptions. Imports TensorFlow in `start` alone."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from likewise.shared.job import Job, Optimizer
from likewise.shared.job.experiment import Precision
from likewise.shared.job.optimizer import structure
from likewise.shared.names import DeviceKind
from likewise.shared.program import ProgramSpec
from likewise.shared.results.run_result import Reason
from likewise.worker.adapters.base import Description, FrameworkAdapter, Start, UnsupportedError
from likewise.worker.adapters.common import Programs, check_samples, check_weights, warm_up
from likewise.worker.adapters.constants import gathers
from likewise.worker.adapters.cuda import MEMORY_WORDS, driver_versions, no_gpu
from likewise.worker.adapters.tensorflow_adapter.importing import without_notices
from likewise.worker.adapters.tensorflow_adapter.pools import OWN_POOLS, Pools
from likewise.worker.adapters.trainer import Batch, EnsembleTrainer, Observer, StockTrainer, Trainer, Weights

_ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",  # a worker's stderr is for what a person must act on
    "TF_ENABLE_ONEDNN_OPTS": "1",  # as in every program that does not switch it off; TensorFlow reads it once
}
_INDEX_WORDS = ("is not in [0,", "does not index into")
_SHAPE_WORDS = ("shape", "dimension", "rank", "matrix size-incompatible", "incompatible with the layer")


class TensorFlowAdapter(FrameworkAdapter):
    """Trains in TensorFlow, through Keras's layers and its own loop."""

    name = "tensorflow"
    shared_from = 30_000_000

    def __init__(self) -> None:
        self._device = "/CPU:0"
        self._pools = Pools()
        self._device_name = "cpu"
        self._versions: dict[str, str] = {}
        self._flags: dict[str, str] = {}
        self._programs = Programs()

    def start(self, *, device: DeviceKind, threads: int) -> None:
        """Import TensorFlow, pick the device and pin what changes numbers."""
        os.environ.update(_ENVIRONMENT | OWN_POOLS)
        with without_notices():
            import tensorflow as tf

        if device == "mps":
            raise RuntimeError("TensorFlow trains on no GPU of Apple's here; give this worker the device cpu")
        gpus = tf.config.list_physical_devices("GPU")
        if device == "cuda":
            build = tf.sysconfig.get_build_info()
            if not gpus:
                raise RuntimeError(no_gpu("TensorFlow", made_for=build.get("cuda_version")))
            tf.config.set_visible_devices(gpus[0], "GPU")
            tf.config.experimental.set_memory_growth(gpus[0], True)
            # on the CPU the kernels used here are deterministic as they are, and 25 % quicker
            tf.config.experimental.enable_op_determinism()
            self._device = "/GPU:0"
            details = tf.config.experimental.get_device_details(gpus[0])
            self._device_name = details.get("device_name", "cuda")
            self._versions = {
                "cuda": build["cuda_version"],
                "cudnn": build["cudnn_version"],
                **driver_versions(),
            }
            self._flags = {"compute_capability": ".".join(map(str, details["compute_capability"]))}
        # it takes a worker's many jobs for one function traced too often, and what cannot be vectorised for
        # an error to be told twice; whatever matters comes as an exception
        tf.get_logger().setLevel("CRITICAL")
        tf.config.experimental.enable_tensor_float_32_execution(False)
        self._pools.start(threads, on_cpu=device != "cuda")
        warm_up(self)

    def shared_out(self, program: ProgramSpec, job: Job, *, samples: int) -> float:
        """Return those of a product: TensorFlow wakes its threads for each. XLA's threads gain nothing."""
        from likewise.worker.adapters.tensorflow_adapter.xla import XlaProgram, kind_of_program

        if kind_of_program(program, job, samples=samples) is XlaProgram and not program.convolved:
            return 0.0
        return program.multiply_adds_at_once

    def use_threads(self, threads: int) -> int:
        """Take the pool of this size; on a GPU there is one alone."""
        return self._pools.take(threads)

    def describe(self) -> Description:
        """Return the versions, the device and the flags."""
        import keras
        import tensorflow as tf

        on = {True: "on", False: "off"}
        return Description(
            framework_version=tf.__version__,
            versions={
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
                **self._versions,
            },
            device=self._device_name,
            flags={
                "determinism": "inherent" if self._device == "/CPU:0" else "on",
                "tf32": on[tf.config.experimental.tensor_float_32_execution_enabled()],
                "onednn": on[_ENVIRONMENT["TF_ENABLE_ONEDNN_OPTS"] == "1"],
                "graph_optimizer": "off",
                **self._flags,
            },
        )

    def default_weights(self, program: ProgramSpec, *, precision: Precision, seed: int) -> Weights:
        """Draw Keras's default initial weights."""
        from likewise.worker.adapters.tensorflow_adapter.model import default_weights

        return default_weights(program, precision=precision, seed=seed)

    def build(self, program: ProgramSpec, job: Job, *, weights: Weights, samples: Batch) -> Trainer:
        """Make a Trainer with everything on the device."""
        import tensorflow as tf

        from likewise.worker.adapters.tensorflow_adapter.training import TensorFlowTrainer
        from likewise.worker.adapters.tensorflow_adapter.xla import kind_of_program

        check_samples(program, samples)
        check_weights(program.weight_shapes, weights)
        with tf.device(self._device):
            compiled = self._program(
                kind_of_program(program, job, samples=len(samples.x)), program, job, samples
            )
        return TensorFlowTrainer(job, program=compiled, weights=weights, samples=samples, device=self._device)

    def _program(self, kind: Any, program: ProgramSpec, job: Job, samples: Batch) -> Any:
        """Return the program of this kind for samples like these, new or kept.

        It depends on what is in the key and on nothing else: jobs that differ in numbers, seeds, samples or
        epochs share one. A program belongs to the pool that it was made in.
        """
        import tensorflow as tf

        specs = tuple(tf.TensorSpec([None, *array.shape[1:]], array.dtype) for array in samples.arrays)
        training = (gathers(job.training), job.training.report_penalty)
        asked = (job.loss, structure(job.optimizer), training, job.precision, job.execution)
        key = (self._pools.threads, kind, program, asked, specs)
        return self._programs.get(key, lambda: kind(program, job, samples=specs))

    def build_ensemble(
        self,
        program: ProgramSpec,
        job: Job,
        *,
        optimizers: Sequence[Optimizer],
        weights: Weights,
        samples: Batch,
    ) -> EnsembleTrainer:
        """Make an EnsembleTrainer whose members go side by side under tf.vectorized_map."""
        import tensorflow as tf

        from likewise.worker.adapters.tensorflow_adapter.ensemble import (
            EnsembleProgram,
            TensorFlowEnsemble,
            obstacle,
        )

        if job.execution == "eager":
            raise UnsupportedError("many seeds at once are one compiled program, and execution is eager")
        members = len(optimizers)
        reason = obstacle(
            job,
            program,
            samples=len(samples.x),
            members=members,
            cpu=self._device == "/CPU:0",
        )
        if reason:
            raise UnsupportedError(reason)
        check_samples(program, samples)
        shapes = {name: (members, *shape) for name, shape in program.weight_shapes.items()}
        check_weights(shapes, weights)
        with tf.device(self._device):
            compiled = self._program(EnsembleProgram, program, job, samples)
            compiled.trace(job)
        return TensorFlowEnsemble(
            optimizers, program=compiled, weights=weights, samples=samples, device=self._device
        )

    def build_stock(
        self, names: dict[str, Any], program: ProgramSpec, job: Job, *, start: Start
    ) -> StockTrainer:
        """Make a StockTrainer of a functional model with `fit`."""
        import tensorflow as tf

        from likewise.worker.adapters.tensorflow_adapter.stock import KerasStock

        with tf.device(self._device):
            return KerasStock(names, program, job, start=start)

    def observer(self, program: ProgramSpec, job: Job) -> Observer:
        """Make an Observer on the device."""
        from likewise.worker.adapters.tensorflow_adapter.model import TensorFlowObserver

        return TensorFlowObserver(program, job, device=self._device)

    def reason_of(self, error: BaseException) -> Reason | None:
        """Return the typed reason of TensorFlow's, Keras's or Python's exception."""
        import tensorflow as tf

        message = str(error).lower()
        match error:
            case tf.errors.ResourceExhaustedError():
                return "out_of_memory"
            case tf.errors.OpError() if any(words in message for words in MEMORY_WORDS):
                return "out_of_memory"
            case tf.errors.UnimplementedError():
                return "unsupported"
            case tf.errors.InvalidArgumentError() if any(word in message for word in _INDEX_WORDS):
                return "bad_index"
            case ValueError() | tf.errors.InvalidArgumentError() if any(
                word in message for word in _SHAPE_WORDS
            ):
                return "bad_shape"
        return super().reason_of(error)

    def forget_programs(self) -> None:
        """Begin with no programs."""
        self._programs = Programs()

    def synchronize(self) -> None:
        """Wait until the GPU is done."""
        if self._device != "/CPU:0":
            import tensorflow as tf

            tf.test.experimental.sync_devices()

    def reset_device_peak(self) -> None:
        """Forget the GPU's memory peak."""
        if self._device != "/CPU:0":
            import tensorflow as tf

            tf.config.experimental.reset_memory_stats("GPU:0")

    def device_peak_bytes(self) -> int | None:
        """Return the GPU's memory peak since the reset."""
        if self._device == "/CPU:0":
            return None
        import tensorflow as tf

        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


ADAPTER = TensorFlowAdapter()
