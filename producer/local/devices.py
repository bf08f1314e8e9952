"""Which devices this machine has for the local stack, and in which environments sides train there."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from likewise.producer.local.environments import ADAPTERS
from likewise.producer.local.home import WorkerEnvironment
from likewise.producer.local.packages import ADAPTER_SUFFIX, VARIANTS, as_tested
from likewise.shared.gpus import gpus_here
from likewise.shared.names import DeviceKind, kind_of, parts_of_environment
from likewise.shared.settings import Settings

_FASTEST: tuple[DeviceKind, ...] = ("cuda", "mps")


@cache
def has(kind: DeviceKind) -> bool:
    """Return whether this machine has a device of that kind. Raises ServiceError where a driver fails."""
    if kind == "cuda":
        return bool(gpus_here())
    return kind == "cpu" or (sys.platform == "darwin" and platform.machine() == "arm64")


def fastest(framework: str, adapters: Path = ADAPTERS) -> DeviceKind:
    """Return the device on which a framework's worker of the local stack trains, where none is asked for."""
    own = adapters / f"{framework}{ADAPTER_SUFFIX}"
    for kind in _FASTEST:
        if (own / f"requirements-{VARIANTS[kind]}.txt").exists() and has(kind):
            return kind
    return "cpu"


def missing(device: str) -> str | None:
    """Return why a device cannot be had on this machine, as the end of a sentence; None where it can."""
    kind = kind_of(device)
    if has(kind):
        number = device.partition(":")[2]
        known = [gpu.index for gpu in gpus_here()] if number else []
        if number and int(number) not in known:
            return f"this machine's GPUs have the numbers {', '.join(map(str, known))}"
        return None
    if kind == "mps":
        return "this machine is no Mac with a processor of Apple's"
    return "nvidia-smi shows no GPU on this machine"


def defaults(settings: Settings, names: Sequence[str]) -> list[WorkerEnvironment]:
    """Return the environments of these names, such as `torch`, `torch==2.13.0` or `torch@cuda`.

    Where no device is asked for it is the settings', else the fastest that this machine has.
    """
    found = []
    for name in names:
        named, _, device = name.partition("@")
        framework, version, requirements = parts_of_environment(named)
        asked = WorkerEnvironment(
            framework=framework,
            device=device or settings.device or fastest(framework),
            version=version,
            requirements=requirements,
        )
        found.append(as_tested(asked, ADAPTERS))
    return list(dict.fromkeys(found))
