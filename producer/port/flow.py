"""Checks a port: an environment for each side, both programs in processes of their own, and the climb."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from likewise.producer.local import environments
from likewise.producer.local.home import WorkerEnvironment, stack_paths
from likewise.producer.port.batch import draw_batch, loaded_batch, read_batch
from likewise.producer.port.file import Port, Program
from likewise.producer.port.hosted import Hosted
from likewise.producer.port.ladder import climb
from likewise.producer.port.models import PortCheck, RungName
from likewise.shared.errors import UsageError
from likewise.shared.settings import Settings


def check_port(port: Port, *, until: RungName | None, tell: Callable[[str], None]) -> PortCheck:
    """Climb the rungs with both programs.

    Raises UsageError where no batch can be drawn, RunFailedError where a program fails, with the user's
    own line.
    """
    settings = Settings.from_environment()
    paths = stack_paths(settings.home)
    paths.make()
    interpreters = [_interpreter(one, settings, tell) for one in port.programs]
    environments.link_worker_code(paths.code)
    with ExitStack() as stack:
        hosts = []
        for program, interpreter in zip(port.programs, interpreters, strict=True):
            tell(f"{program.label}: {program.file.name} is imported in {program.framework}'s environment")
            hosts.append(
                stack.enter_context(Hosted(program.label, program.framework, interpreter, paths.code))
            )
        opened = [
            host.open(program.file, program.maker, port.precision)
            for host, program in zip(hosts, port.programs, strict=True)
        ]
        if port.batch is not None:
            batch = read_batch(port.batch, precision=port.precision)
        elif "data" in opened[0]["functions"]:
            samples = hosts[0].data("train", seed=0)
            batch = loaded_batch(samples, label=hosts[0].label, precision=port.precision)
        else:
            spec = next((one["input"] for one in opened if one["input"] is not None), None)
            if spec is None:
                raise UsageError(
                    "neither program says the shape of its input; give a batch: --batch FILE.npz, "
                    "with x and y, or define data(split) in the first file"
                )
            batch = draw_batch(spec, precision=port.precision)
        files = {one.label: one.file.name for one in port.programs}
        answer = climb(hosts[0], hosts[1], batch, precision=port.precision, until=until, tell=tell)
        return answer.model_copy(update={"name": port.name, "files": files})


def _interpreter(program: Program, settings: Settings, tell: Callable[[str], None]) -> Path:
    if program.environment is not None:
        return program.environment
    wanted = WorkerEnvironment(framework=program.framework)
    if settings.environments is not None:
        return environments.ready_made(settings.environments.absolute(), wanted)
    paths = stack_paths(settings.home)
    found = environments.find(paths, wanted)
    environments.ensure([found], paths, say=tell)
    return found.interpreter
