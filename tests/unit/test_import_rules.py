"""Only `worker/adapters/<name>_adapter` imports a framework: read from the source, seen in a fresh process.

What counts as a framework is read from the adapters themselves, so a new one needs no change here. Which of
our packages may import which, and that no circle is among them, import-linter holds (pyproject.toml, `make
lint`), except for imports by a name in a string, which it does not see.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("shared", "producer", "worker")
NEVER = {
    "shared": ("likewise.producer", "likewise.worker"),
    "producer": ("likewise.worker",),
    "worker": ("likewise.producer",),
}
NO_FRAMEWORK = {"numpy", "likewise", *sys.stdlib_module_names}
"""What an adapter imports beside its framework."""

IMPORT_ALL = """
import importlib, importlib.abc, json, pkgutil, sys

class Watch(importlib.abc.MetaPathFinder):
    def __init__(self, refused): self.refused, self.asked = refused, []
    def find_spec(self, name, path=None, target=None):
        if any(name == one or name.startswith(one + ".") for one in self.refused):
            self.asked.append(name)
            raise ModuleNotFoundError(f"{name} is watched for", name=name)

packages, refused, skipped = json.loads(sys.argv[1])
watch = Watch(set(refused))
sys.meta_path.insert(0, watch)
for package in packages:
    folder = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(folder, package + "."):
        if not any(module.name.startswith(start) for start in skipped):
            importlib.import_module(module.name)
print(json.dumps(watch.asked))
"""


@cache
def nodes(text: str) -> list[ast.AST]:
    """Every node of a module's source."""
    return list(ast.walk(ast.parse(text)))


def imported_names(path: Path, module: str) -> Iterator[str]:
    """Dotted names a file imports, wherever in it, also by a name in a string."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes(path.read_text()):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
    yield from names_in_strings(path)


def names_in_strings(path: Path) -> Iterator[str]:
    """Dotted names that a file imports through importlib with a literal name."""
    for node in nodes(path.read_text()):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant))


def modules(root: Path) -> Iterator[tuple[str, Path]]:
    """Every module of the packages below `root`: its dotted name and its file."""
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = ("likewise", *path.relative_to(root).with_suffix("").parts)
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def adapter_of(module: str) -> str | None:
    """The framework whose folder a module lies in."""
    parts = module.split(".")
    inside = parts[1:3] == ["worker", "adapters"] and len(parts) > 3 and parts[3].endswith("_adapter")
    return parts[3].removesuffix("_adapter") if inside else None


def framework_packages(root: Path) -> dict[str, set[str]]:
    """By framework, the packages that only its adapter imports."""
    found: dict[str, set[str]] = {}
    for module, path in modules(root):
        if framework := adapter_of(module):
            tops = {name.partition(".")[0] for name in imported_names(path, module)}
            found.setdefault(framework, set()).update(tops - NO_FRAMEWORK)
    return found


def breaches(root: Path) -> list[str]:
    """Each import that breaks a rule, as `module imports name`."""
    owned = framework_packages(root)
    found = []
    for module, path in modules(root):
        own = adapter_of(module)
        refused = {name for framework, names in owned.items() if framework != own for name in names}
        found += [
            f"{module} imports {name}"
            for name in imported_names(path, module)
            if name.partition(".")[0] in refused or (own and adapter_of(name) not in (None, own))
        ]
        found += [
            f"{module} imports {name}"
            for name in names_in_strings(path)
            if name.startswith(NEVER[module.split(".")[1]])
        ]
    return found


def frameworks_asked_for(
    *packages: str, refused: set[str], at: Path = ROOT, skipped: tuple[str, ...] = ()
) -> list[str]:
    """What a fresh process that imports every module of `packages` asks for among `refused`."""
    command = [sys.executable, "-c", IMPORT_ALL, json.dumps([packages, sorted(refused), skipped])]
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    asked: list[str] = json.loads(done.stdout.splitlines()[-1])
    return asked


def all_framework_packages() -> set[str]:
    return set().union(*framework_packages(ROOT).values())


def test_each_adapter_imports_a_framework_of_its_own() -> None:
    owned = framework_packages(ROOT)
    assert "tensorflow" in owned["tensorflow"]
    assert owned["torch"] == {"torch"}
    assert not owned["tensorflow"] & owned["torch"]


def test_only_adapters_import_a_framework_and_no_string_names_a_package_beyond_reach() -> None:
    assert breaches(ROOT) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("shared/sneaky.py", "import torch"),
        ("producer/sneaky.py", "def late():\n    from tensorflow import keras"),
        ("producer/sneaky.py", "import importlib\nimportlib.import_module('likewise.worker.service.app')"),
        ("worker/sneaky.py", "import torch.nn"),
        ("worker/sneaky.py", "import importlib\nimportlib.import_module('likewise.producer.cli')"),
        ("worker/adapters/sneaky.py", "import torch"),
        ("worker/adapters/tensorflow_adapter/sneaky.py", "from ..torch_adapter import adapter"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, file: str, line: str) -> None:
    files = {
        "worker/adapters/tensorflow_adapter/adapter.py": "import numpy\nimport tensorflow",
        "worker/adapters/torch_adapter/adapter.py": "import torch\nfrom likewise.shared import run",
        "shared/run.py": "import json",
        file: line,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert len(breaches(tmp_path)) == 1


def test_a_fresh_process_with_all_of_producer_and_shared_asks_for_no_framework_and_no_worker() -> None:
    refused = all_framework_packages() | {"likewise.worker"}
    assert frameworks_asked_for("likewise.shared", "likewise.producer", refused=refused) == []


def test_a_fresh_process_with_all_of_the_worker_but_its_adapters_asks_for_no_framework() -> None:
    refused = all_framework_packages() | {"likewise.producer"}
    skipped = tuple(f"likewise.worker.adapters.{name}_adapter" for name in framework_packages(ROOT))
    skipped = (*skipped, "likewise.worker.__main__")
    assert frameworks_asked_for("likewise.worker", refused=refused, skipped=skipped) == []


def test_a_guarded_import_planted_in_a_fresh_process_is_seen(tmp_path: Path) -> None:
    (tmp_path / "planted").mkdir()
    (tmp_path / "planted/__init__.py").write_text("try:\n    import torch\nexcept ImportError:\n    pass\n")
    assert frameworks_asked_for("planted", refused={"torch"}, at=tmp_path) == ["torch"]


def layers_asked_for(root: Path) -> list[str]:
    """Where an adapter's folder compiles a model or asks a job for it, as `module: what`."""
    found = []
    for module, path in modules(root):
        if adapter_of(module) is None:
            continue
        compiling = ("likewise.shared.job.model", "likewise.shared.program.compil")
        found += [f"{module}: {name}" for name in imported_names(path, module) if name.startswith(compiling)]
        found += [
            f"{module}: {ast.unparse(node)}"
            for node in nodes(path.read_text())
            if isinstance(node, ast.Attribute) and node.attr == "model" and "job" in ast.unparse(node.value)
        ]
    return found


def test_adapters_are_handed_programs_and_ask_no_job_for_its_layers() -> None:
    assert layers_asked_for(ROOT) == []


@pytest.mark.parametrize(
    "line", ["from likewise.shared.program import compile_job", "def of(job):\n    return job.model.layers"]
)
def test_an_adapter_that_asks_a_job_for_its_layers_is_found(tmp_path: Path, line: str) -> None:
    folder = tmp_path / "worker/adapters/torch_adapter"
    folder.mkdir(parents=True)
    (folder / "adapter.py").write_text(line)
    assert len(layers_asked_for(tmp_path)) == 1
