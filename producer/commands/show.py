"""`likewise show`: a finished comparison again, or where an experiment stands."""

from __future__ import annotations

from typing import Annotated

import typer

from producer.commands.options import AsJson, Full, Resolved


def command(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="An experiment's id, its beginning, or last; with --resolved a job file too."
        ),
    ] = "last",
    resolved: Resolved = False,
    as_json: AsJson = False,
    full: Full = False,
) -> None:
    """Print a finished comparison again, or where an experiment stands.

    \b
    Examples:
      likewise show last --json
      likewise show last --resolved
      likewise show digits --resolved
    """
    from producer import experiment_flow as flow
    from producer import outcome_flow as outcomes
    from producer.job.jobfile import names_a_job, read_experiment
    from producer.queue.lookup import find
    from producer.report import resolved as settings
    from producer.report import status
    from producer.sweep.flow import print_sweep, swept

    if resolved and names_a_job(experiment):
        settings.show(read_experiment(experiment).experiment, as_json=as_json)
        return
    with flow.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        if resolved:
            runs_of = map(session.ledger.run, record.run_ids)
            jobs = None if record.experiment.grid else {run.framework: run.job for run in runs_of}
            settings.show(record.experiment, jobs, as_json=as_json)
            return
        runs = session.ledger.records(record.run_ids)
        if not all(run.final for run in runs):
            status.print_state(record, runs, now_s=session.ledger.now(), as_json=as_json)
        elif record.experiment.grid:
            print_sweep(swept(session, record, quiet=as_json, full=full and as_json), as_json=as_json)
        else:
            outcome = outcomes.outcome_of(session, record, full=full)
            outcomes.finish(session, outcome, as_json=as_json, full=full)
