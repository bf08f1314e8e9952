"""No public class name stands for two things, so that a name says which class is meant."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("producer", "shared", "worker")


def public_classes(path: Path) -> Iterator[str]:
    """The names of a module's own classes that begin without an underscore."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def twins(root: Path) -> dict[str, list[str]]:
    """Where each name stands that more than one class has.

    Adapters are left out: each has a class of its own for the same thing, under the same name.
    """
    found = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            if not path.is_relative_to(root / "worker" / "adapters"):
                for name in public_classes(path):
                    found[name].append(str(path.relative_to(root)))
    return {name: places for name, places in found.items() if len(places) > 1}


def test_no_two_classes_have_one_name() -> None:
    assert twins(ROOT) == {}


def test_a_planted_twin_is_seen_and_private_classes_and_adapters_are_not(tmp_path: Path) -> None:
    for place, text in {
        "producer/one.py": "class Twin: ...\nclass _Own: ...\n",
        "worker/training/other.py": "class Twin: ...\nclass _Own: ...\n",
        "worker/adapters/a.py": "class Network: ...\n",
        "worker/adapters/b.py": "class Network: ...\n",
    }.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert twins(tmp_path) == {"Twin": ["producer/one.py", "worker/training/other.py"]}
