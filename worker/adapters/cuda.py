"""What adapters say of NVIDIA's GPUs alike: why none is there, whose driver it is, how memory runs out."""

from __future__ import annotations

from likewise.shared.errors import ServiceError
from likewise.shared.gpus import Gpu, cuda_of_driver, gpus_here, too_old

MEMORY_WORDS = (
    "out of memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "failed to allocate memory",
    "failed to allocate request",
)
"""What CUDA and its libraries say, in lower case, where a GPU's memory is full."""


def no_gpu(framework: str, *, made_for: str | None) -> str:
    """Return why a framework, made for a version of CUDA, finds no GPU: its driver, or whatever else.

    `made_for` is None for a package without CUDA.
    """
    gpus = _gpus()
    if gpus and made_for is None:
        return (
            f"{framework} finds no GPU here, since its package was made without CUDA: install that of "
            "requirements-gpu.txt, or give this worker the device cpu"
        )
    if gpus and (reason := too_old(gpus[0], needs=made_for, has=cuda_of_driver())):
        return f"{framework} finds no GPU here: {reason}"
    return (
        f"{framework} finds no GPU here: run this worker on a host with an NVIDIA GPU and its driver, with "
        "the packages of requirements-gpu.txt, or give it the device cpu"
    )


def driver_versions() -> dict[str, str]:
    """Return the version of the driver and of the CUDA that it runs, as far as they can be seen."""
    found = {gpu.driver for gpu in _gpus()}
    versions = {"nvidia-driver": found.pop()} if found else {}
    if (newest := cuda_of_driver()) is not None:
        versions["cuda of the driver"] = newest
    return versions


def _gpus() -> list[Gpu]:
    try:
        return gpus_here()
    except ServiceError:
        return []
