"""Commands on experiments that were submitted: submit, watch, show, report, list, cancel, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from producer.cli.options import (
    AsJson,
    Full,
    Key,
    QueueAnyway,
    Resolved,
    Seeds,
    SetValues,
    Sides,
    Spec,
    check_page_path,
)
from shared.errors import UsageError


def submit(
    spec: Spec,
    set_values: SetValues = None,
    seeds: Seeds = None,
    sides: Sides = None,
    as_json: AsJson = False,
    queue_anyway: QueueAnyway = False,
    key: Key = None,
) -> None:
    """Put the experiment on the queue, print its id and do not wait.

    Example: likewise submit digits --seeds 10
    """
    import json

    from producer import experiments
    from producer.console import make_console, progress_console

    prepared = experiments.prepare_given(spec, set_values or (), seeds, sides)
    with experiments.open_to_train(prepared, quiet=as_json) as session:
        record = experiments.submit_prepared(session, prepared, queue_anyway=queue_anyway, key=key)
        placed = session.ledger.records(record.run_ids)
    if as_json:
        first = {run.side: run.run_id for run in reversed(placed)}
        runs = {label: first[label] for label in record.experiment.labels}
        document = {"experiment_id": record.experiment_id, "name": record.experiment.name, "runs": runs}
        make_console().file.write(f"{json.dumps(document, indent=2)}\n")
        return
    make_console().file.write(f"{record.experiment_id}\n")
    progress_console().print(
        f"follow it: likewise watch {record.experiment_id}  ·  end it: likewise cancel {record.experiment_id}"
    )


def watch(
    experiment: Annotated[
        str, typer.Argument(metavar="ID", help="An experiment's id, its beginning, or last.")
    ] = "last",
    as_json: AsJson = False,
) -> None:
    """Follow an experiment that was submitted before, from any terminal, and show the verdict.

    Ctrl-C stops watching; the trainings go on. Ends with 3 when a training failed.

    Example: likewise watch last
    """
    from producer import experiments
    from producer.cli import printing
    from producer.experiments import leaving
    from producer.queue.submitted import find
    from producer.report.sweep import print_sweep
    from producer.sweep.runs import swept

    with experiments.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        with leaving(record):
            experiments.follow_to_end(session, record, quiet=as_json)
        if record.experiment.grid:
            table = swept(session, record, tell=experiments.teller(quiet=as_json))
            print_sweep(table, as_json=as_json)
            raise typer.Exit(experiments.RUN_FAILED if table.failed else 0)
        comparison = experiments.judge(session, record).comparison
    printing.print_comparison(comparison, as_json=as_json)
    raise typer.Exit(printing.exit_status(comparison, check=False))


def show(
    experiment: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="An experiment's id, its beginning, or last; with --resolved a job file too."
        ),
    ] = "last",
    resolved: Resolved = False,
    as_json: AsJson = False,
    sides: Sides = None,
    full: Full = False,
) -> None:
    """Print a finished comparison again, or where an experiment stands.

    \b
    Examples:
      likewise show last --json
      likewise show last --resolved
      likewise show digits --resolved
    """
    from producer import experiments
    from producer.cli import printing
    from producer.job.jobfile import names_a_job, read_experiment
    from producer.queue.submitted import find
    from producer.report import resolved as settings
    from producer.report import status
    from producer.report.sweep import print_sweep
    from producer.sweep.runs import swept

    if resolved and names_a_job(experiment):
        settings.show(read_experiment(experiment, sides=sides).experiment, as_json=as_json)
        return
    if sides is not None:
        raise UsageError("--sides goes with --resolved and a job file; an experiment stays as it is")
    with experiments.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        if resolved:
            runs_of = map(session.ledger.run, record.run_ids)
            jobs = None if record.experiment.grid else {run.side: run.job for run in runs_of}
            settings.show(record.experiment, jobs, as_json=as_json)
            return
        runs = session.ledger.records(record.run_ids)
        if not all(run.final for run in runs):
            status.print_state(record, runs, now_s=session.ledger.now(), as_json=as_json)
        elif record.experiment.grid:
            print_sweep(
                swept(session, record, tell=experiments.teller(quiet=as_json), full=full and as_json),
                as_json=as_json,
            )
        else:
            outcome = experiments.judge(session, record, full=full)
            printing.print_comparison(outcome.comparison, as_json=as_json, full=full)


def report(
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

    from producer import experiments
    from producer.cli import printing
    from producer.console import make_console
    from producer.queue.submitted import find
    from shared.errors import UsageError

    check_page_path(output)
    with experiments.open_for(quiet=as_json) as session:
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
        printing.write_page(experiments.judge(session, record), path)
    if as_json:
        document = {"experiment_id": record.experiment_id, "file": str(path)}
        make_console().file.write(f"{json.dumps(document, indent=2)}\n")
    else:
        make_console().print(f"{path}")


def list_experiments(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the recent experiments: id, name, when, where they stand and what the verdict is.

    A sweep has a verdict for each of its points, which likewise show prints.

    Example: likewise list --limit 5
    """
    from producer import experiments
    from producer.report import listing
    from shared.errors import ResultError

    with experiments.open_for(quiet=as_json) as session:
        unreadable: list[ResultError] = []
        records = session.ledger.experiments(limit=limit, unreadable=unreadable.append)
        entries = []
        for record in records:
            state = listing.state_of(session.ledger.records(record.run_ids))
            verdict = experiments.verdict_word(session, record) if state == "finished" else None
            entries.append(listing.Entry(record=record, state=state, verdict=verdict))
        listing.tell_unreadable(unreadable)
        listing.print_list(entries, now_s=session.ledger.now(), as_json=as_json)


_ENDS = ("succeeded", "failed", "cancelled", "queued", "leased")

_SAID = {"leased": "is stopping", "cancelled": "cancelled", "queued": "is stopping"}


def cancel(
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

    from producer import experiments
    from producer.console import make_console
    from producer.queue.submitted import cancel, find

    with experiments.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        runs = cancel(record.experiment_id, ledger=session.ledger)
    own = [run for run in runs if run.experiment_id == record.experiment_id]
    # of a side's several runs the one that ends last is told
    states = {run.side: run.state for run in sorted(own, key=lambda run: _ENDS.index(run.state))}
    related = [run.state for run in runs if run.experiment_id != record.experiment_id]
    if as_json:
        document = {"experiment_id": record.experiment_id, "runs": states, "related_runs": related}
        make_console().file.write(f"{json.dumps(document, indent=2)}\n")
        return
    told = [f"{label} {_SAID.get(state, f'had already {state}')}" for label, state in states.items()]
    ended = sum(state in _SAID for state in related)
    more = f"; {ended} more that belong to it stop, too" if ended else ""
    make_console().print(f"{record.experiment_id}: {', '.join(told)}{more}")


def delete(
    experiment: Annotated[
        str, typer.Argument(metavar="ID", help="An experiment's id, its beginning, or last.")
    ],
    as_json: AsJson = False,
) -> None:
    """Remove a finished experiment, its results and its progress for good.

    Example: likewise delete last
    """
    import json

    from producer import experiments
    from producer.console import make_console
    from producer.queue.submitted import find

    with experiments.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        session.ledger.delete(record.experiment_id)
    if as_json:
        make_console().file.write(f"{json.dumps({'deleted': record.experiment_id})}\n")
    else:
        make_console().print(f"{record.experiment_id} ({record.experiment.name}) is deleted")
