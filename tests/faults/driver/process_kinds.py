"""Faults of processes: killed, frozen, stopped, asleep, without memory."""

from __future__ import annotations

import os
import signal
import time

from likewise.shared.names import LEASED, WORKERS, child_key, run_key, worker_key
from tests.faults.driver.kinds import kind
from tests.faults.driver.world import World, stop

ASLEEP_S = 900


@kind("child killed", "SIGKILL to the process that trains", "goes on from its checkpoint", "taken over")
def child_killed(world: World) -> float:
    run, worker = world.training()
    world.kill_child(worker)
    return world.taken_over_s(run, what="the run of a killed child")


@kind("worker killed", "SIGKILL to parent and child at once", "another takes over", "taken over")
def worker_killed(world: World) -> float:
    run, worker = world.training()
    worker.kill_group()
    took_s = world.taken_over_s(run, what="the run of a killed worker")
    world.mend()
    return took_s


@kind("parent killed", "SIGKILL to the parent alone", "its child ends, another takes over", "taken over")
def parent_killed(world: World) -> float:
    run, worker = world.training()
    child = world.child(worker)
    worker.process.kill()
    worker.process.wait()
    took_s = world.taken_over_s(run, what="the run of a killed parent")
    world.until(lambda: not _there(child), what="the child of a killed parent has ended")
    world.mend()
    return took_s


@kind("all workers killed", "SIGKILL to all workers at once, then started again", "goes on", "taken over")
def all_workers_killed(world: World) -> float:
    run, _ = world.training()
    for worker in world.living:
        worker.kill_group()
    world.mend()
    return world.taken_over_s(run, what="a run of workers that were all killed")


@kind("worker stopped", "SIGTERM, as by a scale down", "checkpoint, handed back", "handed back")
def worker_stopped(world: World) -> float:
    run, worker = world.training()
    worker.process.terminate()

    def let_go() -> bool:
        now = world.run(run.run_id)
        return now.final or now.state == "queued" or now.fence > run.fence

    took_s = world.took_s(let_go, what="a stopped worker hands back")
    world.until(lambda: worker.process.poll() is not None, what="a stopped worker ends")
    world.mend()
    return took_s


@kind("child frozen", "SIGSTOP to the process that trains", "stopped as hung, goes on", "taken over")
def child_frozen(world: World) -> float:
    run, worker = world.training()
    stop([world.child(worker)], signal.SIGSTOP)
    return world.taken_over_s(run, what="the run of a frozen child")


@kind(
    "worker frozen",
    "SIGSTOP to parent and child past the lease, then SIGCONT",
    "its writes are refused",
    "taken over",
)
def worker_frozen(world: World) -> float:
    run, worker = world.training()
    os.killpg(worker.pid, signal.SIGSTOP)
    try:
        return world.taken_over_s(run, what="the run of a frozen worker")
    finally:
        os.killpg(worker.pid, signal.SIGCONT)


@kind(
    "machine asleep",
    f"workers frozen; {ASLEEP_S // 60} minutes pass for keys and leases",
    "goes on",
    "serves again",
)
def machine_asleep(world: World) -> float:
    """Redis has no clock that can be moved, so what its clock would have done is done by hand."""
    run, _ = world.training()
    for worker in world.living:
        os.killpg(worker.pid, signal.SIGSTOP)
    client = world.desk.client
    for member in client.smembers(WORKERS):
        client.delete(child_key(member.decode()), worker_key(member.decode()))
    for member, ends_s in client.zrange(LEASED, 0, -1, withscores=True):
        client.zadd(LEASED, {member: ends_s - ASLEEP_S})
        client.hincrbyfloat(run_key(member.decode()), "lease_until", -ASLEEP_S)
    for worker in world.living:
        os.killpg(worker.pid, signal.SIGCONT)
    took_s = world.serves_again_s()
    world.until(lambda: world.run(run.run_id).final, what="the run of a machine that slept")
    return took_s


@kind(
    "kills its workers",
    "each child that trains the run is killed",
    "given up after three deaths",
    "its run ends",
)
def kills_its_workers(world: World) -> float:
    record = world.submit("victim-long", outcomes=("worker_lost",), victim_of="kills its workers")
    begin = time.monotonic()
    killed: set[tuple[str, int]] = set()

    def ended() -> bool:
        runs = world.desk.ledger.records(record.run_ids)
        for run in runs:
            if run.state == "leased" and (run.run_id, run.fence) not in killed:
                pid = world.desk.client.hget(run_key(run.run_id), "pid")
                if pid and _there(int(pid)):
                    killed.add((run.run_id, run.fence))
                    stop([int(pid)], signal.SIGKILL)
        return all(run.final for run in runs)

    world.until(ended, what="a run that kills its workers is given up")
    return time.monotonic() - begin


@kind("too slow", "a run that takes longer than limits.seconds", "fails as time_limit", "its run ends")
def too_slow(world: World) -> float:
    record = world.submit("victim-limited", outcomes=("time_limit",), victim_of="too slow")
    return world.took_s(
        lambda: all(run.final for run in world.desk.ledger.records(record.run_ids)), what="a slow run ends"
    )


@kind(
    "out of memory",
    "the limit of each worker's control group lowered to 120 MB above what it holds; a run that takes more",
    "fails as out_of_memory, the worker lives",
    "its run ends",
    needs="groups",
)
def out_of_memory(world: World) -> float:
    parents = [worker.pid for worker in world.living]
    for group in world.groups:
        if group is not None:
            held = int((group / "memory.usage_in_bytes").read_text())
            (group / "memory.limit_in_bytes").write_text(str(held + 120 * 2**20))
    try:
        record = world.submit("victim-wide", outcomes=("out_of_memory",), victim_of="out of memory")
        took_s = world.took_s(
            lambda: all(run.final for run in world.desk.ledger.records(record.run_ids)),
            what="a run that does not fit ends",
        )
    finally:
        for group in world.groups:
            if group is not None:
                (group / "memory.limit_in_bytes").write_text("-1")
    assert [worker.pid for worker in world.living] == parents, "a worker did not live on"
    return took_s


@kind(
    "cancelled",
    "a run is cancelled while it trains, another while it waits",
    "both end as cancelled",
    "its run ends",
)
def cancelled(world: World) -> float:
    record = world.submit("victim-long", outcomes=("cancelled",), victim_of="cancelled")
    runs = record.run_ids
    world.until(lambda: world.run(runs[0]).state == "leased", what="a run is trained")
    for run_id in runs:
        world.until(lambda one=run_id: world.desk.ledger.cancel(one), what="a run can be cancelled")
    return world.took_s(
        lambda: all(run.state == "cancelled" for run in world.desk.ledger.records(runs)),
        what="both are cancelled",
    )


def _there(pid: int) -> bool:
    """Return whether a process is alive; one that nobody has reaped is not."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
