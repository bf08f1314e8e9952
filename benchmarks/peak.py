"""How many multiply-adds a second a framework does in one operation alone: the bound of a network's speed.

    python benchmarks/peak.py FRAMEWORK THREADS product ROWS INNER COLUMNS
    python benchmarks/peak.py FRAMEWORK THREADS convolution BATCH SIZE CHANNELS FILTERS

A product is (ROWS, INNER) by (INNER, COLUMNS); a convolution has a kernel of 3 × 3 over square pictures of
SIZE, padded to their size. Both are float32, in the layout that the framework has by default. Prints the
number.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

TURNS, TURN_S = 7, 0.1


def main() -> None:
    """Time the operation that the arguments describe."""
    framework, threads, kind, *sizes = sys.argv[1:]
    numbers = [int(size) for size in sizes]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    if kind == "product":
        rows, inner, columns = numbers
        work, shapes = rows * inner * columns, ((rows, inner), (inner, columns))
    else:
        batch, size, channels, filters = numbers
        work = batch * size * size * 9 * channels * filters
        shapes = (batch, size, size, channels), (3, 3, channels, filters)
    draw = np.random.default_rng(0)
    values, kernel = (draw.standard_normal(shape).astype(np.float32) for shape in shapes)
    make = in_torch if framework == "torch" else in_tensorflow
    print(work / seconds_of(make(int(threads), kind, values, kernel)))


def in_torch(threads: int, kind: str, values: Any, kernel: Any) -> Callable[[], Any]:
    """The operation in PyTorch."""
    import torch

    torch.set_num_threads(threads)
    if kind == "product":
        first, second = torch.from_numpy(values), torch.from_numpy(kernel)
        return lambda: first @ second
    pictures = torch.from_numpy(values.transpose(0, 3, 1, 2).copy())
    filters = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    return lambda: torch.nn.functional.conv2d(pictures, filters, padding=1)


def in_tensorflow(threads: int, kind: str, values: Any, kernel: Any) -> Callable[[], Any]:
    """The operation in TensorFlow, with oneDNN as in a worker."""
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    first, second = tf.constant(values), tf.constant(kernel)
    if kind == "product":
        return lambda: tf.linalg.matmul(first, second)
    return lambda: tf.nn.conv2d(first, second, strides=1, padding="SAME")


def seconds_of(operation: Callable[[], Any]) -> float:
    """How long the operation takes once warm: the median of turns that each repeat it."""
    begin = time.perf_counter()
    repeats = 0
    while time.perf_counter() - begin < TURN_S:
        operation()
        repeats += 1
    turns = []
    for _ in range(TURNS):
        begin = time.perf_counter()
        for _ in range(repeats):
            operation()
        turns.append((time.perf_counter() - begin) / repeats)
    return statistics.median(turns)


if __name__ == "__main__":
    main()
