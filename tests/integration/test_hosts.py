"""Producer, Redis and workers on hosts of their own, which are network namespaces here: docs/hosts.md.

Each host has an address, a cable that can be pulled or made slow, and no other way to the others; they share
the kernel, so that their names are given. The commands are those of docs/hosts.md, run as they stand there.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.conftest import eventually

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "hosts.md"
NAMES = ("redis.example", "producer.example", "tf.example", "torch.example", "spare.example")
ADDRESSES = {name: number for number, name in enumerate(NAMES, 1)}
LEASE_S = 3
LONG = pytest.mark.skipif(
    os.environ.get("LIKEWISE_HOSTS") != "all", reason="what happens to a cut or slow host: make hosts"
)

soon = partial(eventually, within_s=60)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


def commands(title: str) -> dict[str, str]:
    """The commands under a title of the page, by the host that each block names in its first line."""
    text = PAGE.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"```sh\n# (\S+)\n(.*?)```", text, re.DOTALL)
    return dict(found)


class Hosts:
    """Five hosts on one switch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = secrets.token_hex(2)
        self.started: list[subprocess.Popen[bytes]] = []
        names = "".join(f"10.77.0.{number} {name}\n" for name, number in ADDRESSES.items())
        ip("netns", "add", self.space("switch"))
        ip("-n", self.space("switch"), "link", "add", "switch", "type", "bridge")
        ip("-n", self.space("switch"), "link", "set", "switch", "up")
        for name, number in ADDRESSES.items():
            space, cable = self.space(name), f"c{number}"
            ip("netns", "add", space)
            known = Path("/etc/netns") / space / "hosts"
            known.parent.mkdir(parents=True)
            known.write_text(f"127.0.0.1 localhost\n{names}")
            pair = ("type", "veth", "peer", "name", cable, "netns", self.space("switch"))
            ip("-n", space, "link", "add", "eth0", *pair)
            ip("-n", self.space("switch"), "link", "set", cable, "master", "switch", "up")
            ip("-n", space, "address", "add", f"10.77.0.{number}/24", "dev", "eth0")
            for link in ("lo", "eth0"):
                ip("-n", space, "link", "set", link, "up")
            (folder / name).mkdir()

    def space(self, name: str) -> str:
        return f"likewise-{self.mark}-{name.partition('.')[0]}"

    def run(self, host: str, script: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a script on a host to its end."""
        return subprocess.run(
            self._command(host, script),
            cwd=self.folder / host, env=self._environment(host, variables),
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip

    def start(self, host: str, script: str, **variables: str) -> subprocess.Popen[bytes]:
        """Run a script on a host that does not end by itself; its log is in the host's folder."""
        with (self.folder / host / "log").open("ab") as log:
            process = subprocess.Popen(
                self._command(host, script),
                cwd=self.folder / host, env=self._environment(host, variables),
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        return process

    def cable(self, host: str, state: str) -> None:
        ip("-n", self.space("switch"), "link", "set", f"c{ADDRESSES[host]}", state)

    def slow(self, host: str) -> None:
        """Let a host's cable carry 256 kbit/s in each direction from now on."""
        ends = ((self.space("switch"), f"c{ADDRESSES[host]}"), (self.space(host), "eth0"))
        for space, link in ends:
            rate = ("tbf", "rate", "256kbit", "burst", "4kb", "latency", "2s")
            command = ["tc", "-n", space, "qdisc", "replace", "dev", link, "root", *rate]
            subprocess.run(command, check=True, capture_output=True, timeout=30)

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for name in (*ADDRESSES, "switch"):
            ip("netns", "delete", self.space(name))
            shutil.rmtree(Path("/etc/netns") / self.space(name), ignore_errors=True)

    def _command(self, host: str, script: str) -> list[str]:
        return ["ip", "netns", "exec", self.space(host), "bash", "-euc", script]

    def _environment(self, host: str, variables: dict[str, str]) -> dict[str, str]:
        bin_folder = self.folder / host / "bin"
        return {
            "PATH": f"{bin_folder}:{os.environ['PATH']}",
            "HOME": str(self.folder / host),
            "PYTHONPATH": str(ROOT),
            "LIKEWISE_HOST_ID": host,
            "LIKEWISE_CACHE_DIR": str(self.folder / host / "cache"),
            "LIKEWISE_LEASE_S": str(LEASE_S),
            **variables,
        }

    def python(self, host: str, interpreter: str, *, likewise: bool = False) -> None:
        """Give a host a Python, and with it the command."""
        folder = self.folder / host / "bin"
        folder.mkdir(exist_ok=True)
        (folder / "python").write_text(f'#!/bin/sh\nexec {interpreter} "$@"\n')
        if likewise:
            (folder / "likewise").write_text(f'#!/bin/sh\nexec {interpreter} -m likewise.producer "$@"\n')
        for file in folder.iterdir():
            file.chmod(0o755)


@pytest.fixture(scope="module")
def hosts(
    tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str], NoReturn]
) -> Iterator[Hosts]:
    """Redis is up under TLS, and a worker a framework, each on its own host."""
    server = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=False).stdout
    if not re.search(r"v=([7-9]|\d\d)\.", server) or shutil.which("openssl") is None:
        unavailable("there is no redis-server of version 7 with TLS, or no openssl, on PATH")
    frameworks = {"tf.example": "TENSORFLOW", "torch.example": "TORCH", "spare.example": "TORCH"}
    interpreters = {host: os.environ.get(f"LIKEWISE_TEST_PYTHON_{name}") for host, name in frameworks.items()}
    if not all(interpreters.values()):
        unavailable("LIKEWISE_TEST_PYTHON_TENSORFLOW and _TORCH name no Python of a worker")
    try:
        made = Hosts(tmp_path_factory.mktemp("hosts"))
    except (OSError, subprocess.CalledProcessError) as error:
        unavailable(f"network namespaces cannot be made here: {error}")
    try:
        made.python("redis.example", sys.executable)
        made.python("producer.example", sys.executable, likewise=True)
        for host, interpreter in interpreters.items():
            made.python(host, str(interpreter))
        begin_redis(made)
        for host in ("tf.example", "torch.example"):
            made.start(host, commands("Workers")[host])
        soon(lambda: len(live(made)) == 2, what="both workers are there")
        yield made
    finally:
        made.close()


