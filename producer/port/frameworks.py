"""What is known of each framework, from `frameworks.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def frameworks() -> Mapping[str, Mapping[str, Any]]:
    """Return the table: by framework, how a file is recognised and how an edit is spelled."""
    text = (files("likewise.producer") / "port" / "frameworks.toml").read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, Any]] = tomllib.loads(text)
    return found
