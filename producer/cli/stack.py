"""Commands on workers and on the local stack: up, down, workers, doctor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from producer.cli.options import AsJson, print_json, say

if TYPE_CHECKING:
    from shared.ledger.records import WorkerPresence


def up(
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
    from producer.local import client
    from producer.local.environments import known_frameworks
    from producer.session import open_session
    from shared.errors import UsageError
    from shared.settings import Settings

    settings = Settings.from_environment()
    wanted = frameworks or known_frameworks()
    if only_environments:
        interpreters = client.prepare(settings, client.defaults(settings, wanted), say=say)
        if as_json:
            print_json({"interpreters": {made.framework: path for made, path in interpreters.items()}})
        else:
            typer.echo(f"environments ready: {', '.join(wanted)}")
        return
    if settings.redis_url is not None:
        raise UsageError(
            "LIKEWISE_REDIS_URL is set, so commands use that Redis and its workers; "
            "unset it to use a local stack"
        )
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
    from producer.local import client
    from shared.settings import Settings

    ended = client.stop(Settings.from_environment(), say=say)
    if as_json:
        print_json({"ended": ended})
    else:
        typer.echo("the local stack has ended" if ended else "no local stack was running")


def workers(
    as_json: AsJson = False,
) -> None:
    """List the live workers: what they train with, where, and what they are busy with.

    Example: likewise workers
    """
    from producer.session import open_running
    from shared.settings import Settings

    session = open_running(Settings.from_environment())
    if session is None:
        workers: list[WorkerPresence] = []
        now = 0.0
        say("no Redis is configured and no local stack runs; `likewise up` starts one")
    else:
        with session:
            workers, now = session.ledger.census()
        if not workers:
            start = (
                "`likewise up` starts local ones"
                if session.local
                else "`likewise doctor` says how to start one"
            )
            say(f"no worker is live; {start}")
    if as_json:
        print_json({"workers": [_row(worker, now) for worker in workers]})
    elif workers:
        _print_table(workers, now)


def _row(worker: WorkerPresence, now: float) -> dict[str, Any]:
    return {
        "worker_id": worker.worker_id,
        "framework": worker.framework,
        "device": worker.device,
        "queues": list(worker.queues),
        "state": worker.state,
        "run_id": worker.run_id,
        "versions": worker.versions,
        "threads": worker.threads,
        "image": worker.image,
        "host": worker.host,
        "pid": worker.pid,
        "started_s": worker.started_s,
        "seen_s_ago": round(max(0.0, now - worker.seen_s), 3),
    }


def _print_table(workers: list[WorkerPresence], now: float) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("framework", "version", "device", "queues", "state", "busy with", "host", "seen"):
        table.add_column(heading, overflow="fold")
    for worker in workers:
        cells = (
            worker.framework,
            worker.versions.get(worker.framework, "–"),
            worker.device,
            ", ".join(dict.fromkeys(queue.rpartition(".")[2] for queue in worker.queues if "@" not in queue)),
            worker.state,
            worker.run_id or "–",
            worker.host,
            f"{max(0.0, now - worker.seen_s):.1f} s ago",
        )
        # What a worker says of itself is text, not markup.
        table.add_row(*(Text(cell) for cell in cells))
    Console().print(table)


UNHEALTHY = 4

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("wrong", "red")}


def doctor(
    as_json: AsJson = False,
) -> None:
    """Check each link: Python, disk, environments, Redis, workers, clock; say how to mend what is wrong.

    Starts nothing. Exit status 0 where nothing is wrong, 4 otherwise.

    Example: likewise doctor
    """
    from producer.doctor import examine
    from shared.settings import Settings

    findings = examine(Settings.from_environment())
    healthy = all(finding.state != "wrong" for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "checks": [finding.model_dump(mode="json") for finding in findings]})
    else:
        width = max(len(finding.link) for finding in findings)
        for finding in findings:
            word, colour = _MARKS[finding.state]
            typer.echo(f"{typer.style(f'{word:5}', fg=colour)}  {finding.link:{width}}  {finding.found}")
            if finding.mend:
                typer.echo(f"{'':{width + 7}}  → {finding.mend}")
    if not healthy:
        raise typer.Exit(UNHEALTHY)
