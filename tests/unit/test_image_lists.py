"""What the images are built from: each framework's pins alone, and one version of a package everywhere."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "worker" / "constraints.txt"
FRAMEWORKS = [folder.name for folder in (ROOT / "worker" / "adapters").glob("*_adapter")]


def pins_of(framework: str, constraints: Path) -> str:
    packages = ROOT / "worker" / "adapters" / framework / "packages.txt"
    script = ROOT / "deploy" / "images" / "pins-of"
    done = subprocess.run([script, packages, constraints], capture_output=True, text=True, check=True)
    return done.stdout


def changed(constraints: Path, pin: str) -> Path:
    """The constraints with another version of one package."""
    name = pin.partition("==")[0]
    text, times = re.subn(rf"^{name}==.*$", pin, CONSTRAINTS.read_text(), flags=re.MULTILINE)
    constraints.write_text(text if times else f"{text}{pin}\n")
    return constraints


@pytest.mark.parametrize("pin", ["pytest==0.1", "some-tool==1.0", "h5py==0.1"])
def test_a_pin_of_others_alone_builds_no_framework_anew(tmp_path: Path, pin: str) -> None:
    constraints = changed(tmp_path / "constraints.txt", pin)
    assert pins_of("torch_adapter", constraints) == pins_of("torch_adapter", CONSTRAINTS)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_pin_of_its_own_builds_a_framework_anew(tmp_path: Path, framework: str) -> None:
    constraints = changed(tmp_path / "constraints.txt", "numpy==0.1")
    assert "numpy==0.1\n" in pins_of(framework, constraints)
    assert pins_of(framework, CONSTRAINTS).count("==") == len(
        [line for line in (ROOT / "worker" / "adapters" / framework / "packages.txt").read_text().splitlines()
         if not line.startswith("#")]
    )  # fmt: skip


def test_a_package_has_one_version_in_all_lists() -> None:
    pins = dict(line.split("==") for line in CONSTRAINTS.read_text().splitlines() if "==" in line)
    stores = (ROOT / "worker" / "stores.txt").read_text().splitlines()
    for name, version in (line.split("==") for line in stores if "==" in line):
        assert pins.get(name, version) == version
