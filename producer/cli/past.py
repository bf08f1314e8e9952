"""Commands on what was trained before: history, pin, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from likewise.producer.cli.options import AsJson, ExperimentId, Form, Output, Report, print_json
from likewise.shared.errors import UsageError


def history(
    name: Annotated[str, typer.Argument(help="The experiments' name, or a pattern such as 'mnist*'.")],
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, the newest.")] = 10,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
) -> None:
    """Show the experiments of a name beside each other: what was changed, the verdicts, metrics and times.

    The oldest comes first. likewise show A B C does the same for experiments that are named by their ids.

    \b
    Examples:
      likewise history article
      likewise history 'mnist*' --limit 20 --format md
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


def export(
    experiment: ExperimentId = "last",
    side: Annotated[
        str | None, typer.Option("--side", metavar="NAME", help="The side whose model is wanted.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; its ending names the format."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="program|safetensors|state_dict|keras|npz",
            help="How to write it; program if neither this nor an ending says.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The seed whose model is wanted; the first, if none.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the trained model of a side, so that it runs without Likewise.

    A plain program is always written, with the weights in an npz file beside it: its model() is trained, its
    prepare() does with new rows what was done with the samples, and its predict() gives outputs in the
    targets' own units. The other formats are written besides, by the framework itself. What was written is
    proved by predicting once more what the training predicted.

    \b
    Examples:
      likewise export last --side torch -o net.py
      likewise export last --side tensorflow -o digits.keras
      likewise export last --side torch --format safetensors
    """
    from likewise.producer import experiments, exporting
    from likewise.producer.console import make_console
    from likewise.producer.display import gap
    from likewise.producer.runs.submitted import find

    if form is not None and form not in exporting.FORMATS:
        raise UsageError(f"--format is {form!r}; it can be {', '.join(exporting.FORMATS)}")
    with experiments.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        labels = record.experiment.labels
        if record.experiment.grid:
            raise UsageError(f"{record.experiment_id} is a sweep; compare one of its points, and export that")
        if side is None and len(labels) > 1:
            raise UsageError(f"--side says whose model is wanted: {' or '.join(labels)}")
        label = side or labels[0]
        ending = exporting.FORMATS[form or "program"]
        path = file or Path(f"{record.experiment.name}_{label.replace('-', '_')}{ending}")
        if path.suffix not in exporting.FORMATS.values() or (form is not None and path.suffix != ending):
            wanted = ending if form is not None else ", ".join(exporting.FORMATS.values())
            raise UsageError(f"{path} does not end in {wanted}")
        for one in (path, path.with_suffix(".py"), path.with_suffix(".npz")):
            if one.exists() and not force:
                raise UsageError(f"{one} is there already; --force writes over it")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"there is no folder {path.parent}")
        tell = experiments.teller(quiet=as_json)
        done = exporting.export(experiments.judge(session, record), label, path, seed=seed, tell=tell)
    files = [str(one) for one in done.files]
    if as_json:
        print_json({"experiment_id": record.experiment_id, "files": files, "relative_difference": done.apart})
        return
    proof = (
        "" if done.apart is None else f": its predictions are {gap(done.apart)} from those of the training"
    )
    make_console().print(f"wrote {' and '.join(files)}{proof}", markup=False)
