"""The GPUs of this machine, as NVIDIA's driver lists them, and what that driver can run.

Nothing here loads a framework. A machine without the driver's program `nvidia-smi` has no GPU that counts.
"""

from __future__ import annotations

import csv
import ctypes
import subprocess
from contextlib import suppress

from likewise.shared.errors import ServiceError
from likewise.shared.frozen import Frozen

PROGRAM = "nvidia-smi"
ANSWER_S = 30.0
"""A driver that has just been loaded may take long to answer."""
_FIELDS = ("index", "uuid", "name", "driver_version", "compute_cap", "memory.total")
_LEAST_DRIVER = {11: 450, 12: 525, 13: 580}
"""The first driver that runs programs made for a major version of CUDA, by NVIDIA's table of compatibility
(https://docs.nvidia.com/deploy/cuda-compatibility)."""


class Gpu(Frozen):
    """One GPU, as its driver describes it."""

    index: int
    """The GPUs are counted in the order of the PCI bus; `cuda:1` has the number 1."""
    uuid: str
    """The name that no other GPU has, such as `GPU-8f6a…`."""
    name: str
    driver: str
    """The version of its driver, such as 580.95.05."""
    compute_capability: str
    """What its generation can do, such as 9.0."""
    memory_mb: int | None = None


def gpus_here() -> list[Gpu]:
    """Return the GPUs of this machine or container, by their numbers; none where there is no driver.

    Raises ServiceError where the driver's program fails, with what it says.
    """
    command = [PROGRAM, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=False)  # noqa: S603
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    except subprocess.TimeoutExpired:
        raise ServiceError(
            f"{PROGRAM} does not answer; the GPU's driver hangs, see the kernel's log"
        ) from None
    if asked.returncode:
        said = (asked.stdout + asked.stderr).strip().splitlines()
        raise ServiceError(f"{PROGRAM} fails: {said[0] if said else f'status {asked.returncode}'}")
    found = [_gpu([field.strip() for field in row]) for row in csv.reader(asked.stdout.splitlines()) if row]
    return sorted(found, key=lambda gpu: gpu.index)


def _gpu(row: list[str]) -> Gpu:
    try:
        index, uuid, name, driver, capability, memory = row
        return Gpu(
            index=int(index),
            uuid=uuid,
            name=name,
            driver=driver,
            compute_capability=capability,
            memory_mb=int(memory) if memory.isdigit() else None,
        )
    except ValueError:
        raise ServiceError(f"{PROGRAM} describes a GPU as {', '.join(row)!r}, which cannot be read") from None


def cuda_of_driver() -> str | None:
    """Return the newest CUDA that the driver here runs, such as 12.4; None where there is no driver."""
    version = ctypes.c_int()
    with suppress(OSError, AttributeError):
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version)) == 0 and version.value:
            return f"{version.value // 1000}.{version.value % 1000 // 10}"
    return None


def too_old(gpu: Gpu, *, needs: str | None, has: str | None) -> str | None:
    """Return how a driver is too old, with both versions; None where it will do.

    Args:
        gpu: The GPU of the driver.
        needs: The CUDA that a framework's package was made for, such as 13.0; None where nobody knows.
        has: The newest CUDA that the driver runs, such as 12.4; None where nobody knows.

    A driver runs what was made for any minor version of the major version that it knows.
    """
    if needs is None or has is None:
        return None
    wanted, known = (int(version.partition(".")[0]) for version in (needs, has))
    if known >= wanted:
        return None
    least = _LEAST_DRIVER.get(wanted)
    return (
        f"NVIDIA's driver {gpu.driver} runs CUDA up to {has}, and this framework was made for CUDA {needs}; "
        + (f"install driver {least} or later" if least else "install a newer driver")
    )
