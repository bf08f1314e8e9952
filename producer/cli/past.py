"""Commands on what was trained before: history, pin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from likewise.producer.cli import completing
from likewise.producer.cli.options import AsJson, ExperimentId, Form, Output, Report, print_json
from likewise.shared.errors import UsageError


def history(
    name: Annotated[
        str,
        typer.Argument(
            help="The experiments' name, or a pattern such as 'mnist*'.", autocompletion=completing.names
        ),
    ],
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, the newest.")] = 10,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
) -> None:
    """Show the experiments of a name beside each other: what was changed, the verdicts, metrics and times.

    The oldest comes first. On a terminal the final losses are drawn; a page (--report) draws every number.
    likewise show A B C does the same for experiments that are named by their ids.

    \b
    Examples:
      likewise history article
      likewise history 'mnist*' --limit 20 --format md
      likewise history article --report article.html
    """
    from likewise.producer import experiments
    from likewise.producer.history import history_of, named
    from likewise.producer.report.history import HistoryDocument

    output = Output.of(form, as_json=as_json, file=report)
    with experiments.open_for(quiet=output.quiet) as session:
        found = history_of(session, named(session, name, limit=limit), name=name)
    output.put(HistoryDocument(history=found))


def pin(
    experiment: ExperimentId = "last",
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; <name>.golden.json if none."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write what a comparison gave into a file, so that later trainings can be held against it.

    It has every side's numbers, weights and versions, and the hashes of the data. likewise compare SPEC
    --against FILE --check ends with 1 where anything has changed since, beyond rounding.

    \b
    Examples:
      likewise pin last -o golden.json
      likewise compare article --against golden.json --check
    """
    from likewise.producer import experiments
    from likewise.producer.console import make_console
    from likewise.producer.golden import pin as pinned
    from likewise.producer.runs.submitted import find

    with experiments.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        path = file or Path(f"{record.experiment.name}.golden.json")
        if path.exists() and not force:
            raise UsageError(f"{path} is there already; --force writes over it")
        golden = pinned(session, experiments.judge(session, record))
    try:
        path.write_text(f"{golden.model_dump_json(indent=1)}\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}").about(path) from None
    if as_json:
        print_json({"experiment_id": record.experiment_id, "file": str(path)})
    else:
        make_console().print(f"{path}", markup=False)
