"""Gives a model's JSON Schema with the docstrings of its fields as descriptions, the job file's above all.

The docstrings are read from the source when a schema is asked for: pydantic would read them at every import.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Any

from pydantic import BaseModel

from likewise.shared.job import Experiment

Docs = dict[str, dict[str, str]]
"""The docstrings by class and field."""


def documented_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the model's JSON Schema, each field with its description, also where a base class has it."""
    schema = model.model_json_schema()
    package = model.__module__.partition(".")[0] + "."
    classes = {one.__name__: one for one in _family(BaseModel) if one.__module__.startswith(package)}
    for name, definition in [(model.__name__, schema), *schema.get("$defs", {}).items()]:
        docs = _docs(model if definition is schema else classes[name])
        for field, described in definition.get("properties", {}).items():
            if field in docs:
                described["description"] = docs[field]
    return schema


def _family(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for child in model.__subclasses__():
        yield child
        yield from _family(child)


def _docs(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of all its fields; its own go before those of its bases."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        found |= _docs_of_module(sys.modules[one.__module__]).get(one.__name__, {})
    return found


@cache
def _docs_of_module(module: ModuleType) -> Docs:
    """Return the text that stands under each annotated name of each class."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError):  # without its source, as `builtins` is
        return {}
    return {
        node.name: {
            above.target.id: inspect.cleandoc(below.value.value)
            for above, below in zip(node.body, node.body[1:], strict=False)
            if isinstance(above, ast.AnnAssign) and isinstance(above.target, ast.Name)
            and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        }
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }  # fmt: skip


def editor_schema() -> dict[str, Any]:
    """Return a JSON Schema of draft 2020-12; fields carry their docstrings as descriptions."""
    schema = documented_schema(Experiment)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Likewise job file",
        "description": "One training declared once, trained in every framework and compared.",
    }
