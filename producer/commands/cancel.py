"""`likewise cancel`: stop an experiment's runs."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    experiment: Annotated[
        str, typer.Argument(metavar="ID", help="An experiment's id, its beginning, or last.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Stop an experiment: queued runs at once, running ones within two seconds.

    Example: likewise cancel last
    """
    import json

    from producer import experiment_flow as flow
    from producer.queue.lookup import find
    from producer.report.console import make_console

    with flow.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        states = {run_id: session.ledger.cancel(run_id) for run_id in record.run_ids}
    runs = dict(zip(record.experiment.frameworks, states.values(), strict=True))
    if as_json:
        document = {"experiment_id": record.experiment_id, "runs": runs}
        make_console().file.write(f"{json.dumps(document, indent=2)}\n")
        return
    said = {"leased": "is stopping", "cancelled": "cancelled", "queued": "is stopping"}
    told = ", ".join(f"{name} {said.get(state, f'had already {state}')}" for name, state in runs.items())
    make_console().print(f"{record.experiment_id}: {told}")
