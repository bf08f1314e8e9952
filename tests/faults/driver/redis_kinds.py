"""Faults of Redis, of the network before it and of the disks."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

from likewise.shared.connection import connect
from tests.faults.busy import busy_with_a_script, loading_for_minutes
from tests.faults.driver.kinds import kind
from tests.faults.driver.world import LEASE_S, World

AWAY_S = LEASE_S + 3
"""Longer than a lease, so that runs end meanwhile and leases do."""


def _wait(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.05)


@kind("Redis killed", "SIGKILL to Redis, started again at once", "nothing lost", "serves again")
def redis_killed(world: World) -> float:
    world.training()
    world.redis.kill()
    world.redis.start()
    return world.serves_again_s()


@kind(
    "Redis away",
    f"SIGKILL to Redis, started again after {AWAY_S:.0f} s",
    "results are sent later",
    "serves again",
)
def redis_away(world: World) -> float:
    world.training()
    world.redis.kill()
    _wait(AWAY_S)
    world.redis.start()
    return world.serves_again_s()


@kind("Redis frozen", f"SIGSTOP to Redis for {AWAY_S:.0f} s", "no duplicate", "serves again")
def redis_frozen(world: World) -> float:
    world.training()
    world.redis.signal(signal.SIGSTOP)
    _wait(AWAY_S)
    world.redis.signal(signal.SIGCONT)
    return world.serves_again_s()


@kind(
    "Redis emptied",
    "Redis restarted without its data, once every run has ended",
    "workers serve",
    "serves again",
)
def redis_emptied(world: World) -> float:
    world.drain()
    world.settle()
    world.redis.kill()
    for old in (*world.redis_disk.glob("appendonlydir/*"), *world.redis_disk.glob("*.rdb")):
        old.unlink()
    world.redis.start()
    return world.serves_again_s()


@contextmanager
def _changed(client: redis.Redis, **config: str) -> Iterator[None]:
    """Change settings of Redis, and back."""
    before = {name: client.config_get(name.replace("_", "-")) for name in config}
    for name, value in config.items():
        client.config_set(name.replace("_", "-"), value)
    try:
        yield
    finally:
        for old in before.values():
            for name, value in old.items():
                client.config_set(name, value)


def _refusing(world: World, refusal: Any) -> float:
    """Let Redis refuse for longer than a lease."""
    world.training()
    with world.with_client() as client, refusal(world, client):
        _wait(AWAY_S)
    return world.serves_again_s()


@contextmanager
def _full(_: World, client: redis.Redis) -> Iterator[None]:
    with _changed(client, maxmemory="1mb"):
        yield


@contextmanager
def without_replicas(_: World, client: redis.Redis) -> Iterator[None]:
    with _changed(client, min_replicas_to_write="1"):
        yield


@contextmanager
def _read_only(_: World, client: redis.Redis) -> Iterator[None]:
    client.replicaof("127.0.0.1", "1")
    try:
        yield
    finally:
        client.replicaof("NO", "ONE")


@contextmanager
def _forbidden(_: World, client: redis.Redis) -> Iterator[None]:
    for user in ("default", "worker"):
        client.execute_command("ACL", "SETUSER", user, "-brpop", "-evalsha", "-eval")
    try:
        yield
    finally:
        client.execute_command("ACL", "SETUSER", "default", "+@all")
        client.execute_command("ACL", "SETUSER", "worker", "+brpop", "+evalsha")


@contextmanager
def _snapshots_fail(world: World, client: redis.Redis) -> Iterator[None]:
    obstacle = Path(world.redis.folder) / "dump.rdb" / "x"
    obstacle.mkdir(parents=True, exist_ok=True)
    with _changed(client, save="3600 1"):
        client.bgsave()
        while client.info("persistence")["rdb_last_bgsave_status"] != "err":
            time.sleep(0.05)
        yield
    obstacle.rmdir()
    obstacle.parent.rmdir()


@contextmanager
def _busy(world: World, _: redis.Redis) -> Iterator[None]:
    with busy_with_a_script(world.redis.url):
        yield


_REFUSALS = {
    "OOM": ("maxmemory below what it holds", _full),
    "MISCONF": ("its snapshots fail", _snapshots_fail),
    "READONLY": ("it is made a replica", _read_only),
    "NOREPLICAS": ("min-replicas-to-write without a replica", without_replicas),
    "NOPERM": ("the user may not read queues or run scripts", _forbidden),
    "BUSY": ("a script runs without an end", _busy),
}
for _code, (_what, _refusal) in _REFUSALS.items():
    kind(f"Redis refuses: {_code}", f"{_what}, for {AWAY_S:.0f} s", "waited out", "serves again")(
        lambda world, refusal=_refusal: _refusing(world, refusal)
    )


@kind(
    "Redis refuses: LOADING",
    f"SIGKILL to Redis, and a start that loads for {AWAY_S:.0f} s",
    "waited out",
    "serves again",
)
def redis_loading(world: World) -> float:
    world.training()
    with loading_for_minutes(world.redis):
        _wait(AWAY_S)
    return world.serves_again_s()


@kind("connections cut", "every connection of the workers broken", "they come back", "serves again")
def connections_cut(world: World) -> float:
    world.training()
    assert world.proxy.cut() > 0
    return world.serves_again_s()


@kind(
    "network silent",
    f"bytes vanish for {AWAY_S:.0f} s while connections stand",
    "they come back",
    "serves again",
)
def network_silent(world: World) -> float:
    world.training()
    world.proxy.swallows = b""
    _wait(AWAY_S)
    world.proxy.swallows = None
    world.proxy.cut()
    return world.serves_again_s()


@kind("network slow", f"every answer comes 0.2 s late, for {AWAY_S:.0f} s", "goes on", "serves again")
def network_slow(world: World) -> float:
    world.training()
    world.proxy.delay_s = 0.2
    _wait(AWAY_S)
    world.proxy.delay_s = 0.0
    return world.serves_again_s()


@kind("answers halved", "for 3 s each answer breaks off in the middle", "they come back", "serves again")
def answers_halved(world: World) -> float:
    world.training()
    world.proxy.halves = True
    _wait(3)
    world.proxy.halves = False
    return world.serves_again_s()


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    """Fill a small disk to its last byte."""
    filler = folder / "filler"
    with suppress(OSError), filler.open("wb") as out:
        while True:
            out.write(bytes(2**16))
            out.flush()
    try:
        with suppress(OSError), filler.open("ab") as out:
            os.write(out.fileno(), b"0" * 4096)
        yield
    finally:
        filler.unlink()


@kind(
    "disk full under Redis",
    f"its disk filled for {AWAY_S:.0f} s",
    "waited out",
    "serves again",
    needs="disks",
)
def disk_full_under_redis(world: World) -> float:
    world.training()
    with _filled(world.redis_disk):
        _wait(AWAY_S)
    world.until(lambda: connect(world.redis.url), what="Redis answers")
    return world.serves_again_s()


@kind(
    "disk full under the workers",
    "the disk of caches, spools and temporary files filled, and a child killed",
    "runs go on without a cache",
    "taken over",
    needs="disks",
)
def disk_full_under_workers(world: World) -> float:
    run, worker = world.training()
    with _filled(world.worker_disk):
        world.kill_child(worker)
        return world.taken_over_s(run, what="the run of a child that was killed on a full disk")
