"""Which versions the package index has, and which of those that are asked for it does not have."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from likewise.producer.local.home import WorkerEnvironment
from likewise.producer.local.packages import framework_requirement, index_options
from likewise.shared.errors import UsageError

_NEWEST = 5
"""A message names so many of the versions that there are."""


def available_versions(package: str, index_options: Sequence[str] = ()) -> list[str]:
    """Return the versions of a package that the package index has for this Python and machine.

    pip is asked, which knows of the user's own indexes. Raises UsageError where it has none or is not there.
    """
    command = [sys.executable, "-m", "pip", "index", "versions", package, "--pre", *index_options]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    listed = re.search(r"^Available versions: (.+)$", asked.stdout, re.MULTILINE)
    if listed is None:
        errors = [line for line in asked.stderr.splitlines() if line.startswith("ERROR")]
        said = errors or [asked.stderr.strip()]
        raise UsageError(f"pip lists no versions of {package}: {said[0].removeprefix('ERROR: ')}")
    return [one.strip() for one in listed[1].split(",")]


def local_versions(framework: str, package: str, adapters: Path) -> list[str]:
    """Return the versions from which the local stack can make an environment."""
    environment = WorkerEnvironment(framework=framework)
    if package != framework:
        return available_versions(package)
    requirement = framework_requirement(environment, adapters)
    name = framework if requirement is None else requirement.name
    return available_versions(name, index_options(environment, adapters))


def missing_version(environment: WorkerEnvironment, adapters: Path) -> str | None:
    """Return in words which version that is asked for the index does not have, and which ones it has.

    None where it has them all, or does not say.
    """
    from packaging.requirements import InvalidRequirement, Requirement

    framework = environment.framework
    asked = [f"{framework}=={environment.version}"] if environment.version else []
    for word in [*asked, *environment.requirements]:
        try:
            wanted = Requirement(word)
            there = local_versions(framework, wanted.name, adapters)
        except (InvalidRequirement, UsageError):
            continue
        if any(wanted.specifier.contains(version, prereleases=True) for version in there):
            continue
        final = [version for version in there if re.fullmatch(r"[\d.]+", version)] or there
        more = ", …" if len(final) > _NEWEST else ""
        version = str(wanted.specifier).removeprefix("==")
        return (
            f"there is no {wanted.name} {version} for this Python and machine; the package index has "
            f"{', '.join(final[:_NEWEST])}{more}"
        )
    return None
