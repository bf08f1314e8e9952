"""Which packages an environment has: the adapter's own, or those of the version that a side asks for.

An adapter's requirement files pin the versions that it is tested with, together with
`worker/constraints.txt`. For another version, or for packages in versions of their own, these files are
written anew: what is asked for takes the place of the pins, and whatever has to follow a framework of another
version is left open, but for the packages that make a worker of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from likewise.shared.names import DeviceKind, kind_of, package_name

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from likewise.producer.local.home import WorkerEnvironment

ADAPTER_SUFFIX = "_adapter"
VARIANTS: dict[DeviceKind, str] = {"cpu": "cpu", "cuda": "gpu", "mps": "mps"}
"""The word in the requirement files' names, by device."""
SERVICE = "requirements.txt"
"""The file of what makes a worker of any framework."""
FOLLOWS = {"numpy"}
"""A worker needs these packages, and a framework decides their versions."""


@dataclass(frozen=True, kw_only=True)
class Packages:
    """What goes into one environment."""

    requirements: Path
    constraints: Path
    wheels: Path | None = None
    """Requirements that come from an index of their own; installed first, without dependencies."""
    texts: Mapping[Path, str] = field(default_factory=dict)
    """Some of these files are written before anything is installed; this is what they say."""

    def contents(self) -> Iterable[str]:
        """Yield the text of every file that decides what is installed."""
        for file in (self.wheels, self.requirements, self.constraints):
            if file is not None and file in self.texts:
                yield self.texts[file]
            elif file is not None and file.exists():
                yield from (included.read_text() for included in with_included(file))

    def write(self) -> None:
        """Write the files that are not the adapter's own."""
        for file, text in self.texts.items():
            file.write_text(text)


def packages_of(environment: WorkerEnvironment, adapters: Path, folder: Path) -> Packages | None:
    """Return an environment's packages; None where no adapter has any for its framework and device.

    Files that are not the adapter's own would lie in `folder`.
    """
    usual = _usual(environment, adapters)
    if not usual.requirements.exists():
        return None
    if environment.version is None and not environment.requirements:
        return usual
    return _as_asked(usual, environment, folder)


def framework_requirement(environment: WorkerEnvironment, adapters: Path) -> Requirement | None:
    """Return how an adapter asks the package index for its framework on this machine."""
    usual = _usual(environment, adapters)
    for line in _lines(usual.requirements) if usual.requirements.exists() else ():
        requirement = _requirement(line)
        if (
            requirement is not None
            and _is_of(requirement, environment.framework)
            and (requirement.marker is None or requirement.marker.evaluate())
        ):
            return requirement
    return None


def index_options(environment: WorkerEnvironment, adapters: Path) -> list[str]:
    """Return the options by which an adapter names its framework's own index; none where it has none."""
    wheels = _usual(environment, adapters).wheels
    options = [line for line in _lines(wheels) if line.startswith("-")] if wheels else []
    return [word for line in options for word in line.split()]


def as_tested(environment: WorkerEnvironment, adapters: Path) -> WorkerEnvironment:
    """Return the environment without its version where that is the one that the adapter is tested with."""
    if environment.version is None:
        return environment
    from packaging.specifiers import SpecifierSet

    asked = SpecifierSet(f"=={environment.version}", prereleases=True)
    pinned = framework_requirement(environment, adapters)
    versions = [] if pinned is None else [one.version for one in pinned.specifier]
    if any(asked.contains(version) for version in versions):
        return environment.model_copy(update={"version": None})
    return environment


def exporter_of(framework: str, adapters: Path) -> tuple[str, ...]:
    """Return the packages by which a framework writes ONNX; none where its adapter names none."""
    file = adapters / f"{framework}{ADAPTER_SUFFIX}" / "requirements-onnx.txt"
    return tuple(_lines(file)) if file.exists() else ()


def with_included(requirements: Path) -> list[Path]:
    """Return a requirement file and those it includes with `-r`, or names with `-c` as constraints."""
    included = [
        (requirements.parent / line.split(maxsplit=1)[1].strip()).resolve()
        for line in requirements.read_text().splitlines()
        if line.startswith(("-r ", "-c "))
    ]
    return [requirements, *included]


def _usual(environment: WorkerEnvironment, adapters: Path) -> Packages:
    variant = VARIANTS[kind_of(environment.device)]
    own = adapters / f"{environment.framework}{ADAPTER_SUFFIX}"
    wheels = own / f"wheels-{variant}.txt"
    return Packages(
        requirements=own / f"requirements-{variant}.txt",
        constraints=adapters.parent / "constraints.txt",
        wheels=wheels if wheels.exists() else None,
    )


def _as_asked(usual: Packages, environment: WorkerEnvironment, folder: Path) -> Packages:
    asked = {package_name(one): one for one in environment.requirements}

    def rewritten(lines: Iterable[str]) -> list[str]:
        kept = []
        for line in lines:
            requirement = _requirement(line)
            if requirement is None:  # an option, such as an index
                kept.append(line)
            elif package_name(requirement.name) not in asked:
                kept.append(_in_version(requirement, environment))
        return kept

    included = [file for file in with_included(usual.requirements)[1:] if file.name == SERVICE]
    service = [line for file in included for line in _lines(file)]
    own = [line for line in _lines(usual.requirements) if not line.startswith(("-r ", "-c "))]
    requirements = [*rewritten(own), *rewritten(service), *environment.requirements]
    pins = [line for line in _lines(usual.constraints) if package_name(line.partition("==")[0]) not in asked]
    if environment.version is not None:
        firm = {package_name(line) for line in service} - FOLLOWS
        pins = [line for line in pins if package_name(line.partition("==")[0]) in firm]
    wheels = [] if usual.wheels is None else rewritten(_lines(usual.wheels))
    texts: dict[Path, str] = {}

    def file(kind: str, lines: Sequence[str]) -> Path:
        text = "".join(f"{line}\n" for line in lines)
        path = folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.txt"
        texts[path] = text
        return path

    return Packages(
        requirements=file("requirements", requirements),
        constraints=file("constraints", pins),
        wheels=file("wheels", wheels) if wheels else None,
        texts=texts,
    )


def _in_version(requirement: Requirement, environment: WorkerEnvironment) -> str:
    """Return a requirement as the version that is asked for needs it: that version, or left open."""
    if environment.version is None:
        return str(requirement)
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    version = f"=={environment.version}" if _is_of(requirement, environment.framework) else ""
    return f"{requirement.name}{extras}{version}{marker}"


def _is_of(requirement: Requirement, framework: str) -> bool:
    """Return whether a package is the framework itself: its name is the framework's, or begins with it."""
    name = package_name(requirement.name)
    return name == framework or name.startswith(f"{framework}-")


def _lines(file: Path) -> list[str]:
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in file.read_text().splitlines())
    return [line for line in lines if line]


def _requirement(line: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(line)
    except InvalidRequirement:
        return None
