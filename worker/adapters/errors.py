"""What an adapter raises by itself, beside the framework's own exceptions; `reason_of` knows both."""

from __future__ import annotations


class BadShapeError(ValueError):
    """Arrays that do not fit together; the message names both shapes."""


class UnsupportedError(RuntimeError):
    """This framework, version or machine cannot do what the job asks; the message says what would help."""
