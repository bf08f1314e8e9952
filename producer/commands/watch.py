"""`likewise watch`: join a running experiment and show its verdict."""

from __future__ import annotations

from typing import Annotated

import typer

from producer.commands.options import AsJson


def command(
    experiment: Annotated[
        str, typer.Argument(metavar="ID", help="An experiment's id, its beginning, or last.")
    ] = "last",
    as_json: AsJson = False,
) -> None:
    """Follow an experiment that was submitted before, from any terminal, and show the verdict.

    Ctrl-C stops watching; the trainings go on. Ends with 3 when a training failed.

    Example: likewise watch last
    """
    from producer import experiment_flow as flow
    from producer import outcome_flow as outcomes
    from producer.interruption import leaving
    from producer.queue.lookup import find
    from producer.sweep.flow import print_sweep, swept

    with flow.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        with leaving(record):
            flow.follow_to_end(session, record, quiet=as_json)
        if record.experiment.grid:
            table = swept(session, record, quiet=as_json)
            print_sweep(table, as_json=as_json)
            raise typer.Exit(flow.RUN_FAILED if table.failed else 0)
        comparison = outcomes.finish(session, outcomes.outcome_of(session, record), as_json=as_json)
    raise typer.Exit(outcomes.exit_status(comparison, check=False))
