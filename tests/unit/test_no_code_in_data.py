"""Data never become code: nothing unpickles, evaluates, or loads an array that could hold Python objects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")
CALLS = ("eval", "exec", "compile", "__import__")
LOADERS = {
    ("np", "load"): ("allow_pickle", False),
    ("np", "savez"): ("allow_pickle", False),
    ("torch", "load"): ("weights_only", True),
}
"""Functions that can make code of data, and the argument that keeps them from it."""
YAML = ("load", "load_all", "full_load", "unsafe_load")


def dangers(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            )
            yield from (f"imports {name}" for name in names if name.partition(".")[0] in MODULES)
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in CALLS:
            yield f"calls {node.func.id}"
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
            called = (node.func.value.id, node.func.attr)
            if called[0] == "yaml" and called[1] in YAML:
                yield f"calls yaml.{called[1]}"
            if called in LOADERS:
                argument, wanted = LOADERS[called]
                given = {word.arg: word.value for word in node.keywords}.get(argument)
                if not isinstance(given, ast.Constant) or given.value is not wanted:
                    yield f"calls {'.'.join(called)} without {argument}={wanted}"


@pytest.mark.parametrize("package", ["shared", "producer", "worker"])
def test_no_module_makes_code_of_data(package: str) -> None:
    found = {
        str(file.relative_to(ROOT)): list(dangers(file.read_text()))
        for file in sorted((ROOT / package).rglob("*.py"))
    }
    assert {name: said for name, said in found.items() if said} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "np.load(file)",
        "np.load(file, allow_pickle=True)",
        "torch.load(file)",
        "yaml.load(text, Loader=yaml.Loader)",
        "eval(text)",
    ],
)
def test_each_danger_is_seen(source: str) -> None:
    assert list(dangers(source))
