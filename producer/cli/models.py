"""Commands on trained models: predict with one, and take it out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from likewise.producer.cli import completing
from likewise.producer.cli.options import AsJson, ExperimentId, print_json
from likewise.shared.errors import UsageError

SideName = Annotated[
    str | None,
    typer.Option(
        "--side", metavar="NAME", help="The side whose model is wanted.", autocompletion=completing.sides
    ),
]
SeedOf = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", help="The seed whose model is wanted; the first, if none."),
]
Force = Annotated[bool, typer.Option("--force", help="Write over files that are there.")]


def predict(
    experiment: ExperimentId = "last",
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="The new rows: .csv, .parquet, .jsonl, .npy or .npz."),
    ] = None,
    side: SideName = None,
    seed: SeedOf = None,
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write all rows: .csv, .json or .parquet."),
    ] = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Predict the rows of a new file by what a side has trained, in its own framework.

    Rows are given by the names of the columns that were trained on, in any order; gaps, categories and scales
    are treated as in the training. Targets come back in their own units, classes by name with probabilities.

    \b
    Examples:
      likewise predict last --data new.csv --side torch
      likewise predict last --data new.csv --side torch -o predicted.csv
    """
    from likewise.producer import experiments, predicting
    from likewise.producer.console import make_console
    from likewise.producer.report.document import print_parts
    from likewise.producer.report.predictions import ENDINGS, PredictionsDocument, write_predictions
    from likewise.producer.runs.submitted import find

    if data is None:
        raise UsageError("--data names the file with the new rows, such as --data new.csv")
    if file is not None:
        if file.suffix not in ENDINGS:
            raise UsageError(f"{file} does not end in {', '.join(ENDINGS)}")
        _check_free([file], force=force)
    with experiments.open_for(quiet=as_json) as session:
        record = find(session.ledger, experiment)
        model = predicting.trained_model(session, record, side, seed=seed)
    own = record.experiment.with_sides([model.run.side])
    with experiments.open_for(own.environments_needed, quiet=as_json) as session:
        found = predicting.predict(session, model, data, quiet=as_json)
    document = PredictionsDocument(found)
    if file is not None:
        write_predictions(found, file)
    if as_json:
        print_json(document.to_json())
    elif file is not None:
        for sentence in document.sentences:
            make_console().print(sentence, markup=False)
        make_console().print(f"wrote {file}", markup=False)
    else:
        print_parts(document, make_console())


def _check_free(files: list[Path], *, force: bool) -> None:
    """Raise UsageError where a file is there already, or its folder is not."""
    for one in files:
        if one.exists() and not force:
            raise UsageError(f"{one} is there already; --force writes over it")
    if not files[0].absolute().parent.is_dir():
        raise UsageError(f"there is no folder {files[0].parent}")


def export(
    experiment: ExperimentId = "last",
    side: SideName = None,
    file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; its ending names the format."),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="program|safetensors|state_dict|keras|npz|onnx",
            autocompletion=completing.model_formats,
            help="How to write it; program if neither this nor an ending says.",
        ),
    ] = None,
    seed: SeedOf = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Write the trained model of a side, so that it runs without Likewise.

    A plain program is always written, with the weights in an npz file beside it: its model() is trained, its
    prepare() does with new rows what was done with the samples, and its predict() gives outputs in the
    targets' own units. The other formats are written besides, by the framework itself; .onnx takes rows and
    gives outputs in their own units, too, and its exporter is installed when it is first asked for. What was
    written is proved by predicting once more what the training predicted.

    \b
    Examples:
      likewise export last --side torch -o net.py
      likewise export last --side tensorflow -o digits.keras
      likewise export last --side torch --format safetensors
      likewise export last --side torch -o net.onnx
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
        _check_free([path, path.with_suffix(".py"), path.with_suffix(".npz")], force=force)
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
