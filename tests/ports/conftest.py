"""Both hosts, started once: a program is opened in them by each test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import likewise
from likewise.producer.port.channels import Pipe
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.ladder import climb
from likewise.producer.port.models import PortCheck
from likewise.producer.port.pairing import Pairing

from .batches import batch_for

PROGRAMS = Path(__file__).parent / "programs"
CODE = Path(likewise.__file__).parents[1]
Check = Callable[..., PortCheck]


def interpreter(framework: str) -> Path:
    """The Python of a framework's environment; without one the test fails in CI and is skipped elsewhere."""
    variable = f"LIKEWISE_TEST_PYTHON_{framework.upper()}"
    if variable not in os.environ:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{variable} names no Python")
    return Path(os.environ[variable])


@pytest.fixture(scope="session")
def hosts() -> Iterator[tuple[Hosted, Hosted]]:
    with (
        Hosted("keras", "tensorflow", Pipe("tensorflow", interpreter("tensorflow"), CODE)) as keras,
        Hosted("torch", "torch", Pipe("torch", interpreter("torch"), CODE)) as torch,
    ):
        yield keras, torch


@pytest.fixture
def check(hosts: tuple[Hosted, Hosted], tmp_path: Path) -> Check:
    """Check one pair, after an edit of one of its files."""

    def checked(
        name: str, *, side: str = "", edits: tuple[tuple[str, str], ...] = (), reference: str = "keras"
    ) -> PortCheck:
        for host in hosts:
            text = (PROGRAMS / f"{name}_{host.label}.py").read_text()
            if host.label == side:
                for old, new in edits:
                    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {name}_{side}.py"
                    text = text.replace(old, new)
            file = tmp_path / f"{name}_{host.label}.py"
            file.write_text(text)
            host.open(file, None, "float64")
        sides = hosts if reference == "keras" else hosts[::-1]
        return climb(Pairing(*sides, batch_for(name), precision="float64", tell=lambda _: None))

    return checked


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home of Likewise; the local stack in it, which keeps what was checked, ends with the test."""
    folder = tmp_path / "home"
    yield folder
    told = {**os.environ, "LIKEWISE_HOME": str(folder), "PYTHONPATH": str(CODE)}
    subprocess.run([sys.executable, "-m", "likewise.producer", "down"], env=told, check=True)


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both environments, as LIKEWISE_ENVIRONMENTS names it."""
    folder = tmp_path_factory.mktemp("environments")
    for framework in ("tensorflow", "torch"):
        (folder / framework).symlink_to(interpreter(framework).parents[1])
    return folder
