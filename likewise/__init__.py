"""Train one declared job in several sides, and learn whether they agree, by how much, and why not.

    import likewise

    compared = likewise.compare("article")
    compared.verdict, compared.curves()["torch"], compared.weights("torch")

What is named here is imported when it is first used: `import likewise` alone imports nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from likewise.producer.interface import bench, compare, explain, follow, get, port, submit, sweep
    from likewise.producer.results import (
        BenchResult,
        ComparisonResult,
        ExplanationResult,
        PortResult,
        Result,
        SweepResult,
    )
    from likewise.shared.errors import LikewiseError
    from likewise.shared.job import Experiment

__all__ = [
    "BenchResult",
    "ComparisonResult",
    "Experiment",
    "ExplanationResult",
    "LikewiseError",
    "PortResult",
    "Result",
    "SweepResult",
    "bench",
    "compare",
    "explain",
    "follow",
    "get",
    "port",
    "submit",
    "sweep",
]

_ELSEWHERE = {"Experiment": "shared.job", "LikewiseError": "shared.errors"}


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    own = "producer.results" if name.endswith("Result") else "producer.interface"
    return getattr(import_module(f"{__name__}.{_ELSEWHERE.get(name, own)}"), name)


def __dir__() -> list[str]:
    """Return what there is, also of what was not imported yet, and nothing that serves it alone."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
