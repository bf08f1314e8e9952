"""The accounts: what became of every run that was submitted, and what is left of it anywhere.

Counts are of Redis, of the results, of the table of processes and of folders.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from likewise.shared.ledger.records import FINAL, read_progress
from likewise.shared.names import LEASED, PREFIX
from likewise.shared.results.seed_table import Load, SeedTable
from tests.faults.driver.world import Expected, NotRecoveredError, World

LONGEST_S = 31 * 86_400
"""What workers keep lives for no longer, once all has ended; what has not ended lives for a hundred years."""


def numbers(result: Any, *, seeds: Sequence[int], load: Load) -> dict[str, str]:
    """The digest of all that must not depend on where, when and in how many attempts it was trained."""
    table = SeedTable.of(result, seeds, arrays=load)
    arrays: dict[str, Any] = {
        "losses": table.losses,
        "validation losses": table.validation_losses,
        "epochs": table.epochs,
        "hashes": table.hashes,
        "outputs": table.outputs(),
        "predictions": table.predictions,
        **{f"weights of {name}": array for name, array in table.weights().items()},
        **{f"{part} {name}": row for part, rows in table.metrics.items() for name, row in rows.items()},
    }
    return {
        name: hashlib.sha256(array.tobytes()).hexdigest()
        for name, array in arrays.items()
        if array is not None
    } | {"status": result.status}


@dataclass
class Accounts:
    """What was counted so far."""

    references: dict[tuple[str, str], Any] = field(default_factory=dict)
    """What each job comes to in each side when nothing disturbs it."""
    runs: int = 0
    ended_as: dict[str, int] = field(default_factory=dict)
    again: int = 0
    """Runs that took more than one attempt."""
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    unrecovered: list[str] = field(default_factory=list)
    """Faults after which something that was waited for did not come."""

    @property
    def faults(self) -> list[str]:
        """What is lost, doubled, wrong, left over or did not recover, a line each."""
        kinds = {
            "lost": self.lost,
            "doubled": self.doubled,
            "wrong": self.wrong,
            "left over": self.orphans,
            "not recovered": self.unrecovered,
        }
        return [f"{kind}: {line}" for kind, lines in kinds.items() for line in lines]

    def refer(self, world: World) -> None:
        """Keep what was trained undisturbed, by which the others are judged."""
        for expected in world.submitted:
            self.references[expected.job, expected.side] = self._numbers(world, expected)
        world.submitted.clear()

    def settle(self, world: World) -> None:
        """Account for everything that was submitted; all of it has ended."""
        records = {run.run_id: run for run in world.records()}
        for expected in world.submitted:
            self.runs += 1
            told = (
                f"{expected.run_id} ({expected.job} in {expected.side}, {expected.victim_of or 'no victim'})"
            )
            record = records.get(expected.run_id)
            if record is None or record.state not in FINAL:
                self.lost.append(f"{told}: {'no record' if record is None else record.state}")
                continue
            word = record.failure.reason if record.failure is not None else record.state
            self.ended_as[word] = self.ended_as.get(word, 0) + 1
            self.again += record.attempt > 1
            ends = self._ends(world, expected)
            if ends != 1:
                self.doubled.append(f"{told}: it ended {ends} times")
            found = self._numbers(world, expected)
            right = self.references.get((expected.job, expected.side), {})
            if not found:
                self.lost.append(f"{told}: {word}, and its result cannot be read")
            elif expected.victim_of is not None and word not in expected.outcomes:
                self.wrong.append(f"{told}: it ended as {word}: {record.failure}")
            elif (expected.victim_of is None or word == "succeeded") and found != right:
                other = [name for name in found.keys() | right.keys() if found.get(name) != right.get(name)]
                told += f": {word} in attempt {record.attempt} ({record.failure})"
                self.wrong.append(f"{told}; other {', '.join(sorted(other))}")
        world.submitted.clear()

    def _numbers(self, world: World, expected: Expected) -> dict[str, str]:
        """Return the digests of a run's numbers; nothing where its result cannot be read."""
        result = world.result_of(expected)
        if result is None:
            return {}
        seeds = world.prepared[expected.job].loaded.experiment.seed_list
        return numbers(result, seeds=seeds, load=world.desk.blobs.get)

    def _ends(self, world: World, expected: Expected) -> int:
        """How often its experiment's progress tells of the run's end."""
        entries: list[Any] = []
        after = "0"
        while found := read_progress(world.desk.client, expected.experiment_id, after=after):
            entries += found
            after = found[-1].position
        return sum(one.changed_run_id == expected.run_id and one.state in FINAL for one in entries)

    def look_for_orphans(self, world: World) -> None:
        """Look what is left once every worker was stopped: processes, keys without an end, leases, files."""
        with suppress(NotRecoveredError):  # those that are about to end are given some seconds
            world.until(lambda: not world.processes(), what="every process has ended", within_s=10)
        self.orphans += [f"process {pid}" for pid in world.processes()]
        client = world.desk.client
        for name in ("checkpoint", "child", "worker", "host", "queued", "blob"):
            for key in client.scan_iter(f"{PREFIX}{name}:*"):
                if not 0 <= client.ttl(key) <= LONGEST_S:
                    self.orphans.append(f"key {key.decode()}")
        # A submission that came to nothing stays noted until a cleaning ten minutes later, and is no orphan.
        if client.zcard(LEASED):
            self.orphans.append(f"key {LEASED} has {client.zcard(LEASED)}")
        for place in range(len(world.frameworks)):
            spool = world.worker_disk / f"cache-{place}" / "spool"
            self.orphans += [f"file {file.relative_to(world.worker_disk)}" for file in spool.glob("*")]
            for pages in (world.worker_disk / f"tmp-{place}").glob("likewise-pages-*"):
                self.orphans += [f"file {file.relative_to(world.worker_disk)}" for file in pages.iterdir()]
