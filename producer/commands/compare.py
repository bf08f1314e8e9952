"""`likewise compare`: run the experiment in every framework and show the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from producer.commands.options import AsJson, Full, Key, QueueAnyway, Seeds, SetValues, Spec


def command(
    spec: Spec,
    set_values: SetValues = None,
    seeds: Seeds = None,
    as_json: AsJson = False,
    full: Full = False,
    check: Annotated[bool, typer.Option("--check", help="End with status 1 unless they agree.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with pictures.")
    ] = None,
    no_twin: Annotated[
        bool,
        typer.Option("--no-twin", help="Do not train again, in float64 and as it was, to know the rounding."),
    ] = False,
    no_trace: Annotated[
        bool, typer.Option("--no-trace", help="Do not replay step by step to find where they part.")
    ] = False,
    queue_anyway: QueueAnyway = False,
    key: Key = None,
) -> None:
    """Train the job in every framework, side by side, and say whether they agree and why not.

    Ends with 0; 1 with --check unless they agree; 3 when a training failed; 130 on Ctrl-C, which
    cancels the trainings.

    \b
    Examples:
      likewise compare article
      likewise compare job.yaml --set precision=float64 --seeds 5
      likewise compare digits --seeds 1000
      likewise compare job.yaml --check --json > comparison.json
    """
    from producer import experiment_flow as flow
    from producer.interruption import cancelling

    flow.check_page_path(report)
    prepared = flow.prepare_given(spec, set_values or (), seeds)
    with flow.open_to_train(prepared, quiet=as_json) as session:
        record = flow.submit_prepared(session, prepared, queue_anyway=queue_anyway, key=key)
        with cancelling(session, record):
            from producer import outcome_flow as outcomes  # while the runs train

            outcomes.get_ready(record)
            flow.follow_to_end(session, record, quiet=as_json)
            outcome = outcomes.outcome_of(session, record, full=full)
            if not no_twin:
                outcome = outcomes.with_twin(session, record, outcome, quiet=as_json, full=full, rerun=True)
            if not no_trace:
                outcome = outcomes.with_trace(session, record, outcome, quiet=as_json, full=full)
        comparison = outcomes.finish(session, outcome, as_json=as_json, page=report, full=full)
    raise typer.Exit(outcomes.exit_status(comparison, check=check))