def begin_redis(hosts: Hosts) -> None:
    folder = hosts.folder
    done = hosts.run("redis.example", commands("Passwords and a certificate")["redis.example"])
    assert done.returncode == 0, done.stderr
    for host in ADDRESSES:
        if host != "redis.example":
            user = "producer" if host == "producer.example" else "worker"
            for name in (f"{user}.password", "certificate.pem"):
                shutil.copy(folder / "redis.example" / name, folder / host / name)
    hosts.start("redis.example", commands("Redis")["redis.example"])


def commanded(hosts: Hosts, words: str) -> subprocess.CompletedProcess[str]:
    script = commands("Producers")["producer.example"]
    return hosts.run("producer.example", script.replace("likewise compare article", f"likewise {words}"))


def live(hosts: Hosts) -> list[dict[str, Any]]:
    done = commanded(hosts, "workers --json")
    workers = json.loads(done.stdout)["workers"] if done.returncode == 0 else []
    return [one for one in workers if one["state"] in ("idle", "busy")]


def likewise(hosts: Hosts, words: str) -> str:
    done = commanded(hosts, words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_comparison_goes_over_three_hosts(hosts: Hosts) -> None:
    document = json.loads(likewise(hosts, "compare matched --json"))
    assert document["verdict"] == "agree"
    where = {label: seeds[0]["environment"]["host"] for label, seeds in document["runs"].items()}
    assert where == {"tensorflow": "tf.example", "torch": "torch.example"}


@LONG
def test_a_host_that_is_cut_off_loses_its_run_to_another_and_comes_back(hosts: Hosts) -> None:
    words = "submit matched --sides torch --set training.epochs=900000 --set execution=eager --json"
    submitted = json.loads(likewise(hosts, words))
    experiment_id = submitted["experiment_id"]
    soon(lambda: any(one["state"] == "busy" for one in live(hosts)), what="it trains")
    hosts.cable("torch.example", "down")
    hosts.start("spare.example", commands("Workers")["torch.example"])

    def taken_over() -> bool:
        return any(one["state"] == "busy" and one["host"] == "spare.example" for one in live(hosts))

    soon(taken_over, what="the spare host has the run")
    assert "torch.example" not in {one["host"] for one in live(hosts)}
    hosts.cable("torch.example", "up")
    soon(lambda: "torch.example" in {one["host"] for one in live(hosts)}, what="the host is back")
    (run,) = json.loads(likewise(hosts, f"show {experiment_id} --json"))["runs"].values()
    assert (run["state"], run["attempt"]) == ("leased", 2)
    assert "spare.example" in {one["host"] for one in live(hosts) if one["run_id"] == run["run_id"]}
    likewise(hosts, f"cancel {experiment_id}")
    assert json.loads(likewise(hosts, "compare matched --json"))["verdict"] == "agree"


@LONG
def test_a_slow_host_takes_longer_and_agrees(hosts: Hosts) -> None:
    hosts.slow("torch.example")
    assert json.loads(likewise(hosts, "compare matched --json"))["verdict"] == "agree"
