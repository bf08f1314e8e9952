"""`likewise list`: the recent experiments."""

from __future__ import annotations

from typing import Annotated

import typer

from producer.commands.options import AsJson


def command(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the recent experiments: id, name, when, where they stand and what the verdict is.

    A sweep has a verdict for each of its points, which likewise show prints.

    Example: likewise list --limit 5
    """
    from producer import experiment_flow as flow
    from producer import outcome_flow as outcomes
    from producer.report import listing
    from shared.errors import ResultError

    with flow.open_for(quiet=as_json) as session:
        unreadable: list[ResultError] = []
        records = session.ledger.experiments(limit=limit, unreadable=unreadable.append)
        entries = []
        for record in records:
            state = listing.state_of(session.ledger.records(record.run_ids))
            verdict = outcomes.verdict_word(session, record) if state == "finished" else None
            entries.append(listing.Entry(record=record, state=state, verdict=verdict))
        listing.tell_unreadable(unreadable)
        listing.print_list(entries, now_s=session.ledger.now(), as_json=as_json)
