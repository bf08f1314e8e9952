"""The pages' templates and the other files beside them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined, Template


def template(name: str, **filters: Callable[[Any], Any]) -> Template:
    """A template that escapes what is put into it, and refuses names that it is not given."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(filters)
    return environment.from_string(file_text(name))


def file_text(name: str) -> str:
    """The text of a file of this package."""
    return resources.files("producer.report").joinpath(name).read_text(encoding="utf-8")
