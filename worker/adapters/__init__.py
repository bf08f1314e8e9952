"""Finds a framework's adapter by its name; the only folder below which a framework is imported."""

from __future__ import annotations

import importlib
import pkgutil

from worker.adapters.base import FrameworkAdapter

_SUFFIX = "_adapter"


def adapter_names() -> tuple[str, ...]:
    """The frameworks there is an adapter folder for, sorted. Imports none of them."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)))


def load_adapter(name: str) -> FrameworkAdapter:
    """The adapter of one framework, not started yet.

    Raises ValueError for a name without a folder.
    """
    if name not in adapter_names():
        raise ValueError(f"no adapter for {name!r}; there are {', '.join(adapter_names())}")
    module = importlib.import_module(f"{__name__}.{name}{_SUFFIX}.adapter")
    adapter: FrameworkAdapter = module.ADAPTER
    return adapter
