"""Environments made for real by uv and by pip from an index of the tests' own: once, recovered, told.

Long, because every test needs the index, the wheels and the folders that are made at its top.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from likewise.producer.local import environments, installers, installing
from likewise.producer.local.home import Paths, WorkerEnvironment
from likewise.producer.local.processes import INSTALLER, leftovers, mark, sweep
from likewise.shared.errors import StackError, UsageError

ENSURE = """
import sys
from pathlib import Path
from likewise.producer.local import environments
from likewise.producer.local.home import Paths
from likewise.producer.local.home import WorkerEnvironment
paths, adapters = Paths(Path(sys.argv[1])), Path(sys.argv[2])
wanted = environments.find(paths, WorkerEnvironment(framework="toy"), adapters=adapters)
environments.ensure([wanted], paths, say=lambda line: print(line, flush=True))
"""


class Index:
    """A package index that has one small package, and that can be made to keep who downloads it waiting."""

    def __init__(self, folder: Path) -> None:
        self.wheels = [_toy_wheel(folder, "1.0")]
        self.open = threading.Event()
        self.open.set()
        self.asked = threading.Event()
        self.downloading = threading.Event()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.asked.set()
                if self.path.endswith(".whl"):
                    if self.command == "GET":
                        index.downloading.set()
                        index.open.wait(timeout=60)
                    (wheel,) = (one for one in index.wheels if self.path.endswith(one.name))
                    self._answer("application/octet-stream", wheel.read_bytes())
                elif "toy" in self.path:
                    links = [f'<a href="/files/{one.name}">{one.name}</a>' for one in index.wheels]
                    self._answer("text/html", "\n".join(links).encode())
                else:
                    self.send_error(404)

            do_HEAD = do_GET  # noqa: N815

            def _answer(self, kind: str, body: bytes) -> None:
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    if self.command == "GET":
                        self.wfile.write(body)
                except OSError:
                    pass  # the tool was killed while it waited

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/simple"

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _toy_wheel(folder: Path, version: str, *, weight: int = 0) -> Path:
    path = folder / f"toy-{version}-py3-none-any.whl"
    info = f"toy-{version}.dist-info"
    files = {
        "toy.py": f"VERSION = {version!r}\n" + "#" * weight,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: toy\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text)}"
        for name, text in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


class Toy:
    """One framework, `toy`, whose packages come from the tests' index."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.paths = Paths(folder / "home")
        self.adapters = folder / "worker" / "adapters"
        self.index = index
        self.said: list[str] = []
        self.started: list[subprocess.Popen[str]] = []
        (self.adapters / "toy_adapter").mkdir(parents=True)
        (self.adapters.parent / "constraints.txt").write_text("")
        self.require("toy")

    def require(self, *packages: str, index: str | None = None) -> None:
        (self.adapters / "toy_adapter" / "requirements-cpu.txt").write_text(
            "\n".join([f"--index-url {index or self.index.url}", *packages, ""])
        )

    @property
    def wanted(self) -> environments.VirtualEnvironment:
        return self.find()

    def find(self, *requirements: str) -> environments.VirtualEnvironment:
        wanted = WorkerEnvironment(framework="toy", requirements=requirements)
        return environments.find(self.paths, wanted, adapters=self.adapters)

    def tools(self) -> list[str]:
        return [step.tool for step in installers.steps(self.wanted.folder, self.wanted.packages)]

    def ensure(self) -> environments.VirtualEnvironment:
        environments.ensure([self.wanted], self.paths, say=self.said.append)
        return self.wanted

    def command(self) -> subprocess.Popen[str]:
        """The same in another process."""
        process = subprocess.Popen(
            [sys.executable, "-c", ENSURE, str(self.paths.home), str(self.adapters)],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """End the commands that still run, and the pip of each."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        sweep(mark(self.wanted.folder, INSTALLER))

    def installers(self) -> list[int]:
        return leftovers(mark(self.wanted.folder, INSTALLER))


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(tmp_path)
    yield index
    index.close()


@pytest.fixture(params=["uv", "pip"])
def tool(request: pytest.FixtureRequest) -> str:
    """The tool that makes the environments of the test."""
    return str(request.param)


@pytest.fixture
def toy(tmp_path: Path, index: Index, tool: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toy]:
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    if tool == "pip":
        monkeypatch.setenv("PIP_ONLY_BINARY", ":all:")  # which uv is not told
    toy = Toy(tmp_path, index)
    yield toy
    toy.close()


@pytest.fixture
def wait_for_download(toy: Toy, until: Callable[..., object]) -> Callable[[], None]:
    """Until the tool has asked for the package, which keeps it waiting."""

    def wait() -> None:
        assert toy.index.downloading.wait(timeout=60)
        until(toy.installers, within_s=10, what="the tool is running")

    return wait


def test_an_environment_is_made_once_and_says_how_far_it_is(toy):
    made = toy.ensure()
    version = subprocess.run(
        [made.interpreter, "-I", "-c", "import toy; print(toy.VERSION)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert version.stdout == "1.0\n"
    assert made.made().size_bytes > 1e4
    assert [line for line in toy.said if line.startswith("toy: ")] == [
        "toy: step 1 of 2, virtual environment",
        "toy: step 2 of 2, packages",
        "toy: ready",
    ]
    toy.said.clear()
    toy.index.asked.clear()
    toy.ensure()
    assert toy.said == []
    assert not toy.index.asked.is_set()


def test_a_half_made_environment_is_made_again(toy):
    half = toy.wanted.folder
    (half / "bin").mkdir(parents=True)
    (half / "bin" / "python").write_text("torn")
    assert toy.ensure().made() is not None
    assert (half / "bin" / "python").is_symlink()


def test_two_commands_at_once_make_it_once_and_the_second_says_that_it_waits(toy, wait_for_download):
    toy.index.open.clear()
    first = toy.command()
    wait_for_download()
    second = toy.command()
    assert "another likewise command is making the toy environment" in second.stdout.readline()
    toy.index.open.set()
    said, _ = first.communicate(timeout=60)
    assert "toy: ready" in said
    rest, problems = second.communicate(timeout=60)
    assert (second.returncode, rest, problems) == (0, "", "")


def test_ctrl_c_leaves_no_installer_and_nothing_half_made_and_the_next_command_succeeds(
    toy, wait_for_download
):
    toy.index.open.clear()
    command = toy.command()
    wait_for_download()
    command.send_signal(signal.SIGINT)
    _, problems = command.communicate(timeout=20)
    assert "KeyboardInterrupt" in problems
    assert toy.installers() == []
    assert not toy.wanted.folder.exists()
    toy.index.open.set()
    assert toy.ensure().made() is not None


def test_a_killed_command_takes_its_installer_along_and_the_next_one_recovers(toy, wait_for_download, until):
    toy.index.open.clear()
    command = toy.command()
    wait_for_download()
    command.kill()
    command.communicate(timeout=20)
    until(lambda: not toy.installers(), within_s=10, what="the installer is gone")
    assert toy.wanted.folder.exists()
    assert toy.wanted.made() is None
    toy.index.open.set()
    assert toy.ensure().made() is not None


def test_a_killed_installer_is_told_in_one_line_with_its_log(toy, tool, wait_for_download):
    toy.index.open.clear()

    def kill() -> None:
        wait_for_download()
        for pid in toy.installers():
            psutil.Process(pid).kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(
        StackError, match=rf"toy environment: {tool} was ended by SIGKILL.*Log: \S+$"
    ) as caught:
        toy.ensure()
    killer.join()
    assert "\n" not in str(caught.value)
    assert not toy.wanted.folder.exists()


def test_an_index_that_cannot_be_reached_is_told(toy, monkeypatch):
    monkeypatch.setenv("PIP_RETRIES", "1")  # without a retry pip does not say why it found nothing
    toy.require("toy", index="http://127.0.0.1:9/simple")
    with pytest.raises(StackError, match=r"package index cannot be reached.*PIP_INDEX_URL.*Log: ") as caught:
        toy.ensure()
    assert "\n" not in str(caught.value)


def test_a_package_that_the_index_lacks_is_named(toy):
    toy.require("toy==7.0")
    with pytest.raises(StackError, match=re.escape("no toy==7.0 for this Python and machine")):
        toy.ensure()


@pytest.mark.parametrize(
    ("name", "hint"), [("cntk", "(one of tensorflow, torch)"), ("torhc", "(did you mean torch?)")]
)
def test_an_unknown_framework_is_refused_with_what_is_meant_or_those_there_are(toy, name, hint):
    refusal = f"{name} is no framework that Likewise can train in {hint}"
    with pytest.raises(UsageError, match=re.escape(refusal)):
        environments.find(toy.paths, WorkerEnvironment(framework=name))


def test_changed_requirements_make_a_new_environment_and_the_old_one_goes_once_unused(toy):
    old = toy.ensure()
    toy.require("toy==1.0")
    new = toy.ensure()
    assert new.folder != old.folder
    kept = environments.remove_unused(toy.paths, needed=[new], in_use=[str(old.interpreter)])
    assert kept == []
    assert old.folder.exists()
    assert environments.remove_unused(toy.paths, needed=[new], in_use=[]) == [old.folder]
    assert new.made() is not None


def test_a_full_disk_is_told_with_the_way_out(toy, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(small)],
            capture_output=True,
            text=True,
            check=False,
        )
        if os.geteuid() == 0 and shutil.which("mount")
        else None
    )
    if mount is None or mount.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mount.stderr if mount else 'not root'}")
    try:
        toy.paths = Paths(small / "home")
        toy.index.wheels = [_toy_wheel(tmp_path, "1.0", weight=16_000_000)]
        with pytest.raises(StackError, match=r"the disk is full .*LIKEWISE_HOME") as caught:
            toy.ensure()
        assert "\n" not in str(caught.value)
        assert not toy.wanted.folder.exists()
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_interrupt_ends_the_installer_before_it_goes_on(toy, wait_for_download):
    """In this process, which lives on: nothing but the interrupt's own handling can end it."""
    toy.index.open.clear()

    def interrupt() -> None:
        wait_for_download()
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        toy.ensure()
    interrupter.join()
    assert toy.installers() == []
    assert not toy.wanted.folder.exists()


def test_each_tool_makes_what_is_its_own(toy, tool):
    assert toy.tools() == ["uv", tool]


def test_what_pip_is_told_by_its_settings_uv_does_too(toy, tmp_path, monkeypatch):
    (toy.adapters / "toy_adapter" / "requirements-cpu.txt").write_text("toy\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_CONSTRAINT", str(tmp_path / "own.txt"))
    (tmp_path / "own.txt").write_text("toy==1.0\n")
    assert toy.ensure().made() is not None
    assert not toy.index.asked.is_set()


@pytest.mark.parametrize("tool", ["uv"], indirect=True)
def test_where_an_index_is_silent_pip_goes_on_with_the_others(toy):
    toy.require("--extra-index-url http://127.0.0.1:9/simple", "toy")
    assert toy.tools() == ["uv", "pip"]
    assert toy.ensure().made() is not None


@pytest.mark.parametrize("tool", ["uv"], indirect=True)
def test_where_uv_cannot_be_had_pip_makes_everything(toy, monkeypatch):
    def missing() -> str:
        raise FileNotFoundError("uv has no program for this machine")

    monkeypatch.setattr("uv.find_uv_bin", missing)
    assert toy.tools() == ["venv", "pip"]
    assert toy.ensure().made() is not None


def test_no_wait_is_without_a_word(toy, wait_for_download, until, monkeypatch):
    monkeypatch.setattr(installing, "SPEAK_S", 0.3)
    toy.index.open.clear()

    def let_go() -> None:
        wait_for_download()
        until(
            lambda: any("step 2 of 2: " in line for line in toy.said), within_s=20, what="it says where it is"
        )
        toy.index.open.set()

    watcher = threading.Thread(target=let_go)
    watcher.start()
    toy.ensure()
    watcher.join()
    assert any(re.fullmatch(r"toy: step 2 of 2: .+, 0:\d\d", line) for line in toy.said), toy.said


@pytest.mark.parametrize("tool", ["uv"], indirect=True)
def test_two_environments_of_one_framework_live_side_by_side(toy):
    usual, other = toy.ensure(), toy.find("toy<2")
    environments.ensure([other, other], toy.paths, say=toy.said.append)
    assert usual.folder != other.folder
    assert other.made().environment == other.environment
    assert environments.remove_unused(toy.paths, needed=[usual], in_use=[]) == []
    assert environments.remove_unused(toy.paths, needed=[other], in_use=[]) == []
    names = {
        usual.environment.name,
        other.environment.name,
        WorkerEnvironment(framework="toy", device="cuda").name,
    }
    assert len(names) == 3
    assert usual.environment.name == "toy"


@pytest.mark.parametrize("asked", ["0.9", "0.*"])
def test_an_environment_of_another_version_is_made_beside_the_usual_one(toy, asked):
    toy.require("toy==1.0")
    toy.index.wheels.append(_toy_wheel(toy.paths.home.parent, "0.9"))
    usual = toy.ensure()
    wanted = WorkerEnvironment(framework="toy", version=asked)
    other = environments.find(toy.paths, wanted, adapters=toy.adapters)
    environments.ensure([other], toy.paths, say=toy.said.append)
    tell = "import toy; print(toy.VERSION)"
    versions = [subprocess.check_output([one.interpreter, "-c", tell], text=True) for one in (usual, other)]
    assert versions == ["1.0\n", "0.9\n"]


def test_a_version_that_there_is_not_is_told_with_the_version(toy):
    wanted = WorkerEnvironment(framework="toy", version="7.7")
    other = environments.find(toy.paths, wanted, adapters=toy.adapters)
    with pytest.raises(StackError, match=r"toy==7\.7"):
        environments.ensure([other], toy.paths, say=toy.said.append)
    assert not other.folder.exists()
