"""docs/porting.md, run as it stands: files, edits, commands, and what they print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.ports.test_port_command import ROOT, likewise

BLOCKS = re.compile(r"^```(python|diff|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_tutorial_goes_from_two_files_to_a_proved_port(
    tmp_path: Path, home: Path, environments: Path
) -> None:
    page = (ROOT / "docs" / "porting.md").read_text()
    printed = []
    for kind, text in BLOCKS.findall(page):
        if kind == "console":
            printed += [run(command, home, environments) for command in commands(text)]
        else:
            head, body = text.split("\n", 1)
            name, _, place = head.removeprefix("# ").partition(", ")
            write(tmp_path / name, body, kind=kind, appended=bool(place))
    assert [one.partition(" ")[0] for one in printed] == ["", "wrote", "keras_code:", "keras_code:"]
    assert "✓ settings   ✓ mapping   ✓ forward   ✓ loss   ✓ gradients   ✓ update   ✓ updates" in printed[-1]


def commands(text: str) -> list[tuple[str, str]]:
    """Each command of a block, with what is shown to be printed."""
    return [
        (command, shown)
        for command, _, shown in (one.partition("\n") for one in f"\n{text}".split("\n$ ")[1:])
    ]


def run(asked: tuple[str, str], home: Path, environments: Path) -> str:
    """Run a command; all that it prints must be shown, but for the last digits of rounding."""
    command, shown = asked
    program, *words = command.split()
    folder = home.parent
    if program == "python":
        subprocess.run([sys.executable, *words], cwd=folder, check=True)
        return ""
    answer = likewise(*words, home=home, environments=environments, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert without_rounding(answer.stdout) == without_rounding(shown)
    return answer.stdout


def without_rounding(text: str) -> list[str]:
    return [re.sub(r"\(\S+ apart\)", "(apart)", line) for line in text.rstrip().splitlines()]


def write(file: Path, body: str, *, kind: str, appended: bool) -> None:
    """Write a file, add to one, or make the edits of a diff, each of which must find its line."""
    if kind == "diff":
        code = file.read_text().splitlines()
        lines = [line for line in body.splitlines() if line]
        for old, new in zip(lines[::2], lines[1::2], strict=True):
            assert (old[0], new[0], code.count(old[1:])) == ("-", "+", 1)
            code[code.index(old[1:])] = new[1:]
        file.write_text("\n".join([*code, ""]))
    elif appended:
        file.write_text(f"{file.read_text()}\n\n{body}")
    else:
        file.write_text(f"# {file.name}\n{body}")
