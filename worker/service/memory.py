"""The memory of a worker's control group: how much its processes may take, and whether one was killed for it.

A container is a control group of version 2 or 1 of the kernel's; a process outside of any container is in one
without a limit, or in none, and then shares the host's memory with everybody. The kernel counts the processes
that it has killed for want of memory, and that is the only word it gives: to whoever waits for such a process
it looks like any other SIGKILL.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
_NO_LIMIT = 2**60
"""Version 1 writes a number near 2**63 where there is no limit."""
_FIRST_TO_GO = "500"


@dataclass(frozen=True, kw_only=True)
class _Version:
    """The files of one version of control groups."""

    mounted: tuple[str, ...]
    """Where the groups may lie, below the root."""
    kills: str
    peak: str
    limit: str


_VERSION_2 = _Version(mounted=("", "unified"), kills="memory.events", peak="memory.peak", limit="memory.max")
_VERSION_1 = _Version(
    mounted=("memory",),
    kills="memory.oom_control",
    peak="memory.max_usage_in_bytes",
    limit="memory.limit_in_bytes",
)


@dataclass(frozen=True, kw_only=True)
class MemoryGroup:
    """The control group of this process, or the whole host where the kernel has no groups for memory."""

    folders: tuple[Path, ...] = ()
    """The group's folder, then those of the groups that it lies in."""
    version: _Version = _VERSION_2
    proc: Path = _PROC

    @classmethod
    def of_this_process(cls, *, root: Path = _ROOT, proc: Path = _PROC) -> MemoryGroup:
        """Find it. `root` and `proc` are where the kernel shows its groups and its processes."""
        for version, path in _memberships(proc):
            for base in (root / mounted for mounted in version.mounted):
                # A container may be told its group's path on the host, and see the group itself at the root.
                for folder in (base / path.lstrip("/"), base):
                    if (folder / version.kills).is_file():
                        above = [one for one in folder.parents if one == base or base in one.parents]
                        return cls(folders=(folder, *above), version=version, proc=proc)
        return cls(proc=proc)

    @property
    def kills(self) -> int:
        """Return how many processes of the group, or the host, were killed for want of memory."""
        if not self.folders:
            return _counted(self.proc / "vmstat")
        file = self.folders[0] / self.version.kills
        of_this_group_alone = file.with_name(
            f"{file.name}.local"
        )  # the other counts those of groups inside, too
        return _counted(of_this_group_alone if of_this_group_alone.is_file() else file)

    @property
    def limit_bytes(self) -> int | None:
        """Return the smallest limit of the group and of those that it lies in; None where there is none."""
        limits = [_number(folder / self.version.limit) for folder in self.folders]
        return min((one for one in limits if one is not None and one < _NO_LIMIT), default=None)

    @property
    def peak_bytes(self) -> int | None:
        """Return the most that the group's processes have taken at once; None where nobody has counted."""
        return _number(self.folders[0] / self.version.peak) if self.folders else None

    def cannot_fit(self, *, besides: Collection[int] = ()) -> bool:
        """Return whether a process that was killed would be killed again, now that it is dead.

        It would where it took most of the limit by itself: what the living processes of the group hold, who
        may be gone another time, is less than half. Those `besides` are not counted: they take its place.
        """
        limit = self.limit_bytes
        return limit is not None and self._held_bytes(besides) < limit / 2

    def words(self) -> str:
        """Return who ran out of memory, with the peak and the limit."""
        limit = self.limit_bytes
        if limit is None:
            return "its host ran out of memory, and the kernel killed it"
        peak = self.peak_bytes
        most = "an unknown amount" if peak is None else _megabytes(min(peak, limit))
        return f"its container ran out of memory: it took {most} of {_megabytes(limit)}"

    def _held_bytes(self, besides: Collection[int]) -> int:
        """Return what the living processes of the group hold, but for some."""
        held = 0
        with suppress(OSError, ValueError):
            for pid in set((self.folders[0] / "cgroup.procs").read_text().split()) - set(map(str, besides)):
                with suppress(OSError, ValueError, IndexError):
                    pages = int((self.proc / pid / "statm").read_text().split()[1])
                    held += pages * os.sysconf("SC_PAGE_SIZE")
        return held


LOOKS_AT_DYING = 25
"""A process that the kernel kills for want of memory may be seen alive so many times, on a busy machine."""


class Kills:
    """It tells of a dead child whether the kernel may have killed it for want of memory.

    The kernel counts a kill before the process is gone, so that one which was counted while the child was
    alive may be the child's. It is another's once the child has lived on for LOOKS_AT_DYING looks.
    """

    def __init__(self, memory: MemoryGroup) -> None:
        self._memory = memory
        self._others = self._last = memory.kills
        self._looks = 0

    def see_alive(self) -> None:
        """Note that the child lives, at every look."""
        kills = self._memory.kills
        self._looks = 0 if kills != self._last else self._looks + 1
        self._last = kills
        if self._looks >= LOOKS_AT_DYING:
            self._others = kills

    @property
    def any(self) -> bool:
        """Whether there was a kill that may be the child's."""
        return self._memory.kills != self._others

    def forget(self) -> None:
        """Leave all kills so far out of account, for the next child."""
        self._others = self._last = self._memory.kills
        self._looks = 0


def memory_bytes() -> int:
    """Return how much memory there is: the machine's, or its container's limit if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(total, MemoryGroup.of_this_process().limit_bytes or total)


def be_first_to_go() -> None:
    """Let the kernel rather kill this process than another where memory runs out."""
    with suppress(OSError):
        (_PROC / "self" / "oom_score_adj").write_text(_FIRST_TO_GO)


def _memberships(proc: Path) -> Iterator[tuple[_Version, str]]:
    """Yield the groups for memory that this process is in, as /proc/self/cgroup has them."""
    with suppress(OSError):
        for line in (proc / "self" / "cgroup").read_text().splitlines():
            number, _, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if number == "0" and not controllers:
                yield _VERSION_2, path
            elif "memory" in controllers.split(","):
                yield _VERSION_1, path


def _counted(file: Path) -> int:
    """Return the number after `oom_kill` in a file of such lines; 0 where there is none."""
    with suppress(OSError, ValueError):
        counts = dict(line.split() for line in file.read_text().splitlines())
        return int(counts.get("oom_kill", 0))
    return 0


def _number(file: Path) -> int | None:
    with suppress(OSError, ValueError):  # version 2 writes `max` where there is no limit
        return int(file.read_text())
    return None


def _megabytes(number: int) -> str:
    return f"{number / 2**20:,.0f} MB"
