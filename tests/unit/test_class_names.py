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


def adapter_of(path: Path) -> str | None:
    """The adapter whose room a module is in; None outside of them."""
    parts = path.parts
    return parts[2] if parts[:2] == ("worker", "adapters") and len(parts) > 3 else None


def twins(root: Path) -> dict[str, list[str]]:
    """Where each name stands that more than one class has.

    Two adapters may each have a class of their own for the same thing, under the same name.
    """
    found = defaultdict(list)
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            for name in public_classes(path):
                found[name].append(path.relative_to(root))
    return {
        name: [str(path) for path in paths]
        for name, paths in found.items()
        if len(paths) > 1 and not each_in_an_adapter_of_its_own(paths)
    }


def each_in_an_adapter_of_its_own(paths: list[Path]) -> bool:
    """Whether each module is in the room of another adapter."""
    adapters = {adapter_of(path) for path in paths}
    return None not in adapters and len(adapters) == len(paths)


def test_no_two_classes_have_one_name() -> None:
    assert twins(ROOT) == {}


def test_a_planted_twin_is_seen_and_a_private_class_and_another_adapters_are_not(tmp_path: Path) -> None:
    for place, text in {
        "producer/one.py": "class Twin: ...\nclass _Own: ...\n",
        "worker/training/other.py": "class Twin: ...\nclass _Own: ...\n",
        "worker/adapters/a/one.py": "class Network: ...\nclass Slot: ...\n",
        "worker/adapters/b/one.py": "class Network: ...\nclass Taken: ...\n",
        "worker/adapters/a/two.py": "class Slot: ...\n",
        "shared/taken.py": "class Taken: ...\n",
    }.items():
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert twins(tmp_path) == {
        "Twin": ["producer/one.py", "worker/training/other.py"],
        "Slot": ["worker/adapters/a/one.py", "worker/adapters/a/two.py"],
        "Taken": ["shared/taken.py", "worker/adapters/b/one.py"],
    }
