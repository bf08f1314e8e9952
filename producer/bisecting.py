"""`likewise bisect`: the first version of a framework, or of one of its packages, whose training differs.

The oldest version is the reference. The newest is compared with it first; where they agree, nothing in
between is trained. Else the versions between the last one that agrees and the first that does not are
halved. Each comparison is an experiment of its own, whose sides are the two versions in environments of
their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from likewise.producer.display import both
from likewise.producer.verdict.models import Verdict
from likewise.shared.errors import StackError, UsageError
from likewise.shared.frozen import Frozen
from likewise.shared.names import package_name

if TYPE_CHECKING:
    from likewise.producer.verdict.models import Comparison

REFERENCE, CANDIDATE = "reference", "candidate"
"""The labels of the two sides of every comparison."""
NEAR = 3
"""Where a version does not exist, so many of those below and above it are named."""
_WORD = re.compile(r"\s*([A-Za-z0-9][\w.-]*)==([0-9][\w.!+]*)\s*")


@dataclass(frozen=True, kw_only=True)
class Between:
    """What is asked: a package, and the two versions between which its first change is looked for."""

    package: str
    oldest: str
    newest: str

    @classmethod
    def parse(cls, given: str) -> Between:
        """Read `tensorflow==2.18,tensorflow==2.21`. Raises UsageError."""
        words = [_WORD.fullmatch(word) for word in given.split(",")]
        if len(words) != 2 or words[0] is None or words[1] is None:
            raise UsageError(
                f"--between is {given!r}; write one package in two versions, such as "
                "tensorflow==2.18,tensorflow==2.21"
            )
        (first, oldest), (second, newest) = (word.groups() for word in words if word is not None)
        if package_name(first) != package_name(second):
            raise UsageError(f"--between names {first} and {second}; write one package in two versions")
        return cls(package=package_name(first), oldest=oldest, newest=newest)

    def among(self, available: Sequence[str]) -> list[str]:
        """Return the available versions from the oldest to the newest, in order.

        Pre-releases are left out but at the ends. Raises UsageError for an end that is not available.
        """
        from packaging.version import Version

        known = {Version(one): one for one in available}
        oldest, newest = Version(self.oldest), Version(self.newest)
        if not oldest < newest:
            raise UsageError(
                f"--between: {self.oldest} is not older than {self.newest}; name the older first"
            )
        for end in (oldest, newest):
            if end not in known:
                place = sum(one < end for one in known)
                near = sorted(known)[max(0, place - NEAR) : place + NEAR]
                raise UsageError(
                    f"--between: there is no {self.package} {end} for this Python and machine; near it there "
                    f"is {both([known[one] for one in near])}"
                )
        return [
            known[one]
            for one in sorted(known)
            if oldest <= one <= newest and (not one.is_prerelease or one in (oldest, newest))
        ]


class Tried(Frozen):
    """One version, compared with the oldest."""

    version: str
    experiment_id: str | None = None
    """The comparison; None where its environment could not be made."""
    why_not: str | None = None
    """Why it could not."""
    verdict: Verdict | None = None
    failed: bool = False
    """Whether a training failed."""
    largest_gap: float | None = None
    """The largest gap between both versions, relative as the comparison has it."""
    measure: str | None = None
    """What that is the gap of."""

    @classmethod
    def of(cls, version: str, comparison: Comparison) -> Self:
        """Return what a comparison says of a version."""
        known = [one for pair in comparison.gaps for one in pair.largest if one.relative is not None]
        largest = max(known, key=lambda one: one.relative or 0.0, default=None)
        return cls(
            version=version,
            experiment_id=comparison.experiment_id,
            verdict=comparison.verdict,
            failed=bool(comparison.failed),
            largest_gap=None if largest is None else largest.relative,
            measure=largest.measure if largest is not None and largest.relative else None,
        )

    @property
    def differs(self) -> bool:
        """Return whether it was found to train otherwise."""
        return self.verdict == "differ"


class Bisection(Frozen):
    """It says which versions were tried, and what each came to."""

    name: str
    """The name of the job that was trained."""
    package: str
    versions: tuple[str, ...]
    """All that were to be searched, from the oldest, which is the reference."""
    tried: tuple[Tried, ...] = ()
    """The versions are in the order in which they were tried."""

    @property
    def first_different(self) -> Tried | None:
        """Return the oldest version that was found to differ."""
        different = [one for one in self.tried if one.differs]
        return min(different, key=lambda one: self.versions.index(one.version), default=None)

    @property
    def last_same(self) -> str:
        """Return the newest version that was found to agree before that; the reference agrees with itself."""
        end = self.first_different
        before = len(self.versions) if end is None else self.versions.index(end.version)
        same = [self.versions.index(one.version) for one in self.tried if one.verdict == "agree"]
        return self.versions[max((place for place in same if place < before), default=0)]

    @property
    def in_doubt(self) -> tuple[str, ...]:
        """Return the versions between the last that agrees and the first that differs."""
        end = self.first_different
        if end is None:
            return ()
        return self.versions[self.versions.index(self.last_same) + 1 : self.versions.index(end.version)]

    @property
    def failed(self) -> bool:
        """Return whether a training of one of the comparisons failed."""
        return any(one.failed for one in self.tried)

    @property
    def verdict(self) -> Verdict:
        """Return `differ` where a version was found, `agree` where the newest trains as the oldest does."""
        if self.first_different is not None:
            return "differ"
        return "agree" if self.last_same == self.versions[-1] else "inconclusive"


def bisect(
    name: str, package: str, versions: Sequence[str], compare: Callable[[str, str], Tried]
) -> Iterator[Bisection]:
    """Compare versions with the oldest until the first that differs is known; yield what is known so far.

    `compare` gets the oldest version and another, and returns what that came to. It may raise StackError for
    one whose environment cannot be made: its neighbours are tried instead.
    """
    found = Bisection(name=name, package=package, versions=tuple(versions))
    oldest, *others = versions
    while others:
        compared = any(one.experiment_id is not None for one in found.tried)
        candidate = others[(len(others) - 1) // 2] if compared else others[-1]
        try:
            tried = compare(oldest, candidate)
        except StackError as error:
            tried = Tried(version=candidate, why_not=str(error))
        found = found.model_copy(update={"tried": (*found.tried, tried)})
        yield found
        place = others.index(candidate)
        if tried.experiment_id is None:
            others.pop(place)
        elif tried.differs:
            others = others[:place]
        elif compared:
            others = others[place + 1 :]
        else:
            return  # the newest agrees: nothing has changed


def sides_between(
    framework: str, package: str, versions: Sequence[str], side: dict[str, Any]
) -> dict[str, Any]:
    """Return the two sides of a comparison: one side of the job in two versions of a package."""

    def in_version(version: str) -> dict[str, Any]:
        if package == framework:
            return {**side, "version": version}
        others = [one for one in side.get("requirements", ()) if package_name(one) != package]
        return {**side, "requirements": [*others, f"{package}=={version}"]}

    return dict(zip((REFERENCE, CANDIDATE), map(in_version, versions), strict=True))


def told(found: Bisection) -> str:
    """Return in a sentence what was found."""
    first = found.first_different
    if first is None:
        if found.verdict == "agree":
            return f"{found.package} {found.versions[-1]} trains {found.name} as {found.versions[0]} does."
        return (
            f"No version of {found.package} was found to train {found.name} otherwise than "
            f"{found.versions[0]}, but not every one could be judged."
        )
    doubt = f"; {both(list(found.in_doubt))} could not be judged" if found.in_doubt else ""
    return (
        f"{found.name} first trains otherwise in {found.package} {first.version}: up to {found.last_same} "
        f"it agrees with {found.versions[0]}{doubt}."
    )
