"""Every fenced block of the README, the documentation and the guides of folders is run, or has a reason.

Commands are run as they stand, in a terminal and one folder for each page, and what a page shows of their
output has to be printed: every word of it, in this order, but for numbers, ids and bars. YAML is read as a
job file; a piece of one is laid over the page's last whole one. Python is run. `blocks.py` says what is known
of each; `make blocks` runs those that take long, too.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from likewise.producer.job.jobfile import read_experiment
from likewise.producer.port.file import read_port

from . import blocks as known
from .blocks import ROOT, Block, blocks

ALL = os.environ.get("LIKEWISE_BLOCKS") == "all"
SHORT = [one for one in blocks() if not one.is_among({**known.ELSEWHERE, **known.NOT_RUN})]
COLUMNS = 100
_BARS = re.compile("[▁▂▃▄▅▆▇█▉▊▋▌▍▎▏]+")
_ID = re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{8,20}\b")
_NUMBER = re.compile(r"\d[\d.,]*(e[-+]?\d+)?")
_UNIT = re.compile(r"# (ms|s|min)\b")


HAS = {"docs/port.md": ROOT / "examples" / "port", "docs/experiments.md": Path(__file__).parent / "flats"}
"""The files that a reader of a page has."""


@dataclass(frozen=True)
class Desktop:
    """A reader's machine: a command `likewise`, and a folder for each page."""

    folder: Path
    environment: dict[str, str]
    programs: Path
    """The folder of programs that the workers read; only docs/stock.md has set it."""

    def of(self, page: str) -> Path:
        """Return the folder of a page, in which its files are."""
        folder = self.folder / page.replace("/", "-")
        if not folder.exists():
            folder.mkdir()
            if page in HAS:
                shutil.copytree(HAS[page], folder, dirs_exist_ok=True)
        return folder

    def run(self, command: str, page: str) -> subprocess.CompletedProcess[str]:
        """Run a command of a page in a shell whose standard output is a terminal."""
        settings = {"LIKEWISE_PROGRAMS": str(self.programs)} if page == "docs/stock.md" else {}
        ours, theirs = pty.openpty()
        heard: list[bytes] = []

        def listen() -> None:
            try:
                while piece := os.read(ours, 65_536):
                    heard.append(piece)
            except OSError:  # the other end is closed
                return

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            done = subprocess.run(
                ["bash", "-e", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=subprocess.PIPE,
                cwd=self.of(page),
                env=self.environment | settings,
                timeout=400,
                check=False,
            )
        finally:
            os.close(theirs)
            listener.join()
            os.close(ours)
        out = b"".join(heard).decode().replace("\r\n", "\n")
        return subprocess.CompletedProcess(command, done.returncode, out, done.stderr.decode())


def environment_of(framework: str) -> Path:
    """Return the environment that the suite was given for a framework; its worker is there already."""
    return Path(os.environ[f"LIKEWISE_TEST_PYTHON_{framework.upper()}"]).parents[1]


@pytest.fixture(scope="module")
def desktop(
    redis_server: Any,
    session_worker: Callable[[str], Any],
    programs_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Desktop:
    session_worker("tensorflow")
    session_worker("torch")
    folder = tmp_path_factory.mktemp("desktop")
    programs = folder / "bin"
    programs.mkdir()
    environments = folder / "environments"
    environments.mkdir()
    for framework in ("tensorflow", "torch"):
        (environments / framework).symlink_to(environment_of(framework))
    for name, words in (("likewise", "-m likewise.producer "), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
        (programs / name).chmod(0o755)
    return Desktop(
        folder,
        {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(ROOT),
            "LIKEWISE_REDIS_URL": redis_server.url_of("producer"),
            "LIKEWISE_ENVIRONMENTS": str(environments),
            "TERM": "xterm",
            "NO_COLOR": "1",
            "COLUMNS": str(COLUMNS),
        },
        programs_folder,
    )


@pytest.mark.parametrize("block", SHORT, ids=lambda block: block.name)
def test_a_block_does_what_its_page_says(block: Block, desktop: Desktop) -> None:
    if block.is_among(known.LONG) and not ALL:
        pytest.skip("takes long: make blocks")
    for command in block.found_in(known.BEFORE) or ():
        done = desktop.run(command, block.page)
        assert done.returncode == 0, done.stdout + done.stderr
    if block.language == "yaml":
        read(block, desktop.of(block.page))
    elif block.language == "python":
        run_python(block, desktop)
    else:
        run_commands(block, desktop)


def run_commands(block: Block, desktop: Desktop) -> None:
    """Run each command of a block, and find in what it prints what is shown."""
    printer = block.found_in(known.PRINTED_BY)
    commands = [(printer, block.text)] if printer else block.commands
    if block.is_among(known.SOME_LINES):
        commands = [(command, shown.replace("\n", "\n…\n")) for command, shown in commands]
    assert commands, (
        "nothing of this block is a command; say in blocks.py who prints it, or why it is not run"
    )
    for command, shown in commands:
        if any(word in command for word in known.LEFT_OUT):
            continue
        done = desktop.run(command, block.page)
        refused = "likewise: " in shown
        assert (done.returncode != 0) == refused or "--check" in command, done.stdout + done.stderr
        if not block.is_among(known.TIMED):
            assert_shown(shown, done.stderr if refused else done.stdout)


def assert_shown(shown: str, printed: str) -> None:
    """Find every word that is shown, in this order; at a `…` of its own line others may be left out."""
    text, place = words_of(printed), 0
    for piece in re.split(r"^…$", shown, flags=re.MULTILINE):
        wanted = words_of(piece)
        found = text.find(wanted, place)
        assert found >= 0, f"this is not printed:\n{wanted}\n\nbut this is:\n{text[place:]}"
        place = found + len(wanted)


def words_of(text: str) -> str:
    """Return the words, with a # for each number and each id: these are the machine's, and the day's."""
    without = _NUMBER.sub("#", _ID.sub("#", _BARS.sub("", text.replace("•", "-"))))
    return " ".join(_UNIT.sub("# s", without).split())


def read(block: Block, folder: Path) -> None:
    """Read a block as a job file, or as a port.yaml; a piece is laid over the last whole job of its page."""
    given = yaml.safe_load(block.text)
    if any("program" in side for side in given.get("sides", {}).values()):
        for side, name in (("keras", "keras_code"), ("torch", "torch_code")):
            text = f"import {side}\nfrom {name} import loss, model, optimizer\n"
            (folder / f"{side}_side.py").write_text(text)
        (folder / "port.yaml").write_text(block.text.replace("../.venv", str(environment_of("torch"))))
        assert read_port([str(folder / "port.yaml")], None).programs
        return
    if "updates" in given.get("training", {}):
        file = folder / "port.yaml"
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | given, sort_keys=False))
        assert read_port([str(file)], None).seeds == (0,)
        return
    if "schema_version" not in given:
        before = [one for one in blocks() if one.page == block.page and one.line < block.line]
        jobs = [one.text for one in before if one.language == "yaml" and "schema_version" in one.text]
        base = yaml.safe_load(jobs[-1]) if jobs else JOB
        given = {**{key: base[key] for key in base if key != "frameworks" or "sides" not in given}, **given}
    (folder / "job.yaml").write_text(yaml.safe_dump(given, sort_keys=False))
    read_experiment(str(folder / "job.yaml"), ())


JOB = {
    "schema_version": 1,
    "name": "job",
    "data": {"type": "inline", "x": [0, 1], "y": [0, 1]},
    "model": {"layers": [{"type": "dense", "units": 1}]},
    "loss": "mse",
    "optimizer": {"type": "sgd", "learning_rate": 0.01},
    "training": {"epochs": 2},
}
"""The job over which a piece is laid on a page without a whole one."""


def run_python(block: Block, desktop: Desktop) -> None:
    """Run a block of Python; one that begins with a file's name is that file."""
    head, _, body = block.text.partition("\n")
    if named := re.fullmatch(r"# ([\w.]+\.py)", head):
        (desktop.of(block.page) / named[1]).write_text(body)
        return
    file = desktop.of(block.page) / "block.py"
    text = block.text
    for piece in known.WITHOUT:
        text = text.replace(piece, "")
    file.write_text(text)
    done = desktop.run(f"python {file}", block.page)
    assert done.returncode == 0, done.stderr


def test_what_is_known_of_blocks_is_of_blocks_that_there_are() -> None:
    every = [*blocks()]
    for table in (known.ELSEWHERE, known.NOT_RUN, known.PRINTED_BY, known.BEFORE, known.LONG, known.TIMED):
        unused = [key for key in table if not any(one.is_among([key]) for one in every)]
        assert unused == []
    for (page, begin), test in known.ELSEWHERE.items():
        assert (ROOT / test).exists(), f"{page} {begin}"


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        ("final loss 1\n…\nend 2", "final loss 9\nmore\nend 8", True),
        ("final loss 1\nend 2", "final loss 9\nmore\nend 8", False),
        ("b 1\n…\na 2", "a 1\nb 2", False),
        ("curve ▁▂ 5", "curve ▇▇▇ 7", True),
        ("agree", "differ", False),
        ("takes 5 ms", "takes 0.2 s", True),
    ],
)
def test_what_is_not_printed_is_found(shown: str, printed: str, fits: bool) -> None:
    if fits:
        assert_shown(shown, printed)
    else:
        with pytest.raises(AssertionError):
            assert_shown(shown, printed)
