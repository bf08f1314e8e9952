"""The driver of `make faults`, in short: a part of its kinds; and that its accounts see what is wrong."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from likewise.shared.names import progress_key, result_key
from tests.faults.driver.accounts import Accounts
from tests.faults.driver.kinds import KINDS
from tests.faults.driver.page import Recovery, missed, write_page
from tests.faults.driver.schedule import drive
from tests.faults.driver.world import World

SHORT = (
    "child killed", "worker killed", "worker stopped", "cancelled", "Redis killed", "connections cut",
    "answers halved", "bit flip in a checkpoint", "killed with a result", "messages doubled",
    "messages that are not ours", "message in a wrong queue", "document spoilt", "submitted twice",
)  # fmt: skip
RUNS = 24


def test_no_run_is_lost_doubled_or_wrong_while_everything_goes_wrong(tmp_path: Path) -> None:
    said: list[str] = []
    recoveries: list[Recovery] = []
    accounts = drive(
        tmp_path,
        random.Random(1),
        runs=RUNS,
        times=1,
        only=SHORT,
        tell=said.append,
        keep=recoveries.append,
    )
    assert not accounts.faults, "\n".join([*accounts.faults, *said])
    assert sorted(one.kind for one in recoveries) == sorted(SHORT)
    assert accounts.runs >= RUNS
    page = tmp_path / "faults.md"
    write_page(page, accounts, recoveries, seed=1, took_s=1.0)
    assert all(f"\n| {name} | {KINDS[name].what} |" in page.read_text() for name in SHORT)


def test_there_are_twenty_five_kinds_and_more() -> None:
    assert len(KINDS) >= 25


def test_a_recovery_that_takes_too_long_is_told() -> None:
    times = {"worker killed": 11.0, "child killed": 1.0, "worker stopped": 5.1, "Redis killed": 60.0}
    late = missed(
        [
            Recovery(kind=name, measure=KINDS[name].measure, seconds=seconds, at_s=0.0)
            for name, seconds in times.items()
        ]
    )
    assert [line.partition(":")[0] for line in late] == ["worker killed", "worker stopped"]


@pytest.fixture
def accounted(stack: Any, tmp_path: Path) -> tuple[World, Accounts]:
    """Four runs that have ended in a small world without a fault, and what they must come to."""
    world = World(folder=tmp_path, chance=random.Random(1), tell=print, frameworks=("faulty",))
    world.desk, world.worker_disk, world.mark = stack.desk, tmp_path, "nobody"
    if not stack.workers:
        stack.worker()
    accounts = Accounts()
    world.prepare()
    for job in ("line", "sums"):
        world.submit(job)
    world.drain()
    accounts.refer(world)
    for job in ("line", "line", "line", "sums"):
        world.submit(job)
    world.drain()
    return world, accounts


def test_accounts_of_what_went_well_are_clean(accounted: Any) -> None:
    world, accounts = accounted
    accounts.settle(world)
    accounts.look_for_orphans(world)
    assert not accounts.faults
    assert (accounts.runs, accounts.ended_as) == (4, {"succeeded": 4})


def test_accounts_see_what_is_lost_doubled_wrong_and_left_over(accounted: Any) -> None:
    world, accounts = accounted
    client = world.desk.client
    lost, doubled, wrong, other = world.submitted
    client.delete(result_key(lost.run_id))
    client.xadd(progress_key(doubled.experiment_id), {"run": doubled.run_id, "state": "succeeded"})
    payload = client.get(result_key(other.run_id)).decode()
    client.set(result_key(wrong.run_id), payload.replace(other.run_id, wrong.run_id))
    client.set("likewise:checkpoint:left", "x")
    accounts.settle(world)
    accounts.look_for_orphans(world)
    client.delete("likewise:checkpoint:left")
    assert [lost.run_id in line for line in accounts.lost] == [True]
    assert [doubled.run_id in line for line in accounts.doubled] == [True]
    assert [wrong.run_id in line for line in accounts.wrong] == [True]
    assert accounts.orphans == ["key likewise:checkpoint:left"]
