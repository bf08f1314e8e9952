"""`likewise report`: a finished comparison as a page with pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from producer.commands.options import AsJson


def command(
    experiment: Annotated[
        str, typer.Argument(metavar="ID", help="An experiment's id, its beginning, or last.")
    ] = "last",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; <name>.html when left out."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a finished comparison as one HTML file with pictures, which needs no network.

    Example: likewise report last -o article.html
    """
    import json

    from producer import experiment_flow as flow
    from producer import outcome_flow as outcomes
    from producer.queue.lookup import find
    from producer.report.console import make_console
    from shared.errors import UsageError

    flow.check_page_path(output)
    with flow.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        if not all(run.final for run in session.ledger.records(record.run_ids)):
            raise UsageError(
                f"{record.experiment_id} is still running; first likewise watch {record.experiment_id}"
            )
        if record.experiment.grid:
            raise UsageError(
                f"{record.experiment_id} is a sweep, which has a table and no page: "
                f"likewise show {record.experiment_id}"
            )
        path = output or Path(f"{record.experiment.name}.html")
        outcomes.write_page(session, outcomes.outcome_of(session, record), path)
    if as_json:
        document = {"experiment_id": record.experiment_id, "file": str(path)}
        make_console().file.write(f"{json.dumps(document, indent=2)}\n")
    else:
        make_console().print(f"{path}")
