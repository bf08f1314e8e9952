"""The order of the faults: drawn by a seed, each kind as often as is asked for, runs submitted all along."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from likewise.shared.errors import LikewiseError
from tests.faults.driver.accounts import Accounts
from tests.faults.driver.jobs import JOBS
from tests.faults.driver.kinds import KINDS, Kind
from tests.faults.driver.page import Recovery
from tests.faults.driver.world import NotRecoveredError, World, stop

for _module in ("process", "redis", "data"):
    import_module(f"tests.faults.driver.{_module}_kinds")  # which adds its kinds to KINDS


def drive(
    folder: Path,
    chance: random.Random,
    *,
    runs: int,
    times: int,
    only: Sequence[str] | None,
    tell: Callable[[str], None],
    keep: Callable[[Recovery], None],
) -> Accounts:
    """Apply the faults to a world of its own and return the accounts."""
    world = World(folder=folder, chance=chance, tell=tell)
    accounts = Accounts()
    world.settle = lambda: accounts.settle(world)
    world.prepare()
    try:
        world.open()
        tell("every worker is ready")
        _refer(world, accounts)
        tell("the undisturbed runs are done")
        faults = [
            kind
            for kind in KINDS.values()
            if (not only or kind.name in only) and _possible(kind, world, tell)
        ]
        order = faults * times
        chance.shuffle(order)
        for number, kind in enumerate(order, start=1):
            while accounts.runs + len(world.submitted) < runs * number / len(order):
                world.submit(chance.choice([name for name in JOBS if not name.startswith("victim")]))
            begin_s = world.until(world.desk.ledger.now, what="Redis answers")
            try:
                seconds = kind.apply(world)
                world.mend()
                world.all_serve_s()
            except (NotRecoveredError, AssertionError, LikewiseError) as error:
                accounts.unrecovered.append(f"{kind.name}: {error}")
                tell(f"{kind.name}: did not recover: {error}")
                world.calm()
                continue
            keep(Recovery(kind=kind.name, measure=kind.measure, seconds=seconds, at_s=begin_s))
        tell("the last runs are trained")
        world.drain()
        accounts.settle(world)
        _stop_all(world)
        accounts.look_for_orphans(world)
    finally:
        world.close()
    return accounts


def _refer(world: World, accounts: Accounts) -> None:
    for name in JOBS:
        if name not in ("victim-long", "victim-limited", "victim-wide"):
            world.submit(name)
    world.drain()
    accounts.refer(world)


def _possible(kind: Kind, world: World, tell: Callable[[str], None]) -> bool:
    """Return whether this machine has what a kind of fault needs."""
    if kind.needs_disks and not world.small_disks:
        tell(f"{kind.name}: left out, since no small disk can be mounted here")
    elif kind.needs_groups and None in world.groups:
        tell(f"{kind.name}: left out, since no control group for memory can be made here")
    else:
        return True
    return False


def _stop_all(world: World) -> None:
    """Stop every worker as its keeper would, and wait for its end."""
    stop([worker.pid for worker in world.living], signal.SIGTERM)
    world.until(lambda: not world.living, what="every worker has stopped")
