"""Writes a `port.yaml` and a file a side, from two programs."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path

from likewise.producer.port.file import Port, SideProgram
from likewise.producer.port.frameworks import frameworks
from likewise.shared.errors import UsageError

_TEMPLATES = {"loss": "outputs, targets", "optimizer": "model"}
"""What a side's file should define beside its model, with its arguments."""
_TAKEN = ("loss", "optimizer", "step", "data", "evaluate", "inputs")
"""What is taken over from the program, where it has it (see `worker.port.userfile`)."""


def write_port(port: Port, folder: Path, *, force: bool) -> list[Path]:
    """Write the files of a port; return their paths. Raises UsageError for one that is there already."""
    sides = {one.label: folder / f"{one.label}_side.py" for one in port.programs}
    texts = {sides[one.label]: _side(one, folder) for one in port.programs}
    texts = {folder / "port.yaml": _yaml(port, sides, folder), **texts}
    there = [path for path in texts if path.exists()]
    if there and not force:
        raise UsageError(f"{there[0]} is there already; --force writes over it")
    for path, text in texts.items():
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}") from None
    return list(texts)


def unwritten(program: SideProgram) -> list[str]:
    """Return which of loss and optimizer a program does not define; one with a step of its own needs none."""
    there = _defined(program.file)
    return [] if "step" in there else [name for name in _TEMPLATES if name not in there]


def _yaml(port: Port, sides: Mapping[str, Path], folder: Path) -> str:
    lines = ["schema_version: 1", f"name: {port.name}"]
    if port.batch is not None:
        lines += ["data:", "  type: npz", f"  path: {os.path.relpath(port.batch, folder)}"]
    else:
        lines += ["# data: {type: npz, path: batch.npz}   # x and y: what both programs are fed"]
    lines += ["sides:   # the first is the reference"]
    for one in port.programs:
        lines += [
            f"  {one.label}:",
            f"    framework: {one.framework}",
            f"    program: {sides[one.label].name}",
        ]
        if one.environment is None:
            lines += [
                "    # environment: ../.venv   # a virtual environment of your own",
                "    # requirements: [PACKAGE]   # or packages for an environment that Likewise makes",
            ]
        else:
            lines += [f"    environment: {os.path.relpath(one.environment.parents[1], folder)}"]
    return "\n".join(lines) + "\n"


def _side(program: SideProgram, folder: Path) -> str:
    spelled = frameworks()[program.framework]
    there = _defined(program.file)
    names = [f"{program.maker or 'model'} as make", *(name for name in _TAKEN if name in there)]
    missing = unwritten(program)
    parts = [f'"""The {program.label} side of the port: Likewise calls these functions."""\n']
    away = os.path.relpath(program.file.parent, folder)
    if away != ".":
        parts.append(
            "import sys\nfrom pathlib import Path\n\n"
            f"sys.path.insert(0, str(Path(__file__).parent / {away!r}))\n"
        )
    parts.append(f"import {spelled['import']}\nfrom {program.file.stem} import {', '.join(names)}\n")
    parts.append("\ndef model():\n    return make()\n")
    if missing:
        parts.append(
            "\n# Each of these opens the rungs above the forward pass. Write them as your training has them."
        )
    parts += [f"#\n# def {name}({_TEMPLATES[name]}):\n#     return {spelled[name]}" for name in missing]
    return "\n".join(parts) + ("\n" if missing else "")


def _defined(file: Path) -> set[str]:
    """Return the names that a file defines, assigns or imports at its top."""
    found: set[str] = set()
    for one in ast.parse(file.read_bytes()).body:
        if isinstance(one, ast.FunctionDef | ast.ClassDef):
            found.add(one.name)
        elif isinstance(one, ast.Assign):
            found |= {target.id for target in one.targets if isinstance(target, ast.Name)}
        elif isinstance(one, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in one.names}
    return found
