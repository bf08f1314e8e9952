"""Keeps the precision that a hosted Keras program is checked in, whatever it asks for itself."""

from __future__ import annotations

import sys
from typing import Any

import tensorflow  # noqa: F401 -- its keras has names of the same functions

from likewise.worker.adapters.tensorflow_adapter.imported_keras import SETTERS, keras

_asked: list[str] = []


def keep_precision(precision: str) -> list[str]:
    """Let every layer be of this precision; return the list of those that the program asks for from now on.

    What sets a float type or a policy for all layers does nothing but note it.
    """
    for setter in SETTERS:
        setter(precision)
        _replace(setter)
    _asked.clear()
    return _asked


def _note(value: Any) -> None:
    _asked.append(str(getattr(value, "name", value)))


def _replace(setter: Any) -> None:
    """Put the note in place of a function in each of Keras's modules that has it."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] not in ("keras", keras.__name__):
            continue
        for own, value in list(vars(module).items()):
            if value is setter:
                setattr(module, own, _note)
