"""`likewise cancel`: stop an experiment's runs."""

from __future__ import annotations

from typing import Annotated

import typer

from producer.commands.options import AsJson

_ENDS = ("succeeded", "failed", "cancelled", "queued", "leased")
_SAID = {"leased": "is stopping", "cancelled": "cancelled", "queued": "is stopping"}


def command(
    experiment: Annotated[
        str, typer.Argument(metavar="ID", help="An experiment's id, its beginning, or last.")
    ],
    as_json: AsJson = False,
) -> None:
    """Stop an experiment and all that belongs to it: queued runs at once, running ones within two seconds.

    A command that is training for it ends, too.

    Example: likewise cancel last
    """
    import json

    from producer import experiment_flow as flow
    from producer.queue.cancel import cancel
    from producer.queue.lookup import find
    from producer.report.console import make_console

    with flow.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        runs = cancel(record.experiment_id, ledger=session.ledger)
    own = [run for run in runs if run.experiment_id == record.experiment_id]
    # of a framework's several runs the one that ends last is told
    states = {run.framework: run.state for run in sorted(own, key=lambda run: _ENDS.index(run.state))}
    related = [run.state for run in runs if run.experiment_id != record.experiment_id]
    if as_json:
        document = {"experiment_id": record.experiment_id, "runs": states, "related_runs": related}
        make_console().file.write(f"{json.dumps(document, indent=2)}\n")
        return
    told = [f"{framework} {_SAID.get(state, f'had already {state}')}" for framework, state in states.items()]
    ended = sum(state in _SAID for state in related)
    more = f"; {ended} more that belong to it stop, too" if ended else ""
    make_console().print(f"{record.experiment_id}: {', '.join(told)}{more}")
