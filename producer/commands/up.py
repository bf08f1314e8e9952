"""`likewise up`: start the local stack, or only make its environments."""

from __future__ import annotations

from typing import Annotated

import typer

from producer.commands.options import AsJson


def command(
    frameworks: Annotated[
        list[str] | None, typer.Argument(help="The frameworks to serve; all of them if none is named.")
    ] = None,
    only_environments: Annotated[
        bool, typer.Option("--only-environments", help="Make the environments and start nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start the local stack: a private Redis and one worker for each framework.

    Commands that train do this by themselves; `up` does it ahead of time. The first time makes a virtual
    environment for each framework, which takes minutes and some gigabytes. The stack ends by itself
    after 15 idle minutes (LIKEWISE_IDLE_MINUTES) or with `likewise down`.

    Example: likewise up torch
    """
    from producer.commands._printing import print_json, say
    from producer.local import client
    from producer.local.code import known_frameworks
    from producer.session import open_session
    from shared.errors import UsageError
    from shared.settings import Settings

    settings = Settings.from_environment()
    wanted = frameworks or known_frameworks()
    if only_environments:
        interpreters = client.prepare(settings, wanted, say=say)
        if as_json:
            print_json({"interpreters": interpreters})
        else:
            typer.echo(f"environments ready: {', '.join(wanted)}")
        return
    if settings.redis_url is not None:
        raise UsageError(
            "LIKEWISE_REDIS_URL is set, so commands use that Redis and its workers; "
            "unset it to use a local stack"
        )
    open_session(settings, frameworks=wanted, say=say).close()
    state = client.status(settings)
    serving = sorted(state.workers) if state else []
    if as_json:
        print_json({"workers": serving, "idle_minutes": settings.idle_minutes})
        return
    typer.echo(
        f"the local stack is up, serving {', '.join(serving)}; "
        f"it ends after {settings.idle_minutes:g} idle minutes, or with `likewise down`"
    )
