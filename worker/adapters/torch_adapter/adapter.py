"""PyTorch: devices, versions, flags and exceptions. Imports torch in `start` alone."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from likewise.shared.job import Job, Optimizer
from likewise.shared.job.experiment import Precision
from likewise.shared.names import DeviceKind
from likewise.shared.program import ProgramSpec
from likewise.shared.results.run_result import Reason
from likewise.worker.adapters.base import Description, FrameworkAdapter, Start, UnsupportedError
from likewise.worker.adapters.common import Programs, warm_up
from likewise.worker.adapters.cuda import MEMORY_WORDS, driver_versions, no_gpu
from likewise.worker.adapters.trainer import Batch, EnsembleTrainer, Observer, StockTrainer, Trainer, Weights

_CUBLAS_WORKSPACE = ":4096:8"  # without a fixed workspace cuBLAS is not deterministic
_INDEX_WORDS = ("index out of range", "index out of bounds")
_SHAPE_WORDS = ("shape", "size", "dimension")
_COMPILER = ("torch._dynamo", "torch._inductor")
_MEMORY_WORDS = (*MEMORY_WORDS, "not enough memory", "can't allocate memory")


class TorchAdapter(FrameworkAdapter):
    """Trains in PyTorch: eagerly, by replaying a recorded update, or through torch.compile."""

    name = "torch"

    def __init__(self) -> None:
        self._device: DeviceKind = "cpu"
        self._driver: dict[str, str] = {}
        self._programs = Programs()

    def start(self, *, device: DeviceKind, threads: int) -> None:
        """Import PyTorch, pick the device and pin what changes numbers."""
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = _CUBLAS_WORKSPACE
        import torch

        if device == "cuda":
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of an old driver, which is told below with both versions
                found = torch.cuda.is_available()
            if not found:
                raise RuntimeError(no_gpu("PyTorch", made_for=torch.version.cuda))
            torch.cuda.init()
            self._driver = driver_versions()
        if device == "mps" and not torch.backends.mps.is_available():
            raise RuntimeError("PyTorch finds no GPU of Apple's here; give this worker the device cpu")
        self._device = device
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms loads the compiler: 1.4 s
        torch.utils.deterministic.fill_uninitialized_memory = False  # we read nothing we did not write
        torch.set_float32_matmul_precision("highest")
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = False
        torch.backends.nnpack.set_flags(False)
        warm_up(self)

    def use_threads(self, threads: int) -> int:
        """Set the number of OpenMP's threads."""
        import torch

        torch.set_num_threads(threads)
        return threads

    def describe(self) -> Description:
        """Return the versions, the device and the flags."""
        import torch

        on = {True: "on", False: "off"}
        versions = {
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        }
        if torch.version.cuda is not None:
            versions["cuda"] = torch.version.cuda
        flags = {
            "determinism": on[torch.are_deterministic_algorithms_enabled()],
            "tf32": on[torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32],
            "onednn": on[torch.backends.mkldnn.enabled],
            "nnpack": "off",
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }
        name: str = self._device
        if self._device == "cuda":
            name = torch.cuda.get_device_name(0)
            versions["cudnn"] = str(torch.backends.cudnn.version())
            versions |= self._driver
            flags["compute_capability"] = ".".join(map(str, torch.cuda.get_device_capability(0)))
        return Description(
            framework_version=torch.__version__,
            versions=versions,
            device=name,
            flags=flags,
        )

    def default_weights(self, program: ProgramSpec, *, precision: Precision, seed: int) -> Weights:
        """Draw torch.nn's default initial weights."""
        import torch

        from likewise.worker.adapters.torch_adapter.model import default_weights

        return default_weights(program, dtype=getattr(torch, precision), seed=seed)

    def build(self, program: ProgramSpec, job: Job, *, weights: Weights, samples: Batch) -> Trainer:
        """Make a Trainer with everything on the device."""
        import torch

        from likewise.worker.adapters.torch_adapter.execution import execution
        from likewise.worker.adapters.torch_adapter.model import Network
        from likewise.worker.adapters.torch_adapter.replay import ReplayedTrainer
        from likewise.worker.adapters.torch_adapter.training import TorchTrainer

        dtype = getattr(torch, job.precision)
        network = Network(program, dtype=dtype, device=self._device, initializers=False)
        network.load(weights)
        match execution(job, samples=len(samples.x), device=self._device):
            case "eager":
                return TorchTrainer(job, network=network, samples=samples)
            case "replayed":
                return ReplayedTrainer(job, network=network, samples=samples)
        from likewise.worker.adapters.torch_adapter.compiled import CompiledTrainer

        return CompiledTrainer(job, network=network, samples=samples, programs=self._programs)

    def build_ensemble(
        self,
        program: ProgramSpec,
        job: Job,
        *,
        optimizers: Sequence[Optimizer],
        weights: Weights,
        samples: Batch,
    ) -> EnsembleTrainer:
        """Make an EnsembleTrainer whose members go side by side under torch.vmap."""
        import torch

        from likewise.worker.adapters.torch_adapter.ensemble import TorchEnsemble, obstacle
        from likewise.worker.adapters.torch_adapter.model import Network

        reason = obstacle(
            job,
            program,
            samples=len(samples.x),
            members=len(optimizers),
            cpu=self._device == "cpu",
        )
        if reason:
            raise UnsupportedError(reason)
        network = Network(
            program,
            dtype=getattr(torch, job.precision),
            device=self._device,
            initializers=False,
        )
        return TorchEnsemble(job, optimizers, network=network, weights=weights, samples=samples)

    def build_stock(
        self, names: dict[str, Any], program: ProgramSpec, job: Job, *, start: Start
    ) -> StockTrainer:
        """Make a StockTrainer of a module with its loop."""
        from likewise.worker.adapters.torch_adapter.stock import TorchStock

        if self._device != "cpu":
            raise UnsupportedError(
                "a plain program of PyTorch says nothing of a GPU; with device: cpu it trains"
            )
        return TorchStock(names, program, job, start=start)

    def observer(self, program: ProgramSpec, job: Job) -> Observer:
        """Make an Observer on the device."""
        from likewise.worker.adapters.torch_adapter.model import TorchObserver

        return TorchObserver(program, job, device=self._device)

    def reason_of(self, error: BaseException) -> Reason | None:
        """Return the typed reason of PyTorch's or Python's exception."""
        import torch

        message = str(error).lower()
        if known := super().reason_of(error):
            return known
        if isinstance(error, torch.OutOfMemoryError) or any(words in message for words in _MEMORY_WORDS):
            return "out_of_memory"
        if type(error).__module__.startswith(_COMPILER):
            return "unsupported"
        if isinstance(error, RuntimeError | IndexError) and any(words in message for words in _INDEX_WORDS):
            return "bad_index"
        if isinstance(error, RuntimeError | ValueError | IndexError):
            return "bad_shape" if any(word in message for word in _SHAPE_WORDS) else None
        return None

    def forget_programs(self) -> None:
        """Drop the programs, and what torch.compile keeps of them in memory and on disk."""
        if self._programs:
            from likewise.worker.adapters.torch_adapter.execution import forget_compiled_code

            self._programs = Programs()
            forget_compiled_code()

    def check(self, job: Job) -> None:
        """Refuse what the device cannot do, too."""
        super().check(job)
        if self._device == "mps" and job.precision == "float64":
            raise UnsupportedError("Apple's GPUs have no float64; with device: cpu it trains")

    def synchronize(self) -> None:
        """Wait until the GPU is done."""
        if self._device != "cpu":
            import torch

            (torch.cuda if self._device == "cuda" else torch.mps).synchronize()

    def reset_device_peak(self) -> None:
        """Forget the GPU's memory peak; Apple's have no count of one."""
        if self._device == "cuda":
            import torch

            torch.cuda.reset_peak_memory_stats()

    def device_peak_bytes(self) -> int | None:
        """Return the GPU's memory peak since the reset."""
        if self._device != "cuda":
            return None
        import torch

        return int(torch.cuda.max_memory_allocated())


ADAPTER = TorchAdapter()
