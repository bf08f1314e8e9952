"""Checks a port: both programs in processes of their own, here or on workers, and the climb."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from likewise.producer.display import both, seconds
from likewise.producer.local import environments
from likewise.producer.local.home import WorkerEnvironment, stack_paths
from likewise.producer.local.packages import as_tested
from likewise.producer.port.batch import draw_batch, loaded_batch, read_batch
from likewise.producer.port.channels import Pipe, WorkerHosts
from likewise.producer.port.exchanged import FedBatch
from likewise.producer.port.file import Port, SideProgram
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.ladder import climb
from likewise.producer.port.models import PortCheck, RungName
from likewise.producer.port.pairing import Pairing, PortStart
from likewise.producer.port.rows import read_lock, write_lock
from likewise.producer.port.shipping import ship
from likewise.producer.runs.routing import Need
from likewise.producer.session import open_session
from likewise.shared.errors import RunFailedError, UsageError
from likewise.shared.settings import Settings


@dataclass(frozen=True)
class OpenPort:
    """Both programs in their processes, the reference first, with the batch that they are fed."""

    hosts: tuple[Hosted, Hosted]
    batch: FedBatch
    start: PortStart

    def pair(self, precision: str, tell: Callable[[str], None]) -> Pairing:
        """Pair the modules of both programs."""
        first, second = self.hosts
        return Pairing(first, second, self.batch, precision=precision, tell=tell, start=self.start)


@contextmanager
def opened(port: Port, *, tell: Callable[[str], None]) -> Iterator[OpenPort]:
    """Start both programs, with their checkpoints, in the precision of the port.

    Raises UsageError where no batch can be drawn, RunFailedError where a program fails, with the user's
    own line.
    """
    settings = Settings.from_environment()
    with ExitStack() as stack:
        hosts = [stack.enter_context(one) for one in _hosted(port, settings, stack, tell)]
        opened_ = []
        for host, program in zip(hosts, port.programs, strict=True):
            began = time.monotonic()
            opened_.append(_open(host, program, port.precision))
            tell(f"{program.label}: {program.file.name} is loaded, after {seconds(time.monotonic() - began)}")
        batch = _batch(port, hosts, opened_)
        for host, program in zip(hosts, port.programs, strict=True):
            if program.checkpoint is not None:
                tell(f"{program.label}: {program.checkpoint.name} is read")
                host.restore(program.checkpoint)
        first, second = port.programs
        by_hand = () if port.lock is None else read_lock(port.lock, (first.label, second.label))
        checkpoints = first.checkpoint is not None, second.checkpoint is not None
        yield OpenPort((hosts[0], hosts[1]), batch, PortStart(checkpoints, by_hand))


@contextmanager
def opened_as_written(port: Port, *, tell: Callable[[str], None]) -> Iterator[tuple[Hosted, Hosted]]:
    """Start both programs as their users wrote them, to be timed: nothing is widened or watched.

    Raises RunFailedError where a program fails, with the user's own line.
    """
    settings = Settings.from_environment()
    with ExitStack() as stack:
        first, second = (stack.enter_context(one) for one in _hosted(port, settings, stack, tell))
        for host, program in zip((first, second), port.programs, strict=True):
            _open(host, program, "as_written")
        yield first, second


def _open(host: Hosted, program: SideProgram, precision: str) -> dict[str, Any]:
    """Import a program. Raises RunFailedError, which says what to do about a package that is missing."""
    try:
        return host.open(program.file, program.maker, precision)
    except RunFailedError as error:
        missing = re.search(r"ModuleNotFoundError: No module named '(\w+)", str(error))
        if missing is None or program.environment is not None:
            raise
        raise RunFailedError(
            f"{error}; in a port.yaml give {program.label} an environment of yours that has {missing[1]} "
            "(environment: ../.venv), or name its package, which Likewise installs into one of its own "
            "(requirements: [PACKAGE])"
        ) from None


def _hosted(
    port: Port, settings: Settings, stack: ExitStack, tell: Callable[[str], None]
) -> Iterator[Hosted]:
    """Yield each side's program, hosted: by a worker where there is a Redis with a folder of programs.

    A side with an environment of the user's own is hosted here.
    """
    by_workers: WorkerHosts | None = None
    by_redis = settings.programs is not None and settings.redis_url is not None
    here = [one for one in port.programs if not by_redis or one.environment is not None]
    paths = stack_paths(settings.home)
    if here:
        paths.make()
        environments.link_worker_code(paths.code)
    interpreters = _interpreters(here, settings, tell)
    for program in port.programs:
        label, framework, name = program.label, program.framework, program.file.name
        if label in interpreters:
            tell(f"{label}: {name} is imported in {framework}'s environment, which takes some seconds")
            yield Hosted(label, framework, Pipe(framework, interpreters[label], paths.code))
            continue
        assert settings.programs is not None  # noqa: S101 -- else it is hosted here
        if by_workers is None:
            session = stack.enter_context(open_session(settings, environments=(), say=tell))
            by_workers = WorkerHosts(session=session, tell=tell)
        shipped = ship(program.file, settings.programs)
        if shipped.copied:
            tell(f"{label}: {both(list(shipped.copied))} is copied with it")
        need = Need(
            label=label,
            framework=framework,
            device="auto",
            version=program.version,
            requirements=program.requirements,
        )
        channel = by_workers.channel(need, shipped.files, data=shipped.data)
        tell(f"{label}: {name} is imported by a worker of {framework}")
        yield Hosted(label, framework, channel, place=shipped.place)


def _batch(port: Port, hosts: Sequence[Hosted], opened_: Sequence[dict[str, Any]]) -> FedBatch:
    """Return the user's batch, the first one of the reference's loader, or a drawn one."""
    if port.batch is not None:
        return read_batch(port.batch, precision=port.precision)
    if "data" in opened_[0]["functions"]:
        samples = hosts[0].data("train", seed=0)
        return loaded_batch(samples, label=hosts[0].label, precision=port.precision)
    spec = next((one["input"] for one in opened_ if one["input"] is not None), None)
    if spec is None:
        raise UsageError(
            "neither program says the shape of its input; give a batch: --batch FILE.npz, with x and y, or "
            "define data(split) in the first file"
        )
    return draw_batch(spec, precision=port.precision)


def check_port(port: Port, *, until: RungName | None, tell: Callable[[str], None]) -> PortCheck:
    """Climb the rungs with both programs. Raises what `opened` raises."""
    with opened(port, tell=tell) as found:
        answer = climb(found.pair(port.precision, tell), until=until, tell=tell)
        files = {one.label: one.file.name for one in port.programs}
        return answer.model_copy(update={"name": port.name, "files": files})


def map_port(port: Port, *, by_hand: Sequence[Mapping[str, str]], tell: Callable[[str], None]) -> PortCheck:
    """Climb to the mapping, with more rows paired by hand, and write it beside a port.yaml."""
    with opened(port, tell=tell) as given:
        kept = {repr(sorted(one.items())): dict(one) for one in [*given.start.by_hand, *by_hand]}
        found = replace(given, start=replace(given.start, by_hand=tuple(kept.values())))
        answer = climb(found.pair(port.precision, tell), until="mapping", tell=tell)
        if port.lock is not None:
            write_lock(port.lock, answer.mapping, found.start.by_hand)
        files = {one.label: one.file.name for one in port.programs}
        return answer.model_copy(update={"name": port.name, "files": files})


def _interpreters(
    programs: Sequence[SideProgram], settings: Settings, tell: Callable[[str], None]
) -> dict[str, Path]:
    """Return the Python of each program's environment, by its label; missing ones are made at once."""
    found = {one.label: one.environment for one in programs if one.environment is not None}
    wanted = {
        one.label: WorkerEnvironment(
            framework=one.framework, version=one.version, requirements=one.requirements
        )
        for one in programs
        if one.environment is None
    }
    made = interpreters_of(list(wanted.values()), settings, tell)
    return {**found, **dict(zip(wanted, made, strict=True))}


def interpreters_of(
    wanted: Sequence[WorkerEnvironment], settings: Settings, tell: Callable[[str], None]
) -> list[Path]:
    """Return the Python of each environment; those that are missing are made, all at once."""
    if settings.environments is not None:
        folder = settings.environments.absolute()
        return [environments.ready_made(folder, one) for one in wanted]
    paths = stack_paths(settings.home)
    found = [environments.find(paths, as_tested(one, environments.ADAPTERS)) for one in wanted]
    environments.ensure(found, paths, say=tell)
    return [one.interpreter for one in found]
