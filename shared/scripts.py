"""Lua scripts in Redis: called by their hash, and given to a Redis that does not know them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis.commands.core import Script
from redis.exceptions import NoScriptError

LOADED_AT_MOST = 10
"""A script is given to Redis so often for one call, where Redis forgets it in between each time."""


class LastingScript(Script):
    """Is called again where Redis has forgotten it between its loading and its call, as a new primary may."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call it, with the `keys` and `args` that it takes."""
        for _ in range(LOADED_AT_MOST - 1):
            with suppress(NoScriptError):
                return super().__call__(*args, **options)
        return super().__call__(*args, **options)
