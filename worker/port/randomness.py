"""Random numbers of a program, drawn by NumPy in the framework's place, so that two programs draw the same.

The hosts replace the framework's own dropout and draws by what is here. A place where numbers are drawn is
a `RandomSite`. By default the n-th site of a family draws the same numbers in every program; an `Arrangement`
says that a site has the numbers of another one, with its axes in another order.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

DROPOUT = "dropout"
UNIFORM = "uniform"
NORMAL = "normal"
UNPAIRED = "unpaired"
"""The family of draws that NumPy does not replace, such as a permutation."""


@dataclass(frozen=True, kw_only=True)
class RandomSite:
    """One draw of a pass."""

    key: str
    """The draw is named by its family and its number in it, such as `dropout:2`."""
    function: str
    """The function that draws, such as `rand_like`."""
    shape: tuple[int, ...]
    """The shape of the numbers."""
    rate: float | None
    """The part that a dropout leaves out."""
    path: str | None
    """The known module in which it is drawn."""
    line: str | None
    """The line of the user's code."""
    call: int
    """How many calls of the pass were recorded before it."""


@dataclass(frozen=True, kw_only=True)
class Arrangement:
    """Whose numbers a site has, and how they lie."""

    key: str
    """The other program's site."""
    shape: tuple[int, ...]
    """The shape of the numbers there."""
    axes: tuple[int, ...]
    """The axis there of each axis here."""
    order: tuple[int, ...] = ()
    """The place there of each place here on the last axis; empty where they are the same."""
    rate: float | None = None
    """The rate that a dropout has there."""
    mirrored: bool = False
    """Whether a uniform number is 1 minus that."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Arrangement:
        """Return one of a question's arrangements."""
        lists = {name: tuple(given[name]) for name in ("shape", "axes", "order")}
        return cls(**{**given, **lists})


@dataclass
class Randomness:
    """The draws of one pass, or of one training. It records each site where `watched` is set."""

    drops: bool = True
    """Whether dropout drops; without it all numbers stay as they are."""
    arrangements: Mapping[str, Arrangement] = field(default_factory=dict)
    seed: int = 0
    """What the numbers are drawn from, with the site and the step."""
    step: int = 0
    """The number of the update; each draws other numbers."""
    sites: list[RandomSite] = field(default_factory=list)
    entered: dict[str, NDArray[Any]] = field(default_factory=dict)
    """What entered the dropout of a site, by its key."""
    path: str | None = None
    """The known module that runs now."""
    calls: Sequence[Any] = ()
    """The calls of the pass so far."""
    _counts: dict[str, int] = field(default_factory=dict)

    def next_step(self) -> None:
        """Begin the next update."""
        self.step += 1
        self._counts.clear()
        self.sites.clear()

    def site(
        self,
        family: str,
        function: str,
        shape: Sequence[int],
        *,
        rate: float | None = None,
        line: str | None = None,
    ) -> RandomSite:
        """Record a draw and return it."""
        number = self._counts.get(family, 0)
        self._counts[family] = number + 1
        site = RandomSite(
            key=f"{family}:{number}",
            function=function,
            shape=tuple(int(one) for one in shape),
            rate=rate,
            path=self.path,
            line=line,
            call=len(self.calls),
        )
        self.sites.append(site)
        return site

    def numbers(self, site: RandomSite) -> NDArray[np.float64]:
        """Return the numbers of a site: uniform between 0 and 1, or standard normal."""
        given = self.arrangements.get(site.key)
        if given is None or int(np.prod(given.shape)) != int(np.prod(site.shape)):
            return self._drawn(site.key, site.shape)
        drawn = self._drawn(given.key, given.shape).transpose(given.axes)
        if given.order:
            drawn = drawn[..., list(given.order)]
        return (1 - drawn if given.mirrored else drawn).reshape(site.shape)

    def kept(self, site: RandomSite) -> NDArray[np.bool_]:
        """Return which numbers a dropout keeps."""
        return self.numbers(site) >= self.rate(site)

    def rate(self, site: RandomSite) -> float:
        """Return the rate of a dropout: its own, or the other program's."""
        given = self.arrangements.get(site.key)
        own = 0.0 if site.rate is None else site.rate
        return own if given is None or given.rate is None else given.rate

    def _drawn(self, key: str, shape: Sequence[int]) -> NDArray[np.float64]:
        family, _, number = key.partition(":")
        kind = NORMAL if family == NORMAL else UNIFORM
        address = [zlib.crc32(family.encode()), int(number), self.step]
        draws = np.random.default_rng([*address, self.seed] if self.seed else address)
        return draws.normal(size=shape) if kind == NORMAL else draws.random(shape)
