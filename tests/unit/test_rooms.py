"""A room says in its `__init__` what each of its modules is for, where it has many."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MANY = 10
ROOMS = sorted(
    file.parent
    for top in ("producer", "shared", "worker")
    for file in (ROOT / top).rglob("__init__.py")
    if len(list(file.parent.glob("*.py"))) > MANY
)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_each_module_of_a_large_room_is_named_in_it(room: Path) -> None:
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    words = re.findall(r"[\w*]+", said)
    modules = {file.stem for file in room.glob("*.py")} - {"__init__", "__main__"}
    assert [name for name in sorted(modules) if not any(fnmatchcase(name, word) for word in words)] == []
