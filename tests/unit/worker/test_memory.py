"""The control group of a process is found as the kernel shows it, in both versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from likewise.worker.service.memory import LOOKS_AT_DYING, Kills, MemoryGroup

HOST_VERSION_1 = "9:name=systemd:/\n4:memory:{path}\n3:cpu,cpuacct:/x\n0::/\n"
HOST_VERSION_2 = "0::{path}\n"
MB = 2**20


class Kernel:
    """A folder laid out as the kernel lays out its groups and its processes."""

    def __init__(self, folder: Path) -> None:
        self.root, self.proc = folder / "cgroup", folder / "proc"

    def write(self, file: Path, text: str) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def group(self, path: str, **files: str) -> None:
        for name, text in files.items():
            self.write(self.root / path / name.replace("__", "."), text)

    def found(self, memberships: str) -> MemoryGroup:
        self.write(self.proc / "self" / "cgroup", memberships)
        return MemoryGroup.of_this_process(root=self.root, proc=self.proc)

    def process(self, pid: int, *, megabytes: int) -> None:
        import os

        pages = megabytes * MB // os.sysconf("SC_PAGE_SIZE")
        self.write(self.proc / str(pid) / "statm", f"9999 {pages} 0 0 0 0 0\n")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path)


VERSION_2: dict[str, Any] = {
    "memory__events": "low 0\nhigh 0\nmax 31\noom 2\noom_kill 2\noom_group_kill 0\n",
    "memory__peak": f"{511 * MB}\n",
    "memory__max": f"{512 * MB}\n",
    "cgroup__procs": "41\n42\n",
}
VERSION_1: dict[str, Any] = {
    "memory__oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    "memory__max_usage_in_bytes": f"{511 * MB}\n",
    "memory__limit_in_bytes": f"{512 * MB}\n",
    "cgroup__procs": "41\n42\n",
}


@pytest.mark.parametrize(
    ("folder", "files", "memberships"),
    [
        ("", VERSION_2, HOST_VERSION_2.format(path="/")),  # in a container of its own name space
        ("", VERSION_2, HOST_VERSION_2.format(path="/docker/abc")),  # told the path on the host
        ("docker/abc", VERSION_2, HOST_VERSION_2.format(path="/docker/abc")),  # on the host itself
        ("unified/docker/abc", VERSION_2, HOST_VERSION_2.format(path="/docker/abc")),  # beside version 1
        ("memory/docker/abc", VERSION_1, HOST_VERSION_1.format(path="/docker/abc")),
        ("memory", VERSION_1, HOST_VERSION_1.format(path="/docker/abc")),
    ],
)
def test_a_group_is_found_with_its_kills_its_peak_and_its_limit(
    kernel: Kernel, folder: str, files: dict[str, Any], memberships: str
) -> None:
    kernel.group(folder, **files)
    group = kernel.found(memberships)
    assert (group.kills, group.peak_bytes, group.limit_bytes) == (2, 511 * MB, 512 * MB)
    assert group.words() == "its container ran out of memory: it took 511 MB of 512 MB"


def test_the_kills_of_a_group_inside_are_not_its_own(kernel: Kernel) -> None:
    kernel.group("", **VERSION_2, memory__events__local="oom 0\noom_kill 0\n")
    assert kernel.found("0::/\n").kills == 0


@pytest.mark.parametrize(("others_mb", "fits_later"), [(100, False), (400, True)])
def test_what_took_most_of_the_limit_by_itself_cannot_fit(
    kernel: Kernel, others_mb: int, fits_later: bool
) -> None:
    kernel.group("", **VERSION_2)
    kernel.process(41, megabytes=others_mb)  # 42 is dead by now
    assert kernel.found("0::/\n").cannot_fit() is not fits_later


def test_what_has_taken_the_place_of_a_killed_process_is_not_counted(kernel: Kernel) -> None:
    kernel.group("", **VERSION_2)
    kernel.process(41, megabytes=400)  # the next child, which has begun already
    assert kernel.found("0::/\n").cannot_fit(besides=[41])


def test_a_kill_is_the_childs_though_it_was_seen_alive_after_it(kernel: Kernel) -> None:
    """On a busy machine a process that the kernel kills lives on for a while."""

    def killed(times: int) -> None:
        kernel.group("", memory__events=f"oom_kill {times}\n")

    killed(1)
    kills = Kills(kernel.found("0::/\n"))
    assert not kills.any
    killed(2)
    for _ in range(LOOKS_AT_DYING):
        kills.see_alive()
        assert kills.any
    kills.see_alive()
    assert not kills.any  # it lives on: another one was killed
    killed(3)
    assert kills.any
    kills.forget()
    assert not kills.any


@pytest.mark.parametrize(
    ("folder", "files", "no_limit", "memberships"),
    [
        ("a/b", VERSION_2, {"memory__max": "max\n"}, HOST_VERSION_2),
        ("memory/a/b", VERSION_1, {"memory__limit_in_bytes": "9223372036854771712\n"}, HOST_VERSION_1),
    ],
)
def test_a_group_without_a_limit_has_that_of_the_group_around_it(
    kernel: Kernel, folder: str, files: dict[str, Any], no_limit: dict[str, str], memberships: str
) -> None:
    kernel.group(folder, **files | no_limit)
    found = memberships.format(path="/a/b")
    assert kernel.found(found).limit_bytes is None
    assert kernel.found(found).words() == "its host ran out of memory, and the kernel killed it"
    assert not kernel.found(found).cannot_fit()
    kernel.group(folder.removesuffix("/b"), **files)
    assert kernel.found(found).limit_bytes == 512 * MB


def test_without_groups_the_kills_of_the_host_count(kernel: Kernel) -> None:
    kernel.write(kernel.proc / "vmstat", "nr_free_pages 12\noom_kill 3\n")
    group = kernel.found("")
    assert (group.kills, group.limit_bytes, group.peak_bytes) == (3, None, None)


def test_a_group_without_a_peak_says_so(kernel: Kernel) -> None:
    files = {name: text for name, text in VERSION_2.items() if name != "memory__peak"}
    kernel.group("", **files)
    assert "an unknown amount of 512 MB" in kernel.found("0::/\n").words()
