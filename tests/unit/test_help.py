"""`--help`: quick, light, complete, and with an example for every command."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

HEAVY = {
    "celery", "kombu", "redis", "numpy", "pydantic", "plotly", "sklearn", "pyarrow", "yaml", "jinja2", "rich",
}  # fmt: skip
LIST_MODULES = """
import json, sys
sys.argv = ["likewise", *sys.argv[1:]]
from producer.cli import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def likewise(*words):
    return subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *words], capture_output=True, text=True, timeout=60, check=True
    )


def commands():
    from producer.cli import app

    return sorted(command.name for command in app.registered_commands)


def seconds_of(*command):
    """The quickest of several, which is the least disturbed."""
    taken = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], capture_output=True, check=True, timeout=60)
        taken.append(time.perf_counter() - began)
    return min(taken)


def test_help_imports_nothing_heavy():
    loaded = set(json.loads(likewise("--help").stderr))

    assert not loaded & HEAVY


def test_the_check_on_imports_sees_a_heavy_one():
    code = LIST_MODULES.replace("import json, sys", "import json, sys, numpy", 1)
    answer = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=60, check=True
    )

    assert set(json.loads(answer.stderr)) & HEAVY == {"numpy"}


def test_help_takes_at_most_twice_as_long_as_importing_typer():
    assert seconds_of("-m", "producer.cli", "--help") <= 2 * seconds_of("-c", "import typer")


def test_help_lists_every_command_under_its_heading():
    text = likewise("--help").stdout

    for name in commands():
        assert f"\n  {name} " in text
    assert "\nCompare:\n" in text
    assert "..." not in text.partition("Compare:")[2]


@pytest.mark.parametrize("name", commands())
def test_the_help_of_each_command_has_an_example_and_imports_nothing_heavy(name):
    answer = likewise(name, "--help")

    assert "Example" in answer.stdout
    assert f"likewise {name}" in answer.stdout
    # Typer itself reads arguments with pydantic; what else a command needs, it imports when it runs.
    assert not set(json.loads(answer.stderr)) & (HEAVY - {"pydantic"})


@pytest.mark.parametrize("name", commands())
def test_every_option_of_each_command_is_explained(name):
    lines = likewise(name, "--help").stdout.partition("Options:")[2].splitlines()

    for place, line in enumerate(lines):
        if line.startswith("  -"):
            explained = len(line.split("  ")) > 2 or (lines[place + 1 : place + 2] or [""])[0].startswith(
                "   "
            )
            assert explained, line
