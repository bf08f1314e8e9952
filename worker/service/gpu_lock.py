"""One worker of a framework a GPU: which GPU this worker has, and how the framework comes to see it alone.

A worker takes a GPU before its framework is imported. It locks a file that is named by the GPU's UUID and
the framework, in a folder that all workers of the host share, and the kernel gives the lock back when the
worker ends, however it ends. Two frameworks may share a GPU, since a comparison on one GPU needs both; so a
timed run has the host's lease besides (`shared.ledger.host_lease`). GPUs are taken in their order, so that
the workers of two frameworks meet on the same ones.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from likewise.shared.errors import ServiceError, UsageError
from likewise.shared.gpus import PROGRAM, Gpu, gpus_here
from likewise.shared.names import kind_of
from likewise.shared.settings import Settings

PATIENCE_S = 60.0
"""How long a worker waits for a GPU: one that is replaced may take so long to hand its run back and end."""
LOOK_S = 0.5
VISIBLE = "CUDA_VISIBLE_DEVICES"
"""CUDA shows a process only the GPUs that this variable names. A cluster's scheduler may have set it."""


@dataclass(frozen=True, kw_only=True)
class HeldGpu:
    """A GPU that is this worker's for as long as `lock`, an open file, stays open."""

    gpu: Gpu
    lock: int

    def variables(self) -> dict[str, str]:
        """Return the environment variables by which a framework sees this GPU and no other."""
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", VISIBLE: self.gpu.uuid}

    def release(self) -> None:
        """Leave the GPU to another worker."""
        os.close(self.lock)


@contextmanager
def own_gpu(settings: Settings, framework: str, *, environ: MutableMapping[str, str]) -> Iterator[Gpu | None]:
    """Have a GPU to this worker for the block, and show it alone in `environ`, which a child inherits.

    None where the worker's device is no GPU of NVIDIA's. Raises as `take_gpu` does.
    """
    device = settings.worker_device
    if kind_of(device) != "cuda":
        yield None
        return
    folder = settings.cache_folder / "gpus"
    held = take_gpu(device, framework=framework, folder=folder, visible=environ.get(VISIBLE))
    environ.update(held.variables())
    try:
        yield held.gpu
    finally:
        held.release()


def take_gpu(
    device: str, *, framework: str, folder: Path, visible: str | None, patience_s: float = PATIENCE_S
) -> HeldGpu:
    """Take the first GPU that has no worker of this framework, or for `cuda:1` the one of that number.

    Args:
        device: `cuda`, or `cuda:` and a number.
        framework: The framework that is to train on it.
        folder: The folder of the locks, which the workers of this host share; made where it is missing.
        visible: What CUDA_VISIBLE_DEVICES says already, if anything: other GPUs are none of ours.
        patience_s: How long to wait for one that is taken, in seconds.

    Raises:
        UsageError: There is no GPU of that number here.
        ServiceError: There is none at all, all are taken, the driver fails, or the folder cannot be written.
    """
    wanted = _wanted(device, _visible_of(gpus_here(), visible))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ServiceError(f"{folder} cannot be made for the locks of GPUs: {error.strerror}") from None
    deadline = time.monotonic() + patience_s
    while True:
        for gpu in wanted:
            if (lock := _lock(folder / f"{gpu.uuid}.{framework}.lock")) is not None:
                return HeldGpu(gpu=gpu, lock=lock)
        if time.monotonic() > deadline:
            raise ServiceError(
                f"each GPU here has a worker of {framework} already ({_listed(wanted)}); start as many "
                "workers as there are GPUs"
            )
        time.sleep(LOOK_S)


def _wanted(device: str, gpus: Sequence[Gpu]) -> Sequence[Gpu]:
    if not gpus:
        raise ServiceError(
            f"LIKEWISE_DEVICE is {device}, and {PROGRAM} shows no GPU here: run this worker on a host with "
            "an NVIDIA GPU and its driver (a container needs `--gpus` and NVIDIA_DRIVER_CAPABILITIES=compute,"
            "utility), or give it the device cpu"
        )
    _, _, number = device.partition(":")
    if not number:
        return gpus
    chosen = [gpu for gpu in gpus if gpu.index == int(number)]
    if not chosen:
        raise UsageError(
            f"LIKEWISE_DEVICE is {device}, and there is no such GPU here; there is {_listed(gpus)}"
        )
    return chosen


def _visible_of(gpus: Sequence[Gpu], visible: str | None) -> list[Gpu]:
    """Return the GPUs that CUDA_VISIBLE_DEVICES names, by number or by UUID or its beginning."""
    if visible is None:
        return list(gpus)
    words = [word.strip() for word in visible.split(",") if word.strip()]
    return [gpu for gpu in gpus if any(word == str(gpu.index) or gpu.uuid.startswith(word) for word in words)]


def _listed(gpus: Sequence[Gpu]) -> str:
    return ", ".join(f"cuda:{gpu.index} {gpu.name}" for gpu in gpus)


def _lock(path: Path) -> int | None:
    """Lock a file until it is closed; None where another process has it. Raises ServiceError."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise ServiceError(f"{path} cannot be opened to lock a GPU: {error.strerror}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def devices_served(device: str, gpu: Gpu | None) -> tuple[str, ...]:
    """Return the devices that runs may ask this worker for: its kind, and its own GPU by number."""
    kind = kind_of(device)
    return (kind,) if gpu is None else (kind, f"{kind}:{gpu.index}")
