"""The command from end to end: what docs/port.md shows is what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def likewise(*arguments: str, home: Path, environments: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "likewise.producer", *arguments],
        env={
            **os.environ,
            "LIKEWISE_HOME": str(home),
            "LIKEWISE_ENVIRONMENTS": str(environments),
            "PYTHONPATH": str(ROOT),
        },
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_what_the_page_shows_is_what_is_printed(home: Path, environments: Path) -> None:
    answer = likewise(
        *("port", "check", "keras_code.py", "torch_code.py", "--batch", "batch.npz", "--check"),
        home=home, environments=environments, cwd=ROOT / "examples" / "port",
    )  # fmt: skip
    assert answer.returncode == 1, answer.stderr
    page = (ROOT / "docs" / "port.md").read_text()
    shown = page.partition("$ likewise port check keras_code.py torch_code.py --batch batch.npz\n")[2]
    told = [
        line for line in answer.stdout.rstrip().splitlines() if "apart)" not in line
    ]  # rounding's last digits
    assert told == [line for line in shown.partition("\n```")[0].splitlines() if "apart)" not in line]


def test_a_port_file_is_written_and_its_json_says_what_is_next(
    tmp_path: Path, home: Path, environments: Path
) -> None:
    example = ROOT / "examples" / "port"
    arguments = [str(example / "keras_code.py"), str(example / "torch_code.py")]
    batch = ["--batch", str(example / "batch.npz")]
    written = likewise("port", "init", *arguments, *batch, home=home, environments=environments, cwd=tmp_path)
    assert written.returncode == 0, written.stderr
    again = likewise("port", "init", *arguments, home=home, environments=environments, cwd=tmp_path)
    assert again.returncode == 2
    assert "is there already" in again.stderr
    answer = likewise(
        "port", "check", "port.yaml", "--json", "--until", "mapping",
        home=home, environments=environments, cwd=tmp_path,
    )  # fmt: skip
    document = json.loads(answer.stdout)
    kept = likewise("show", "last", "--json", home=home, environments=environments, cwd=tmp_path)
    assert json.loads(kept.stdout) == document, "the local stack keeps it"
    assert [rung["name"] for rung in document["rungs"]] == ["settings", "mapping"]
    assert document["next"].startswith("padding of conv")
    assert {row["status"] for row in document["mapping"]} == {"proved"}


def test_a_program_that_fails_is_told_with_its_own_line(
    tmp_path: Path, home: Path, environments: Path
) -> None:
    (tmp_path / "bad.py").write_text("import torch\n\n\ndef model():\n    return torch.nn.Linear(2)\n")
    (tmp_path / "dies.py").write_text("import torch, os\n\n\ndef model():\n    os._exit(3)\n")
    (tmp_path / "good.py").write_text("import torch\n\n\ndef model():\n    return torch.nn.Linear(2, 2)\n")
    (tmp_path / "lacks.py").write_text("import torch\nimport nowhere_to_be_found\n")
    for name, words in (
        ("bad.py", "bad.py:5"),
        ("dies.py", "ended its process (status 3)"),
        (
            "lacks.py",
            "name its package, which Likewise installs into one of its own (requirements: [PACKAGE])",
        ),
    ):
        answer = likewise(
            "port", "check", "good.py", name, home=home, environments=environments, cwd=tmp_path
        )
        assert answer.returncode == 3, answer.stderr
        assert words in answer.stderr
        assert "Traceback" not in answer.stderr


def test_a_converted_checkpoint_is_read_by_the_other_side(
    tmp_path: Path, home: Path, environments: Path
) -> None:
    for label in ("keras", "torch"):
        text = (ROOT / "tests" / "ports" / "programs" / f"pictures_{label}.py").read_text()
        (tmp_path / f"{label}_side.py").write_text(text)
    sides = "sides:\n  keras: {program: keras_side.py}\n  torch: {program: torch_side.py}\n"
    (tmp_path / "port.yaml").write_text(f"schema_version: 1\n{sides}")
    arguments = ("port", "convert", "port.yaml", "--to", "torch", "-o", "net.pt")
    answer = likewise(*arguments, home=home, environments=environments, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "wrote net.pt: 8 weights" in answer.stdout
    both = sides.replace("torch_side.py}", "torch_side.py, checkpoint: net.pt}")
    (tmp_path / "port.yaml").write_text(f"schema_version: 1\n{both}")
    answer = likewise(
        "port", "map", "port.yaml", "--json", home=home, environments=environments, cwd=tmp_path
    )
    assert {row["status"] for row in json.loads(answer.stdout)["mapping"]} == {"proved"}
    assert "status: proved" in (tmp_path / "mapping.lock.yaml").read_text()
