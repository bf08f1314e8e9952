"""Commands on workers and on the local stack: up, down, workers, doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from likewise.producer.cli.options import AsJson, Form, Output, print_json, say

if TYPE_CHECKING:
    from likewise.producer.session import Session


def up(
    frameworks: Annotated[
        list[str] | None, typer.Argument(help="The frameworks to serve; all of them if none is named.")
    ] = None,
    only_environments: Annotated[
        bool, typer.Option("--only-environments", help="Make the environments and start nothing.")
    ] = False,
    rotate_passwords: Annotated[
        bool,
        typer.Option("--rotate-passwords", help="Draw new passwords for its Redis, and start it again."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start the local stack: a private Redis and one worker for each framework.

    Commands that train do this by themselves; `up` does it ahead of time. The first time makes a virtual
    environment for each framework, which takes minutes and some gigabytes. The stack ends by itself
    after 15 idle minutes (LIKEWISE_IDLE_MINUTES) or with `likewise down`.

    Example: likewise up torch
    """
    from likewise.producer.local import client
    from likewise.producer.local.devices import defaults
    from likewise.producer.local.environments import known_frameworks
    from likewise.producer.session import open_session
    from likewise.shared.errors import UsageError
    from likewise.shared.settings import Settings

    settings = Settings.from_environment()
    wanted = frameworks or known_frameworks()
    if only_environments:
        interpreters = client.prepare(settings, defaults(settings, wanted), say=say)
        if as_json:
            print_json({"interpreters": {made.framework: path for made, path in interpreters.items()}})
            return
        typer.echo(f"environments ready: {', '.join(wanted)}; a worker in each, for a Redis of your own:")
        for made, path in interpreters.items():
            typer.echo(client.worker_line(settings, made.framework, path))
        return
    if settings.redis_url is not None:
        raise UsageError(
            "LIKEWISE_REDIS_URL is set, so commands use that Redis and its workers; "
            "unset it to use a local stack"
        )
    if rotate_passwords:
        client.rotate_passwords(settings, say=say)
    open_session(settings, environments=wanted, say=say).close()
    state = client.status(settings)
    serving = sorted({worker.environment.framework for worker in state.workers.values()}) if state else []
    if as_json:
        print_json({"workers": serving, "idle_minutes": settings.idle_minutes})
        return
    typer.echo(
        f"the local stack is up, serving {', '.join(serving)}; "
        f"it ends after {settings.idle_minutes:g} idle minutes, or with `likewise down`"
    )


def down(
    as_json: AsJson = False,
) -> None:
    """End the local stack: its workers and its Redis.

    Experiments are kept. A run in progress goes back to the queue and is trained when the stack is
    up again.

    Example: likewise down
    """
    from likewise.producer.local import client
    from likewise.shared.settings import Settings

    ended = client.stop(Settings.from_environment(), say=say)
    if as_json:
        print_json({"ended": ended})
    else:
        typer.echo("the local stack has ended" if ended else "no local stack was running")


def workers(
    as_json: AsJson = False,
    form: Form = None,
) -> None:
    """List the live workers: what they train with, where, and what they are busy with.

    Example: likewise workers
    """
    from likewise.producer.report.status import WorkersDocument
    from likewise.producer.session import open_running
    from likewise.shared.settings import Settings

    output = Output.of(form, as_json=as_json)
    session = open_running(Settings.from_environment())
    if session is None:
        document = WorkersDocument(workers=(), now_s=0.0)
        say("no Redis is configured and no local stack runs; `likewise up` starts one")
    else:
        with session:
            live, now_s = session.ledger.census()
            runs = session.ledger.records([one.run_id for one in live if one.run_id is not None])
            if not live:
                say(_nobody(session))
        experiments = {run.run_id: run.experiment_id for run in runs}
        document = WorkersDocument(workers=live, now_s=now_s, experiments=experiments)
    output.put(document)


def _nobody(session: Session) -> str:
    """Say why no worker is seen."""
    from likewise.shared.connection import refusal
    from likewise.shared.ledger.records import silent_workers

    if (refused := refusal(session.client)) is not None:
        return f"no worker is seen while Redis refuses changes: {refused}"
    if silent := silent_workers(session.client):
        gone = ", ".join(silent)
        return f"no worker is live; of {gone} nothing is heard any more; `likewise doctor` says what to do"
    if session.local:
        return "no worker is live; `likewise up` starts local ones"
    return "no worker is live; `likewise doctor` says how to start one"


UNHEALTHY = 4


def doctor(
    as_json: AsJson = False,
    form: Form = None,
) -> None:
    """Check each link: Python, disk, environments, Redis, workers, clock; say how to mend what is wrong.

    Starts nothing. Exit status 0 where nothing is wrong, 4 otherwise.

    Example: likewise doctor
    """
    from likewise.producer.doctor import examine
    from likewise.producer.report.status import HealthDocument
    from likewise.shared.settings import Settings

    output = Output.of(form, as_json=as_json)
    document = HealthDocument(findings=examine(Settings.from_environment()))
    output.put(document)
    if not document.healthy:
        raise typer.Exit(UNHEALTHY)
