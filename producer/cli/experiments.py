"""Commands on experiments that were submitted: submit, watch, show, report, cancel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likewise.producer.cli import completing
from likewise.producer.cli.options import (
    AsJson,
    ExperimentId,
    Form,
    Full,
    Key,
    KindOf,
    Note,
    NoTrace,
    NoTwin,
    Only,
    Output,
    Priority,
    QueueAnyway,
    Resolved,
    Seeds,
    SetValues,
    Sides,
    Spec,
    Tags,
    Urgency,
    check_file,
    note_of,
    print_json,
    tags_of,
)
from likewise.producer.report import FILE_FORMATS, format_of, write_file
from likewise.shared.errors import RUN_FAILED, UsageError

if TYPE_CHECKING:
    from likewise.producer.report.document import Document
    from likewise.producer.session import Session
    from likewise.shared.ledger.records import KeptRecord, Kind


def submit(
    spec: Spec,
    set_values: SetValues = None,
    seeds: Seeds = None,
    sides: Sides = None,
    as_json: AsJson = False,
    queue_anyway: QueueAnyway = False,
    key: Key = None,
    priority: Priority = Urgency.low,
    tag: Tags = None,
    note: Note = "",
) -> None:
    """Put the experiment on the queue, print its id and do not wait.

    It lets commands that are waited for go first, unless --priority says otherwise.

    \b
    Examples:
      likewise submit digits --seeds 10
      likewise submit digits --priority high
    """
    from likewise.producer import experiments
    from likewise.producer.console import make_console, progress_console
    from likewise.producer.runs.submit import Request

    request = Request(
        tags=tags_of(tag), note=note_of(note), priority=priority.value, key=key, queue_anyway=queue_anyway
    )
    prepared = experiments.prepare_given(spec, set_values or (), seeds, sides)
    with experiments.open_to_train(prepared, quiet=as_json) as session:
        record = experiments.submit_prepared(session, prepared, request)
        placed = session.ledger.records(record.run_ids)
    if as_json:
        first = {run.side: run.run_id for run in reversed(placed)}
        runs = {label: first[label] for label in record.experiment.labels}
        document = {"experiment_id": record.experiment_id, "name": record.experiment.name, "runs": runs}
        print_json(document)
        return
    make_console().file.write(f"{record.experiment_id}\n")
    progress_console().print(
        f"follow it: likewise watch {record.experiment_id}  ·  end it: likewise cancel {record.experiment_id}"
    )


def watch(
    experiment: ExperimentId = "last",
    as_json: AsJson = False,
    form: Form = None,
    no_twin: NoTwin = False,
    no_trace: NoTrace = False,
) -> None:
    """Follow an experiment that was submitted before, from any terminal, and show the verdict.

    What the verdict of a comparison needs is trained further, as compare does, unless it was before. Ctrl-C
    stops watching; the trainings go on. Ends with 3 when a training failed or was cancelled.

    \b
    Examples:
      likewise watch last
      likewise watch last --no-twin --no-trace
    """
    from likewise.producer import experiments
    from likewise.producer.experiments import leaving
    from likewise.producer.runs.submitted import find

    output = Output.of(form, as_json=as_json)
    with experiments.open_for(quiet=output.quiet) as session:
        record = find(session.ledger, experiment)
        with leaving(record):
            experiments.follow_to_end(session, record, quiet=output.quiet)
            if record.kind == "comparison":
                experiments.follow_up_where_possible(
                    record, quiet=output.quiet, twin=not no_twin, trace=not no_trace
                )
        now = find(session.ledger, record.experiment_id)  # it names what was trained further
        document, status = _finished(session, now, output)
    output.put(document)
    raise typer.Exit(status)


def _finished(
    session: Session,
    record: KeptRecord,
    output: Output,
    *,
    kind: Kind | None = None,
    full: bool = False,
    only: bool = False,
) -> tuple[Document, int]:
    """Return what came of a finished experiment, and the status of a command that shows it.

    `kind` is what is asked of it, beside what it was submitted as, and is then alone on its page, as with
    `only`. Raises UsageError where it has none.
    """
    from likewise.producer.results import result_of

    shown = kind or _shown(record, quiet=output.quiet)
    whole = full and output.wants("json")
    result = result_of(session, record, kind=shown, full=whole, quiet=output.quiet)
    document = result.shown(full=full, page=output.wants("html"), only=only or kind is not None)
    return document, RUN_FAILED if result.failed else 0


_GOES_ON = {"explanation": "explain", "bench": "bench"}
"""The command that goes on with what was interrupted, by its kind."""


def _shown(record: KeptRecord, *, quiet: bool) -> Kind:
    """Return as what an experiment is shown: a comparison while what was asked for is not there."""
    if record.kind not in _GOES_ON or record.kind in record.findings:
        return record.kind
    from likewise.producer.experiments import teller

    goes_on = f"likewise {_GOES_ON[record.kind]} {record.experiment_id} goes on"
    teller(quiet=quiet)(f"note: its {record.kind} is not there yet, only the comparison; {goes_on}")
    return "comparison"


def show(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID...",
            help="An experiment's id, its beginning, or last; with --resolved a job file too; several are "
            "shown beside each other.",
            autocompletion=completing.specs_and_ids,
        ),
    ] = None,
    resolved: Resolved = False,
    kind: KindOf = None,
    as_json: AsJson = False,
    form: Form = None,
    sides: Sides = None,
    full: Full = False,
    only: Only = False,
) -> None:
    """Print a finished experiment again as what it is, such as a bench, or say where it stands.

    Of several, what was changed between them, their verdicts, metrics and times.

    \b
    Examples:
      likewise show last --json
      likewise show last --kind explanation
      likewise show 9cc3c1e8 last
      likewise show last --format md
      likewise show last --resolved
      likewise show digits --resolved
    """
    from likewise.producer import experiments
    from likewise.producer.job.jobfile import names_a_job, read_experiment
    from likewise.producer.report.resolved import ResolvedDocument
    from likewise.producer.report.status import UnfinishedDocument
    from likewise.producer.runs.submitted import find, find_kept

    output = Output.of(form, as_json=as_json)
    document: Document
    experiment, *others = given or ["last"]
    if others:
        if resolved or kind is not None or sides is not None or full:
            raise UsageError(
                "of several experiments neither --resolved nor --kind, --sides or --full is shown"
            )
        output.put(_beside(experiment, *others, quiet=output.quiet))
        return
    if resolved and names_a_job(experiment):
        output.put(ResolvedDocument.of(read_experiment(experiment, sides=sides).experiment))
        return
    if sides is not None:
        raise UsageError("--sides goes with --resolved and a job file; an experiment stays as it is")
    with experiments.open_for(quiet=output.quiet) as session:
        if resolved:
            record = find(session.ledger, experiment)
            runs_of = map(session.ledger.run, record.run_ids)
            jobs = None if record.experiment.grid else {run.side: run.job for run in runs_of}
            document = ResolvedDocument.of(record.experiment, jobs)
        else:
            found = find_kept(session.ledger, experiment)
            runs = session.ledger.records(found.run_ids)
            if all(run.final for run in runs):
                document, _ = _finished(
                    session, found, output, kind=kind.value if kind else None, full=full, only=only
                )
            else:
                workers, now_s = session.ledger.census()
                live = {worker.worker_id for worker in workers}
                before = session.ledger.runs_before(runs)
                document = UnfinishedDocument(record=found, runs=runs, now_s=now_s, live=live, before=before)
    output.put(document)


def _beside(*given: str, quiet: bool) -> Document:
    """Return several experiments beside each other. Raises UsageError where one is named twice."""
    from likewise.producer import experiments
    from likewise.producer.history import history_of
    from likewise.producer.report.history import HistoryDocument
    from likewise.producer.runs.submitted import find_kept

    with experiments.open_for(quiet=quiet) as session:
        records = {one.experiment_id: one for one in (find_kept(session.ledger, name) for name in given)}
        if len(records) < len(given):
            raise UsageError("an experiment is named twice; name others to show them beside each other")
        names = dict.fromkeys(one.name for one in records.values())
        return HistoryDocument(history=history_of(session, [*records.values()], name=", ".join(names)))


def report(
    experiment: ExperimentId = "last",
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; <name>.html when left out."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="|".join(FILE_FORMATS), help="How to write it; by the file's ending, or html."
        ),
    ] = None,
    kind: KindOf = None,
    only: Only = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the file's name as JSON.")] = False,
) -> None:
    """Write a finished experiment into one file: a page with pictures, which needs no network, or a table.

    The page has the whole subject: beside the experiment that is named, the newest of each other kind
    (comparison, explanation, bench, sweep, check of a port) of the same job, or of the same programs. It says
    which these are. --only leaves them out, and so does --kind.

    \b
    Examples:
      likewise report last -o article.html
      likewise report last --only
      likewise report last --format md
    """
    from likewise.producer import experiments
    from likewise.producer.console import make_console
    from likewise.producer.runs.submitted import find_kept

    if form is not None and form not in FILE_FORMATS:
        raise UsageError(f"--format is {form!r}; a file can be {', '.join(FILE_FORMATS)}")
    if file is not None:
        check_file(file)
        if form not in (None, format_of(file)):
            raise UsageError(f"--format is {form}, and {file} ends in {file.suffix}; give one of the two")
    with experiments.open_for(quiet=as_json) as session:
        record = find_kept(session.ledger, experiment)
        if not all(run.final for run in session.ledger.records(record.run_ids)):
            raise UsageError(
                f"{record.experiment_id} is still running; first likewise watch {record.experiment_id}"
            )
        path = file or _free(record, form or "html")
        document, _ = _finished(
            session, record, Output(form=format_of(path)), kind=kind.value if kind else None, only=only
        )
    write_file(document, path)
    if as_json:
        print_json({"experiment_id": record.experiment_id, "file": str(path)})
    else:
        make_console().print(f"{path}")


def _free(record: KeptRecord, form: str) -> Path:
    """Return <name>.html, or with the id in it where that file is of something else."""
    path = Path(f"{record.name}.{form}")
    name = record.experiment_id
    if not path.exists() or name.encode() in path.read_bytes():
        return path
    return Path(f"{record.name}-{name[:8]}.{form}")


_ENDS = ("succeeded", "failed", "cancelled", "queued", "leased")

_SAID = {"leased": "is stopping", "cancelled": "cancelled", "queued": "is stopping"}


def cancel(
    experiment: ExperimentId,
    as_json: AsJson = False,
) -> None:
    """Stop an experiment and all that belongs to it: queued runs at once, running ones within two seconds.

    A command that is training for it ends, too.

    Example: likewise cancel last
    """
    from likewise.producer import experiments
    from likewise.producer.console import make_console
    from likewise.producer.runs.submitted import LEAST_TO_END, cancel, find

    with experiments.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment, least=LEAST_TO_END)
        before = {run.run_id: run.state for run in session.ledger.records(record.run_ids)}
        runs = cancel(record.experiment_id, ledger=session.ledger)
    own = [run for run in runs if run.experiment_id == record.experiment_id]
    # of a side's several runs the one that ends last is told
    own.sort(key=lambda run: _ENDS.index(run.state))
    states = {run.side: run.state for run in own}
    old = {run.side for run in own if before.get(run.run_id) == run.state == "cancelled"}
    old -= {run.side for run in own if before.get(run.run_id) != run.state}
    related = [run.state for run in runs if run.experiment_id != record.experiment_id]
    if as_json:
        document = {"experiment_id": record.experiment_id, "runs": states, "related_runs": related}
        print_json(document)
        return
    told = [
        f"{label} was cancelled before"
        if label in old
        else f"{label} {_SAID.get(state, f'had already {state}')}"
        for label, state in states.items()
    ]
    ended = sum(state in _SAID for state in related)
    more = f"; {ended} more that belong to it stop, too" if ended else ""
    make_console().print(f"{record.experiment_id}: {', '.join(told)}{more}")
