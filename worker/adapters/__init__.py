"""Finds a framework's adapter by its name; the only folder below which a framework is imported."""

from __future__ import annotations

import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from likewise.worker.adapters.base import FrameworkAdapter

ENTRY_POINTS = "likewise.adapters"
"""The group in which a package elsewhere names its adapter, by the framework's word."""
_SUFFIX = "_adapter"


def adapter_names() -> tuple[str, ...]:
    """Return the frameworks that there is an adapter for, sorted. Imports none of them."""
    return tuple(sorted({*_folders(), *_elsewhere()}))


def load_adapter(name: str) -> FrameworkAdapter:
    """Return the adapter of one framework, not started yet. A folder here goes before a package elsewhere.

    Raises ValueError for a name that no adapter has.
    """
    if name in _folders():
        adapter: FrameworkAdapter = importlib.import_module(f"{__name__}.{name}{_SUFFIX}.adapter").ADAPTER
    elif name in (elsewhere := _elsewhere()):
        adapter = elsewhere[name].load()
    else:
        raise ValueError(f"no adapter for {name!r}; there are {', '.join(adapter_names())}")
    return adapter


def _folders() -> list[str]:
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return [name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)]


def _elsewhere() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
