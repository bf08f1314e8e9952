"""What a training may do to its worker: stand still, take all memory, raise anything, take too long."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import pytest

from likewise.shared.names import run_key
from tests.conftest import eventually

LONG = 1_000_000
"""Epochs that last minutes."""
HANG_S = 2.0
LIMIT_MB = 400
CGROUPS = Path("/sys/fs/cgroup")


@pytest.fixture(scope="module")
def watched(stack: Any) -> Any:
    """Two workers that soon take a training for hung and checkpoint often."""
    settings = {"LIKEWISE_HANG_S": str(HANG_S), "LIKEWISE_CHECKPOINT_S": "0.1"}
    workers = [stack.worker(**settings) for _ in range(2)]
    for worker in workers:
        worker.wait_until("idle", stack.desk.ledger)
    return stack, workers


@pytest.mark.parametrize("name", ["hangs", "hangs-alone"])
def test_a_training_that_hangs_is_stopped_and_the_second_time_has_failed(watched: Any, name: str) -> None:
    stack, workers = watched
    record = stack.submit(name, epochs=LONG)
    ended = stack.desk.wait(record, "failed", within_s=90)
    assert ended.failure.reason == "hung"
    assert "for the second time: epoch" in ended.failure.message
    assert ended.attempt == 2
    said = "".join(worker.log.read_text() for worker in workers)
    assert said.count("its stack follows") >= 2
    assert f"in {name.replace('-', '_')}" in said, "the stack is not in the log"
    stack.desk.wait(stack.submit(), "succeeded", within_s=30)


def test_a_training_that_hangs_once_goes_on_from_its_checkpoint_to_the_same_bits(start_stack: Any) -> None:
    stack = start_stack()
    stack.worker(LIKEWISE_HANG_S=str(HANG_S), LIKEWISE_CHECKPOINT_S="0.05")
    record = stack.submit("hangs-once", epochs=80_000)
    whole = stack.submit("hangs-never", epochs=80_000)
    stack.desk.wait(record, "succeeded", within_s=90)
    stack.desk.wait(whole, "succeeded", within_s=90)
    assert stack.desk.result(record).attempt == 2
    assert "went on from a checkpoint" in " ".join(stack.desk.result(record).notes)
    (mended,), (expected,) = stack.desk.result(record).arrays, stack.desk.result(whole).arrays
    assert (mended.losses, mended.weights, mended.hashes) == (
        expected.losses, expected.weights, expected.hashes,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["exits", "raises", "interrupts", "writes-badly"])
def test_whatever_a_training_raises_ends_its_run_at_once(watched: Any, name: str) -> None:
    stack, _ = watched
    record = stack.submit(name, epochs=LONG)
    ended = stack.desk.wait(record, "failed", within_s=20)
    assert (ended.failure.reason, ended.attempt) == ("internal", 1)
    stack.desk.wait(stack.submit(), "succeeded", within_s=20)


def test_a_training_that_takes_longer_than_it_may_fails_as_that(watched: Any) -> None:
    stack, _ = watched
    record = stack.submit("slow", epochs=LONG, limits={"seconds": 0.5})
    ended = stack.desk.wait(record, "failed", within_s=20)
    assert ended.failure.reason == "time_limit"
    assert ended.attempt == 1
    assert ended.failure.step > 0
    assert f"it had done {ended.failure.step:,} of {LONG:,} updates" in ended.failure.message
    assert stack.desk.table(record).epochs[0] > 0


def test_the_time_of_earlier_attempts_counts(watched: Any) -> None:
    stack, _ = watched
    blocker = [stack.submit("slow", epochs=LONG) for _ in range(2)]
    for one in blocker:
        stack.desk.wait(one, "leased", within_s=20)
    record = stack.submit("slow", epochs=LONG, limits={"seconds": 1_000})
    stack.desk.client.hset(
        run_key(record.run_ids[0]), "spent_s", 1_001
    )  # as its attempts before this one would
    for one in blocker:
        stack.desk.ledger.cancel(one.run_ids[0])
    ended = stack.desk.wait(record, "failed", within_s=20)
    assert (ended.failure.reason, ended.failure.step) == ("time_limit", None)
    assert "it had not begun to train" in ended.failure.message


def test_a_training_that_is_killed_and_a_worker_that_stops_leave_no_process(
    start_stack: Any, tmp_path: Path
) -> None:
    """Neither a limit, which the training does not see, nor Ctrl-C; also where they left its group."""
    stack = start_stack()
    worker = stack.worker()
    record = stack.submit("stalls", epochs=LONG, limits={"seconds": 1})
    ended = stack.desk.wait(record, "failed", within_s=60)
    assert ended.failure.reason == "time_limit"
    assert "did not stop: epoch" in ended.failure.message
    assert ended.finished_s - ended.claimed_s < 20
    worker.wait_until("idle", stack.desk.ledger)
    (left,) = _started(tmp_path)
    eventually(lambda: not psutil.pid_exists(left), within_s=10, what="what it had started is ended")

    record = stack.submit("stalls", epochs=LONG)
    eventually(lambda: len(_started(tmp_path)) == 2, within_s=30, what="it has started another")
    os.killpg(worker.pid, signal.SIGINT)  # as a terminal does
    assert worker.process.wait(timeout=40) == 0
    assert not psutil.pid_exists(_started(tmp_path)[1])
    assert stack.desk.run(record).state == "queued"


def _started(folder: Path) -> list[int]:
    """Return the processes that trainings have started, by what they wrote."""
    return [int(line) for file in folder.rglob("started") for line in file.read_text().splitlines()]


def test_a_worker_has_a_limit_of_its_own_for_how_long_a_run_takes(start_stack: Any) -> None:
    stack = start_stack()
    stack.worker(LIKEWISE_MAX_SECONDS="0.5")
    asks = stack.submit("slow", epochs=LONG, limits={"seconds": 0.75})
    ended = stack.desk.wait(asks, "failed", within_s=30)
    assert ended.failure.reason == "too_large"
    assert (
        "limits.seconds: 0.75 seconds, and at most 0.5 are taken here (LIKEWISE_MAX_SECONDS)"
        in ended.failure.message
    )
    ended = stack.desk.wait(stack.submit("slow", epochs=LONG), "failed", within_s=30)
    assert ended.failure.reason == "time_limit"
    assert "LIKEWISE_MAX_SECONDS, 0.5; it had done" in ended.failure.message
    stack.desk.wait(stack.submit(epochs=1), "succeeded", within_s=30)


def test_who_watches_a_training_that_stands_still_is_told(
    start_stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from likewise.producer.runs import follow

    monkeypatch.setattr(follow, "STILL_S", 1.0)
    stack = start_stack()
    stack.worker()
    record = stack.submit("hangs", epochs=LONG)
    said = [update.text for update in _until_told_twice(follow, record, stack.desk)]
    assert said[0].startswith("nothing has moved for 1")
    assert "at epoch" in said[0]
    assert said[1].startswith("nothing has moved for 2")


def _until_told_twice(follow: Any, record: Any, desk: Any) -> Iterator[Any]:
    """The first two notices that nothing moves."""
    updates = follow.follow(record, ledger=desk.ledger, client=desk.client)
    still = (one for one in updates if isinstance(one, follow.Noticed) and "nothing has moved" in one.text)
    yield from islice(still, 2)


@pytest.fixture
def memory_group(unavailable: Callable[[str], None]) -> Iterator[Path]:
    """A control group that may take LIMIT_MB of memory, of whichever version this kernel has."""
    name = f"likewise-{secrets.token_hex(4)}"
    first, second = CGROUPS / "memory" / name, CGROUPS / name
    try:
        if (CGROUPS / "memory" / "memory.limit_in_bytes").exists():
            folder, limit = first, "memory.limit_in_bytes"
        else:
            with suppress(OSError):
                (CGROUPS / "cgroup.subtree_control").write_text("+memory")
            folder, limit = second, "memory.max"
        folder.mkdir()
        (folder / limit).write_text(str(LIMIT_MB * 2**20))
    except OSError as error:
        unavailable(f"no control group for memory can be made here: {error}")
    yield folder
    for pid in (folder / "cgroup.procs").read_text().split():
        with suppress(OSError):
            (folder.parent / "cgroup.procs").write_text(pid)
    with suppress(OSError):
        folder.rmdir()


def test_a_run_that_does_not_fit_its_container_fails_as_that_and_the_worker_lives(
    start_stack: Any, memory_group: Path
) -> None:
    stack = start_stack()
    worker = stack.worker()
    (memory_group / "cgroup.procs").write_text(str(worker.pid))
    worker.wait_until("idle", stack.desk.ledger)
    record = stack.submit("takes-memory", epochs=LONG)
    ended = stack.desk.wait(record, "failed", within_s=60)
    assert (ended.failure.reason, ended.attempt) == ("out_of_memory", 1)
    assert "its container ran out of memory: it took" in ended.failure.message
    assert f"of {LIMIT_MB} MB; " in ended.failure.message
    worker.wait_until("idle", stack.desk.ledger)
    stack.desk.wait(stack.submit(), "succeeded", within_s=20)
    assert worker.process.poll() is None
    worker.close()
