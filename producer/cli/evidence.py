"""Commands that take results elsewhere: bundle an experiment, verify a bundle, send it to MLflow."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from likewise.producer.cli.options import AsJson, ExperimentId, Form, Output, Report, print_json
from likewise.shared.errors import NOT_IN_AGREEMENT, UsageError


def bundle(
    experiment: ExperimentId = "last",
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; <name>.zip if none."),
    ] = None,
    no_data: Annotated[
        bool, typer.Option("--no-data", help="Leave the samples out, and bundle their hashes alone.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write all that a finished comparison rests on into one file, so that others can train it again.

    It has the job, the samples, every number and weight, versions and image digests, and the hash of each.
    likewise verify FILE checks it, trains it again, and says line by line what holds.

    \b
    Examples:
      likewise bundle last -o article.zip
      likewise verify article.zip
    """
    import io

    from likewise.producer import bundle as bundles
    from likewise.producer import experiments
    from likewise.producer.console import make_console
    from likewise.producer.report import write
    from likewise.producer.report.comparison import ComparisonDocument
    from likewise.producer.runs.submitted import find

    with experiments.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        if record.experiment.grid:
            raise UsageError(f"{record.experiment_id} is a sweep; compare one of its points, and bundle that")
        path = file or Path(f"{record.experiment.name}.zip")
        if path.exists() and not force:
            raise UsageError(f"{path} is there already; --force writes over it")
        outcome = experiments.judge(session, record)
        series = io.StringIO()
        write(ComparisonDocument(comparison=outcome.comparison, full=True), "csv", series)
        manifest = bundles.write_bundle(session, outcome, series.getvalue(), path, data=not no_data)
    if as_json:
        print_json({"file": str(path), **manifest.model_dump(mode="json")})
    else:
        make_console().print(f"{path}", markup=False)


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that likewise bundle has written.")],
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Check members and hashes alone, and train nothing.")
    ] = False,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
) -> None:
    """Check a bundle, train it again here, and say line by line what holds.

    A bundle that lacks something, or in which something was changed, is told before anything is trained. The
    numbers of the new training are held against those in the bundle, each side against itself, by what
    compares sides. Ends with 0 where everything holds, and with 1 where something does not.

    \b
    Examples:
      likewise verify article.zip
      likewise verify article.zip --no-train --json
    """
    from likewise.producer.report.verification import VerificationDocument
    from likewise.producer.verifying import verify as verified

    output = Output.of(form, as_json=as_json, file=report)
    found = verified(file, train=not no_train, quiet=output.quiet)
    output.put(VerificationDocument(found))
    raise typer.Exit(0 if found.holds else NOT_IN_AGREEMENT)


def mlflow(
    experiment: ExperimentId = "last",
    uri: Annotated[
        str | None,
        typer.Option("--uri", metavar="URL", help="The tracking server; MLFLOW_TRACKING_URI, if none."),
    ] = None,
    into: Annotated[
        str, typer.Option("--into", metavar="NAME", help="The experiment of MLflow that takes the runs.")
    ] = "likewise",
    as_json: AsJson = False,
) -> None:
    """Send a finished comparison to an MLflow server: a run for it, and one within it for each side.

    Settings become parameters, losses metrics by epoch, and the page, the JSON document and every number are
    kept as artifacts. What was sent before is not sent again. Needs pip install 'likewise[mlflow]'.

    \b
    Examples:
      likewise mlflow last --uri http://localhost:5000
      likewise mlflow last --uri http://localhost:5000 --into porting
    """
    from likewise.producer import experiments
    from likewise.producer.console import make_console
    from likewise.producer.runs.submitted import find
    from likewise.producer.tracking import send_to_mlflow

    with experiments.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        if record.experiment.grid:
            raise UsageError(f"{record.experiment_id} is a sweep; compare one of its points, and send that")
        outcome = experiments.judge(session, record)
        if not outcome.ended:
            name = record.experiment_id
            raise UsageError(f"{name} is still running; first likewise watch {name}")
        sent = send_to_mlflow(outcome, uri=uri, experiment=into)
    if as_json:
        document = {"experiment_id": record.experiment_id, "run_id": sent.run_id, "sides": dict(sent.sides)}
        print_json({**document, "sent": not sent.again})
        return
    said = "was sent before, as" if sent.again else "sent as"
    runs = ", ".join(f"{side} {run}" for side, run in sent.sides.items())
    make_console().print(f"{record.experiment_id} {said} run {sent.run_id} ({runs})", markup=False)
