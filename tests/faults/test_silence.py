"""Whatever happens to its Redis or to its parts, a worker serves again soon, or says why it does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from likewise.shared.errors import NoWorkerError
from likewise.shared.names import child_key, run_key, worker_key

LEASE_S = 3.0
PATIENCE_S = 4.0
SERVES_AGAIN_S = 15.0


def doctor(url: str) -> str:
    """What `likewise doctor` says of that Redis, on standard output."""
    environment = {**os.environ, "LIKEWISE_REDIS_URL": url, "COLUMNS": "200"}
    command = [sys.executable, "-m", "likewise.producer", "doctor", "--format", "md"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


def test_a_worker_serves_soon_after_its_redis_was_away_and_has_forgotten_everything(
    start_stack: Any, until: Any
) -> None:
    stack = start_stack(append_only=False)
    own, desk = stack.server, stack.desk
    worker = stack.worker(LIKEWISE_ALLOW_VOLATILE_REDIS="true").wait_until("idle", desk.ledger)
    before = run_key("before")
    desk.client.set(before, 1)
    own.kill()
    until(lambda: "cannot be reached" in worker.log.read_text(), within_s=30, what="Redis is missed")
    own.start()
    assert not desk.client.exists(before)
    record = stack.submit()
    ended = desk.wait(record, "succeeded", within_s=2 * SERVES_AGAIN_S)
    assert ended.claimed_s - ended.submitted_s < SERVES_AGAIN_S / 2


def test_a_run_goes_on_where_redis_has_forgotten_who_trains_it(start_stack: Any, until: Any) -> None:
    """As after ten minutes of sleep: the keys with a time to live are gone, and so is the lease."""
    stack = start_stack()
    desk = stack.desk
    worker = stack.worker().wait_until("idle", desk.ledger)
    record = stack.submit(epochs=400_000)
    desk.wait(record, "leased", within_s=20)
    worker_id = worker.presence(desk.ledger).worker_id
    os.killpg(worker.pid, signal.SIGSTOP)
    asleep_s = desk.ledger.now()
    desk.client.delete(child_key(worker_id), worker_key(worker_id))
    until(lambda: desk.ledger.now() > asleep_s + LEASE_S + 1, within_s=10, what="the lease has ended")
    os.killpg(worker.pid, signal.SIGCONT)
    until(lambda: desk.client.hget(child_key(worker_id), "run_id"), within_s=5, what="the run is held again")
    held_s = desk.ledger.now()
    until(lambda: desk.ledger.now() > held_s + LEASE_S + 1, within_s=10, what="the lease is renewed")
    assert desk.run(record).state != "queued"
    ended = desk.wait(record, "succeeded", within_s=90)
    assert ended.attempt == 1


def test_a_child_that_shows_no_life_is_told_and_another_takes_its_place(start_stack: Any) -> None:
    stack = start_stack()
    desk = stack.desk
    worker = stack.worker(LIKEWISE_PATIENCE_S=str(3 * PATIENCE_S))
    worker.wait_until("idle", desk.ledger)
    child = worker.child_pid(desk.ledger)
    os.kill(child, signal.SIGSTOP)
    worker.wait_until("stuck", desk.ledger, within_s=20)
    with pytest.raises(NoWorkerError, match="stuck"):
        desk.submit(frameworks=("faulty",))
    said = doctor(stack.server.url)
    assert "no life" in said
    assert "wrong" in said
    worker.wait_until("idle", desk.ledger)
    assert worker.child_pid(desk.ledger) != child
    desk.wait(stack.submit(), "succeeded", within_s=20)


def test_a_worker_whose_queues_stay_silent_says_so_and_ends(start_stack: Any, proxy_to: Any) -> None:
    """Its beats reach Redis, so that it would look well for ever."""
    stack = start_stack()
    desk = stack.desk
    proxy = proxy_to(stack.server)
    worker = stack.worker(LIKEWISE_REDIS_URL=proxy.url, LIKEWISE_PATIENCE_S=str(PATIENCE_S))
    worker.wait_until("idle", desk.ledger)
    proxy.swallows = b"BRPOP"
    worker.wait_until("stuck", desk.ledger, within_s=20)
    assert "taken no message" in doctor(stack.server.url)
    assert worker.process.wait(timeout=60) == 4
    assert "the queues have not answered" in worker.log.read_text()


@pytest.mark.parametrize("word", [b"AUTH", b"BRPOP"])
def test_a_worker_serves_soon_where_a_connection_fell_silent(
    start_stack: Any, proxy_to: Any, until: Any, word: bytes
) -> None:
    """As where a Redis was replaced by another: what was sent to the old one is never answered."""
    stack = start_stack()
    desk = stack.desk
    proxy = proxy_to(stack.server)
    worker = stack.worker(LIKEWISE_REDIS_URL=proxy.url).wait_until("idle", desk.ledger)
    proxy.swallows = word
    if word == b"AUTH":
        proxy.cut()  # all connect anew
    until(lambda: proxy.muted, within_s=20, what="a connection is silent")
    proxy.swallows = None
    record = stack.submit()
    ended = desk.wait(record, "succeeded", within_s=2 * SERVES_AGAIN_S)
    assert ended.claimed_s - ended.submitted_s < SERVES_AGAIN_S - 3
    assert worker.process.poll() is None


def test_a_run_that_an_idle_worker_does_not_take_is_told(start_stack: Any) -> None:
    """A worker of another version might not know that it is stuck."""
    from likewise.producer.runs.follow import Noticed, follow

    stack = start_stack()
    desk = stack.desk
    worker = stack.worker().wait_until("idle", desk.ledger)
    os.killpg(worker.pid, signal.SIGSTOP)
    record = stack.submit()
    desk.client.persist(worker_key(worker.presence(desk.ledger).worker_id))  # its last word stays
    said = next(
        update.text
        for update in follow(record, ledger=desk.ledger, client=desk.client)
        if isinstance(update, Noticed)
    )
    assert "is idle and does not take it" in said


@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_ends_soon_where_redis_is_silent(
    start_stack: Any, proxy_to: Any, until: Any, busy: bool
) -> None:
    """As where a container of Redis was removed: nothing refuses, and no answer comes."""
    stack = start_stack()
    desk = stack.desk
    proxy = proxy_to(stack.server)
    worker = stack.worker(LIKEWISE_REDIS_URL=proxy.url).wait_until("idle", desk.ledger)
    if busy:
        record = stack.submit(epochs=400_000)
        desk.wait(record, "leased", within_s=20)
    proxy.swallows = b""
    until(lambda: proxy.muted, within_s=20, what="a connection is silent")
    assert worker.terminate() == 0  # within 40 s, which is what compose gives it
