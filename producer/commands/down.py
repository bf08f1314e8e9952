"""`likewise down`: end the local stack."""

from __future__ import annotations

import typer

from producer.commands.options import AsJson


def command(
    as_json: AsJson = False,
) -> None:
    """End the local stack: its workers and its Redis.

    Experiments are kept. A run in progress goes back to the queue and is trained when the stack is
    up again.

    Example: likewise down
    """
    from producer.commands._printing import print_json, say
    from producer.local import client
    from shared.settings import Settings

    ended = client.stop(Settings.from_environment(), say=say)
    if as_json:
        print_json({"ended": ended})
    else:
        typer.echo("the local stack has ended" if ended else "no local stack was running")
