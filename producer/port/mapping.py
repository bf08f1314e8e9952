"""Modules as their programs describe them, which two are one, and how weights go from one to the other.

Both speak the common language of `worker.port.contract`, so that counterparts have weights of equal shapes.
Shapes alone prove nothing: `producer.port.ladder` proves each pair by values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
KERNELS = ("kernel", "embeddings", "alpha")
"""Weights whose shape says which module it is."""
NORMS = ("batch_norm", "layer_norm", "group_norm")
OWN = "own"
"""The kind of a module that no table knows (see `worker.port.contract`)."""
LEAST_ALIKE = 0.7
"""Below this share of the reference's weights that have a counterpart, the programs are other
architectures.
"""


@dataclass(frozen=True)
class Seen:
    """A module with weights, as one side described it."""

    path: str
    kind: str
    type: str
    settings: Mapping[str, Any]
    slots: Mapping[str, Mapping[str, Any]]
    line: str | None
    owner: str = ""
    """The path of the user's module that it is a part of, where it is one."""

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Seen:
        """Return one of the modules of a `describe`."""
        return cls(**{one.name: described[one.name] for one in fields(cls)})

    def own_name(self, slot: str) -> str:
        """Return a weight's name in the user's program."""
        return f"{self.owner or self.path}.{self.slots[slot]['own']}"

    def shape(self, slot: str) -> tuple[int, ...] | None:
        """Return a weight's shape in the common layout."""
        return tuple(self.slots[slot]["shape"]) if slot in self.slots else None

    @property
    def signature(self) -> tuple[Any, ...]:
        """Return what a counterpart must share: its kind and the shapes of its kernels; of a norm, which may
        lack any of its weights, how many channels it has.
        """
        if self.kind in NORMS and self.slots:
            return (self.kind, self.shape(next(iter(self.slots))))
        kernels = {name: self.shape(name) for name in self.slots if name.split(".")[-1] in KERNELS}
        shapes = kernels or {name: self.shape(name) for name in self.slots}
        return (self.kind, tuple(sorted(shapes.items())))

    @property
    def weight_names(self) -> list[str]:
        """Return its weights' own names."""
        return [self.own_name(slot) for slot in self.slots]

    @property
    def is_constant(self) -> bool:
        """Return whether it is numbers of the user's own that nothing trains, such as a table of sines."""
        return self.kind == OWN and not any(slot["trainable"] for slot in self.slots.values())

    @property
    def size(self) -> int:
        """Return how many numbers its weights have."""
        return sum(int(np.prod(slot["shape"], dtype=np.int64)) for slot in self.slots.values())


@dataclass(frozen=True)
class Pair:
    """A module of the reference and its counterpart.

    `order` is, where the rows of a dense kernel lie in another order behind a flatten, the reference's row
    for each of the other's.
    """

    reference: Seen
    other: Seen
    order: NDArray[np.int64] | None = field(default=None, compare=False)
    renamed: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The other's name of a weight, where modules are paired by the shapes of their weights alone."""
    turned: frozenset[str] = field(default=frozenset(), compare=False)
    """Which of these weights have their two axes exchanged, by the reference's names."""

    def others(self, name: str) -> str:
        """Return the other side's name of a weight of the reference."""
        return self.renamed.get(name, name)

    @property
    def shared(self) -> list[str]:
        """Return the weights that both have, by the reference's names."""
        if self.renamed:
            return list(self.renamed)
        return [
            name
            for name in self.reference.slots
            if name in self.other.slots and self.reference.shape(name) == self.other.shape(name)
        ]

    @property
    def lonely(self) -> tuple[list[str], list[str]]:
        """Return the weights of the reference, and those of the other, that only one has."""
        shared = self.shared
        others = [self.others(name) for name in shared]
        return (
            [name for name in self.reference.slots if name not in shared],
            [name for name in self.other.slots if name not in others],
        )

    def weight(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Return a weight of the reference, or its gradient, as the other side has it."""
        if self.renamed:
            array = array.T if name in self.turned else array
            return array.reshape(self.other.shape(self.others(name)) or ())
        return array[self.order] if self.order is not None and name == "kernel" else array

    def back(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        """Return a weight of the other side as the reference has it."""
        if self.renamed:
            array = array.T if name in self.turned else array
            return array.reshape(self.reference.shape(name) or ())
        if self.order is None or name != "kernel":
            return array
        turned = np.empty_like(array)
        turned[self.order] = array
        return turned

    def entering(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return what enters the reference's module as it would enter the other's."""
        return array if self.order is None else array[..., self.order]


@dataclass(frozen=True)
class WeightMapping:
    """The pairs, in the reference's order of use, and the modules of each side without a counterpart."""

    pairs: tuple[Pair, ...]
    alone: tuple[Seen, ...]
    strangers: tuple[Seen, ...]
    """Modules of the other side."""

    @property
    def share(self) -> float:
        """Return the share of the weights of the side with more of them that have a counterpart."""
        paired = sum(pair.reference.size for pair in self.pairs)
        most = paired + max(
            sum(one.size for one in several if not one.is_constant)
            for several in (self.alone, self.strangers)
        )
        return paired / most if most else 1.0

    def with_order(self, path: str, order: NDArray[np.int64]) -> WeightMapping:
        """Return the same with the order of one pair's rows."""
        return replace(
            self,
            pairs=tuple(
                replace(one, order=order) if one.reference.path == path else one for one in self.pairs
            ),
        )

    def with_pair(self, pair: Pair) -> WeightMapping:
        """Return the same with one pair of modules paired otherwise."""
        path = pair.reference.path
        return replace(self, pairs=tuple(pair if one.reference.path == path else one for one in self.pairs))

    def exchanged(self, paths: Sequence[str], others: Sequence[Seen]) -> WeightMapping:
        """Return the same with other counterparts for some modules of the reference; what nothing is paired
        with any more has no counterpart.
        """
        given = dict(zip(paths, others, strict=True))
        pairs = tuple(
            replace(one, other=given[one.reference.path]) if one.reference.path in given else one
            for one in self.pairs
        )
        paired = {id(one.other) for one in pairs}
        every = [*self.strangers, *(one.other for one in self.pairs)]
        return replace(self, pairs=pairs, strangers=tuple(one for one in every if id(one) not in paired))

    def to_other(self, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the reference's weights or gradients under the other side's names."""
        return {
            f"{pair.other.path}.{pair.others(name)}": pair.weight(
                name, arrays[f"{pair.reference.path}.{name}"]
            )
            for pair in self.pairs
            for name in pair.shared
            if f"{pair.reference.path}.{name}" in arrays
        }

    def renamed(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return numbers by the other side's weights under the reference's names."""
        return {
            f"{pair.reference.path}.{name}": values[theirs]
            for pair in self.pairs
            for name in pair.shared
            if (theirs := f"{pair.other.path}.{pair.others(name)}") in values
        }

    def to_reference(self, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the other side's weights or gradients under the reference's names."""
        return {
            f"{pair.reference.path}.{name}": pair.back(name, arrays[theirs])
            for pair in self.pairs
            for name in pair.shared
            if (theirs := f"{pair.other.path}.{pair.others(name)}") in arrays
        }
