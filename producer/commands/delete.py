"""`likewise delete`: remove an experiment and its results."""

from __future__ import annotations

from typing import Annotated

import typer

from producer.commands.options import AsJson


def command(
    experiment: Annotated[
        str, typer.Argument(metavar="ID", help="An experiment's id, its beginning, or last.")
    ],
    as_json: AsJson = False,
) -> None:
    """Remove a finished experiment, its results and its progress for good.

    Example: likewise delete last
    """
    import json

    from producer import experiment_flow as flow
    from producer.queue.lookup import find
    from producer.report.console import make_console

    with flow.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        session.ledger.delete(record.experiment_id)
    if as_json:
        make_console().file.write(f"{json.dumps({'deleted': record.experiment_id})}\n")
    else:
        make_console().print(f"{record.experiment_id} ({record.experiment.name}) is deleted")
