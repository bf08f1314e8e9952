"""What the tapes of a user's own step give in TensorFlow, and what replaces it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from likewise.worker.port.contract import Arrays, GivenGradients

Naming = Callable[[Sequence[Any], Sequence[Any]], Arrays]
Replacing = Callable[[Mapping[str, Any], Sequence[Any], Sequence[Any]], list[Any]]


class BackwardPasses:
    """Watches the gradients that tapes give of the model's variables, which may be replaced."""

    def __init__(self, by_name: Naming, replaced: Replacing, given: GivenGradients | None) -> None:
        """Take what names gradients of variables, and what replaces them; nothing is watched where nothing is
        `given`.
        """
        self.seen: list[Arrays] = []
        """What each pass gave, before it was replaced, while `keeps` is set."""
        self.keeps = given is not None
        self._by_name, self._replaced = by_name, replaced
        self._given = given or GivenGradients()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch `GradientTape.gradient` while it is entered."""
        original = tf.GradientTape.gradient

        def gradient(tape: Any, target: Any, sources: Any, *args: Any, **kwargs: Any) -> Any:
            found = original(tape, target, sources, *args, **kwargs)
            return self._seen(sources, found) if self.keeps else found

        tf.GradientTape.gradient = gradient
        try:
            yield
        finally:
            tf.GradientTape.gradient = original

    def _seen(self, sources: Any, found: Any) -> Any:
        """Take in what a tape gives, and return what replaces it."""
        variables, gradients = _flat(sources), _flat(found)
        added = self._by_name(gradients, variables) if len(variables) == len(gradients) else {}
        if not added:
            return found
        place = len(self.seen)
        self.seen.append(added)
        replacing = self._given.passes[place] if place < len(self._given.passes) else {}
        if not replacing:
            return found
        return _packed(found, iter(self._replaced(replacing, gradients, variables)))


def _flat(nested: Any) -> list[Any]:
    """Return the leaves of lists, tuples and mappings, of which a gradient may be None."""
    if isinstance(nested, Mapping):
        return [leaf for one in nested.values() for leaf in _flat(one)]
    if isinstance(nested, list | tuple):
        return [leaf for one in nested for leaf in _flat(one)]
    return [nested]


def _packed(like: Any, leaves: Iterator[Any]) -> Any:
    """Return leaves in the order of `_flat`, nested as before."""
    if isinstance(like, Mapping):
        return {name: _packed(one, leaves) for name, one in like.items()}
    if isinstance(like, list | tuple):
        return [_packed(one, leaves) for one in like]
    return next(leaves)
