"""The command that a monitoring system reads."""

from __future__ import annotations

from typing import Annotated

import typer

from likewise.producer.cli.options import say


def metrics(
    port: Annotated[
        int | None,
        typer.Option(
            "--port", min=1, max=65_535, help="Serve them there at /metrics; otherwise print them once."
        ),
    ] = None,
    address: Annotated[
        str, typer.Option("--address", help="The address of this machine to serve them at.")
    ] = "127.0.0.1",
) -> None:
    """Tell Prometheus of queues, runs, workers and Redis: print it once, or serve it with --port.

    Needs the package prometheus-client (pip install 'likewise[monitoring]') and, of Redis's users, no more
    than monitor. deploy/monitoring has alert rules.

    Example: likewise metrics --port 9464
    """
    import threading

    from likewise.producer.metrics import registry_of
    from likewise.producer.session import open_running
    from likewise.shared.errors import NoWorkerError, ServiceError
    from likewise.shared.settings import Settings

    session = open_running(Settings.from_environment())
    if session is None:
        raise NoWorkerError("no Redis is configured and no local stack runs; set LIKEWISE_REDIS_URL")
    with session:
        registry = registry_of(session)
        from prometheus_client import generate_latest, start_http_server

        if port is None:
            typer.echo(generate_latest(registry).decode(), nl=False)
            return
        try:
            start_http_server(port, addr=address, registry=registry)
        except OSError as error:
            raise ServiceError(f"{address}:{port} cannot be served: {error.strerror}") from None
        say(f"metrics are at http://{address}:{port}/metrics")
        threading.Event().wait()
