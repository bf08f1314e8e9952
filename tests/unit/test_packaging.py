"""What is shipped: the wheel's contents, its script in an environment of its own, no list of frameworks.

The wheel is built and installed for real. Its dependencies are lent by this test's environment, since
fetching them anew would only test the package index.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("likewise", "shared", "producer", "worker", "pyproject.toml", "README.md", "LICENSE")
MAY_NAME_FRAMEWORKS = {Path("shared/job/experiment.py")}
"""The job file's default for `frameworks` stands there."""


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that has to succeed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def git(unavailable: Callable[[str], NoReturn]) -> str:
    """The program git, which knows what belongs to the checkout; what is shipped needs none."""
    found = shutil.which("git")
    if found is None or not (ROOT / ".git").exists():
        unavailable("there is no git on PATH, or this is no checkout of it")
    return found


@pytest.fixture(scope="module")
def wheel(git: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the tracked sources, built beside the checkout so that nothing is left in it."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = run(git, "ls-files", "--cached", "--others", "--exclude-standard", *SOURCES, cwd=ROOT)
    for name in listed.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder / "dist", ".", cwd=folder)
    (built,) = (folder / "dist").glob("likewise-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of scripts of a fresh environment with the wheel in it."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    at = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", "venv", at))
    run(
        sys.executable, "-m", "pip", "--python", folder / "bin/python",
        "install", "--quiet", "--no-deps", wheel, cwd=folder,
    )  # fmt: skip
    (packages / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def shipped_data(git: str, root: Path) -> set[str]:
    """Tracked files of the packages that are not modules: examples, templates, lists of packages."""
    listed = run(git, "ls-files", "shared", "producer", "worker", cwd=root).splitlines()
    return {name for name in listed if not name.endswith((".py", ".md")) and (root / name).is_file()}


def test_the_wheel_holds_every_file_of_the_packages(git: str, wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    assert {f"likewise/{name}" for name in shipped_data(git, ROOT)} <= held
    shipped = {"constraints.txt", "requirements.txt", "adapters/base.py"}
    assert {f"likewise/worker/{name}" for name in shipped} <= held
    assert "likewise/producer/examples/article.yaml" in held


def test_the_wheel_lays_one_name_into_site_packages(wheel: Path) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"likewise"}


def test_the_installed_command_validates_a_shipped_example_away_from_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    assert "compare" in run(installed / "likewise", "--help", cwd=tmp_path)
    assert "article" in run(installed / "likewise", "validate", "article", cwd=tmp_path)
    module = run(installed / "python", "-c", "import likewise; print(likewise.__file__)", cwd=tmp_path)
    assert module.startswith(str(installed.parent))


def frameworks() -> set[str]:
    """The frameworks there is an adapter folder for."""
    return {folder.name.removesuffix("_adapter") for folder in ROOT.glob("worker/adapters/*_adapter")}


def named_frameworks(path: Path, names: set[str]) -> Iterator[str]:
    """Each string in a module's code that is exactly a framework's name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and node.value in names:
            yield f"{path.name}:{node.lineno} {node.value!r}"


def test_no_module_outside_the_adapters_names_a_framework() -> None:
    modules = (
        path for package in ("shared", "producer", "worker") for path in (ROOT / package).rglob("*.py")
    )
    looked_at = [
        path for path in modules
        if path.relative_to(ROOT) not in MAY_NAME_FRAMEWORKS
        and not any(part.endswith("_adapter") for part in path.parts)
    ]  # fmt: skip
    assert len(looked_at) > 20
    assert [found for path in looked_at for found in named_frameworks(path, frameworks())] == []


def test_a_planted_branch_on_a_framework_is_found(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text('"""Speaks of torch."""\nif framework == "torch":\n    pass\n')
    assert list(named_frameworks(tmp_path / "planted.py", frameworks())) == ["planted.py:2 'torch'"]
