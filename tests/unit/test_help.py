"""`--help`: quick, light, complete, and with an example for every command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from likewise.producer.cli.app import app

ROOT = Path(__file__).parents[2]
HEAVY = {
    "celery", "kombu", "redis", "numpy", "pydantic", "sklearn", "pyarrow", "yaml", "jinja2", "rich",
}  # fmt: skip
LIST_MODULES = """
import json, sys
sys.argv = ["likewise", *sys.argv[1:]]
from likewise.producer.cli.app import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


HELP_OF_EACH = """
import contextlib, io, json, sys
from likewise.producer.cli.app import main
texts = {}
for name in sys.argv[1:]:
    sys.argv = ["likewise", name, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        main()
    texts[name] = said.getvalue()
print(json.dumps({"help": texts, "modules": sorted(sys.modules)}))
"""


def likewise(*words, code=LIST_MODULES):
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=True
    )


def commands():
    from likewise.producer.cli.app import app

    return sorted(command.name for command in app.registered_commands)


def test_help_imports_nothing_heavy():
    loaded = set(json.loads(likewise("--help").stderr))

    assert not loaded & HEAVY


def test_the_check_on_imports_sees_a_heavy_one():
    code = LIST_MODULES.replace("import json, sys", "import json, sys, numpy", 1)
    answer = subprocess.run(
        [sys.executable, "-c", code, "--help"], capture_output=True, text=True, timeout=60, check=True
    )

    assert set(json.loads(answer.stderr)) & HEAVY == {"numpy"}


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
def test_an_interrupt_while_importing_ends_with_a_word_and_130(tmp_path, signal):
    (tmp_path / "typer.py").write_text(f"import signal\nsignal.raise_signal(signal.{signal})")
    answer = subprocess.run(
        [sys.executable, "-m", "likewise.producer", "--help"],
        capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
    )  # fmt: skip

    assert (answer.returncode, answer.stderr) == (130, "likewise: interrupted\n")


def test_an_interrupt_in_the_middle_of_a_command_ends_with_a_word_and_130(monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    from likewise.producer.cli.app import main

    monkeypatch.setattr("likewise.producer.job.schema.editor_schema", interrupted)
    monkeypatch.setattr(sys, "argv", ["likewise", "schema"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 130
    assert capsys.readouterr().err == "likewise: interrupted\n"


def test_help_lists_every_command_under_its_heading():
    text = likewise("--help").stdout

    for name in commands():
        assert f"\n  {name} " in text
    assert "\nCompare:\n" in text
    assert "..." not in text.partition("Compare:")[2]


@pytest.fixture(scope="module")
def help_of_each():
    """By command, its help, all from one process; and what that process had imported by the end."""
    answer = likewise(*commands(), code=HELP_OF_EACH)
    said = json.loads(answer.stdout)
    assert sorted(said["help"]) == commands()
    return said


def test_the_help_of_each_command_has_an_example(help_of_each):
    for name, text in help_of_each["help"].items():
        assert "Example" in text, name
        assert f"likewise {name}" in text


def test_the_help_of_all_commands_imports_nothing_heavy(help_of_each):
    # Typer itself reads arguments with pydantic; what else a command needs, it imports when it runs.
    assert not set(help_of_each["modules"]) & (HEAVY - {"pydantic"})


def test_no_help_has_a_type_of_python(help_of_each):
    for name, text in help_of_each["help"].items():
        options = [
            line.split() for line in text.partition("Options:")[2].splitlines() if line.startswith("  -")
        ]
        for words in options:
            assert not {"int", "float", "str", "path"} & set(words[:4]), (name, words)
            assert "<" not in words[1], (name, words)


def test_every_option_of_each_command_is_explained(help_of_each):
    for name, text in help_of_each["help"].items():
        lines = text.partition("Options:")[2].splitlines()
        assert lines, name
        for line, after in zip(lines, [*lines[1:], ""], strict=True):
            if line.startswith("  -"):
                assert len(line.split("  ")) > 2 or after.startswith("   "), (name, line)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("bench", "matched", "--variant", "foo"), "'foo' is not one of 'eager', 'compiled', 'auto'."),
        (("bench", "matched", "--precision", "0"), "'0': expected 0.1 or more"),
        (("bench", "matched", "--precision", "101"), "'101': expected at most 100"),
        (("bench", "matched", "--budget", "x"), "'x': expected a number"),
        (("list", "--limit", "1.5"), "'1.5': expected a whole number"),
    ],
)
def test_a_wrong_option_is_told_with_its_value_and_what_would_be_right(words, told, monkeypatch, capsys):
    from likewise.producer.cli.app import main

    monkeypatch.setattr(sys, "argv", ["likewise", *words])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert capsys.readouterr().err.endswith(f"Error: Invalid value for '{words[-2]}': {told}\n")


def test_the_list_that_is_made_without_options_is_the_whole_list() -> None:
    whole = CliRunner().invoke(app, ["--help"], terminal_width=80).output
    listed = subprocess.run(
        [sys.executable, "-m", "likewise.producer", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "COLUMNS": "80"},
    ).stdout
    # After the first line, which has the program's name, and however wide the lines are.
    assert listed.partition("\n")[2].split() == whole.partition("\n")[2].split()


def run(words, monkeypatch, capsys):
    """The exit status of a command, its answer, what it said besides, and how loud it was."""
    from likewise.producer.cli.app import main
    from likewise.producer.output import loudness

    monkeypatch.setattr(sys, "argv", ["likewise", *words])
    before = loudness.set("normal")
    with pytest.raises(SystemExit) as ended:
        main()
    loud = loudness.get()
    loudness.reset(before)
    return ended.value.code, *capsys.readouterr(), loud


@pytest.mark.parametrize(
    ("words", "loud"),
    [
        (("version",), "normal"),
        (("-v", "version"), "verbose"),
        (("version", "-v"), "verbose"),
        (("--quiet", "version", "--json"), "quiet"),
        (("-q", "port", "-h"), "quiet"),
    ],
)
def test_how_much_is_said_may_stand_before_and_behind_the_command(words, loud, monkeypatch, capsys):
    status, answer, _, told = run(words, monkeypatch, capsys)

    assert (status, told) == (0, loud)
    assert answer


def test_quiet_before_a_command_and_verbose_behind_it_are_refused(monkeypatch, capsys):
    status, _, errors, _ = run(("-q", "version", "-v"), monkeypatch, capsys)

    assert (status, errors) == (2, "likewise: -q says less and -v says more; give one of the two\n")


def test_the_version_is_told_without_a_command_too(monkeypatch, capsys):
    assert run(("--version",), monkeypatch, capsys) == run(("version",), monkeypatch, capsys)
