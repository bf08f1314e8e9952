"""What times a user's PyTorch program on its device: waiting for the device, and its memory's peak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def device_of(device: torch.device) -> dict[str, Any]:
    """Return the name of the device, and how many threads the CPU's operations take."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {"device": name, "threads": torch.get_num_threads()}


def clocks_of(device: torch.device) -> dict[str, Callable[[], Any]]:
    """Return what waits for the device, and what counts its memory, by the names of `WrittenProgram`."""
    if device.type == "cuda":
        return {
            "synchronize": lambda: torch.cuda.synchronize(device),
            "reset_device_peak": lambda: torch.cuda.reset_peak_memory_stats(device),
            "device_peak_bytes": lambda: int(torch.cuda.max_memory_allocated(device)),
        }
    return {
        "synchronize": torch.mps.synchronize if device.type == "mps" else lambda: None,
        "reset_device_peak": lambda: None,
        "device_peak_bytes": lambda: None,
    }
