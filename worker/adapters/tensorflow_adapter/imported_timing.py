"""What times a user's TensorFlow program on its device: waiting for the device, and its memory's peak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from likewise.worker.counters import cores


def device_of() -> dict[str, Any]:
    """Return the name of the device, and how many threads the CPU's operations take."""
    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details(gpus[0]) if gpus else {}
    name = details.get("device_name", "gpu") if gpus else "cpu"
    return {"device": name, "threads": tf.config.threading.get_intra_op_parallelism_threads() or cores()}


def clocks_of() -> dict[str, Callable[[], Any]]:
    """Return what waits for the device, and what counts its memory, by the names of `WrittenProgram`."""
    if tf.config.list_physical_devices("GPU"):
        return {
            "synchronize": tf.test.experimental.sync_devices,
            "reset_device_peak": lambda: tf.config.experimental.reset_memory_stats("GPU:0"),
            "device_peak_bytes": lambda: int(tf.config.experimental.get_memory_info("GPU:0")["peak"]),
        }
    return {
        "synchronize": lambda: None,
        "reset_device_peak": lambda: None,
        "device_peak_bytes": lambda: None,
    }
