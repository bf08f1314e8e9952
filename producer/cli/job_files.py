"""Commands on job files, and the version: init, examples, validate, schema, version."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from likewise.producer.cli import completing
from likewise.producer.cli.options import (
    AsJson,
    Form,
    Output,
    Resolved,
    SetValues,
    Sides,
    Spec,
    print_json,
    put_lines,
    say,
)
from likewise.producer.report import TERMINAL

if TYPE_CHECKING:
    from likewise.producer.job.prepare import PreparedExperiment


def init(
    file: Annotated[
        Path | None, typer.Argument(help="The job file to write; job.yaml if none.", show_default=False)
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The same, as other commands have it."),
    ] = None,
    from_example: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="EXAMPLE", help="Copy a shipped example.", autocompletion=completing.examples
        ),
    ] = None,
    csv: Annotated[
        list[Path] | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="Write a job for this table: CSV, TSV, Parquet or JSON lines, packed or not; again, or a "
            "pattern such as 'part-*.csv', for one table in several files.",
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="With --csv: the column to predict; again for one more output."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write a job for images in a folder with a folder for each class."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a commented job file: a starter, a copy of an example, or one for a table or for images.

    A column of the table that is left out is named with the reason, and with what would take it in.

    \b
    Examples:
      likewise init houses.yaml --csv houses.csv --target price
      likewise init both.yaml --csv houses.csv --target price --target rooms
      likewise init parts.yaml --csv 'part-*.parquet' --target price
      likewise init pets.yaml --images pets
    """
    from likewise.producer.job.new_file import NewJob, write_new
    from likewise.producer.job.table_job import document_of, lines_of
    from likewise.shared.errors import UsageError

    if file is not None and output is not None:
        raise UsageError(f"the job file is named twice, as {file} and as --output {output}; keep one")
    path = file or output or Path("job.yaml")
    wanted = NewJob(example=from_example, csv=csv or (), targets=target or (), images=images)
    new = write_new(path, wanted, force=force)
    if as_json:
        told = {} if new.table is None else document_of(new.table)
        print_json({"written": [str(one) for one in new.written], **told})
        return
    for written in new.written:
        typer.echo(f"wrote {written}")
    put_lines(() if new.table is None else lines_of(new.table), hang=12)
    typer.echo(f"next: likewise validate {path}")


def examples(
    word: Annotated[
        str | None, typer.Argument(help="Only those with this word in the name, the title or the story.")
    ] = None,
    as_json: AsJson = False,
    form: Form = None,
) -> None:
    """List the job files that ship with Likewise, and the gallery of public reports.

    \b
    Examples:
      likewise examples
      likewise examples momentum
    """
    from likewise.producer.job.examples import examples as every_example
    from likewise.producer.report.examples import ExamplesDocument
    from likewise.shared.errors import UsageError

    output = Output.of(form, as_json=as_json)
    wanted = (word or "").casefold()
    found = [one for one in every_example() if wanted in f"{one.name} {one.title} {one.story}".casefold()]
    if not found:
        raise UsageError(f"{word}: in no example; `likewise examples` lists all of them")
    output.put(ExamplesDocument(examples=found))


def validate(
    spec: Spec,
    set_values: SetValues = None,
    sides: Sides = None,
    resolved: Resolved = False,
    as_json: AsJson = False,
    form: Form = None,
) -> None:
    """Check a job file and its data, and say what it would train. Nothing is trained.

    \b
    Examples:
      likewise validate article --set training.epochs=10
      likewise validate digits --set defaults=native --resolved
    """
    from likewise.producer.job.jobfile import read_experiment
    from likewise.producer.job.prepare import prepare_experiment
    from likewise.producer.job.summary import document_of, lines_of
    from likewise.producer.report.resolved import ResolvedDocument
    from likewise.shared.errors import DataError, JobFileError, UsageError
    from likewise.shared.limits import Limits
    from likewise.shared.settings import Settings

    output = Output.of(form, as_json=as_json)
    if not resolved and output.form not in (TERMINAL, "json"):
        raise UsageError(
            f"--format {output.form} goes with --resolved; what a job would train is text or JSON"
        )
    try:
        prepared: PreparedExperiment = prepare_experiment(
            read_experiment(spec, set_values or (), sides), limits=Limits.of(Settings.from_environment())
        )
        if prepared.loaded.experiment.grid:
            from likewise.producer.sweep.runs import prepare_sweep

            prepare_sweep(spec, set_values or (), (), sides)
    except (JobFileError, DataError) as error:
        if output.form != "json":
            raise
        print_json({"valid": False, "problems": _problems(error)})
        raise typer.Exit(error.exit_status) from None
    if resolved:
        output.put(ResolvedDocument.of(prepared.loaded.experiment))
    elif output.form == "json":
        print_json(document_of(prepared))
    else:
        put_lines(lines_of(prepared), hang=14)


def data(
    spec: Spec,
    set_values: SetValues = None,
    sides: Sides = None,
    as_json: AsJson = False,
    form: Form = None,
) -> None:
    """Show a job's data: what each column holds and becomes, and what the network sees. Nothing is trained.

    \b
    Examples:
      likewise data houses
      likewise data mine.yaml --set data.missing=median --json
    """
    from likewise.producer.data.file_lists import place_of
    from likewise.producer.data.table_file import read_table
    from likewise.producer.data.table_samples import roles_of
    from likewise.producer.job.jobfile import read_experiment
    from likewise.producer.job.prepare import prepare_experiment
    from likewise.producer.report.data import DataDocument
    from likewise.shared.job.data import CsvData, JsonLinesData, ParquetData

    output = Output.of(form, as_json=as_json)
    prepared: PreparedExperiment = prepare_experiment(read_experiment(spec, set_values or (), sides))
    first = next(iter(prepared.runs.values()))
    declared, table, roles = first.job.data, None, None
    if isinstance(declared, CsvData | ParquetData | JsonLinesData):
        table = read_table(declared, prepared.loaded.base)
        roles = roles_of(list(table.columns), declared, place_of(declared.path))
    others = tuple(side for side, run in prepared.runs.items() if run.data is not first.data)
    output.put(DataDocument(job=first.job, data=first.data, table=table, roles=roles, others=others))


def _problems(error: Any) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from likewise.shared.errors import JobFileError

    if isinstance(error, JobFileError):
        return [{"source": error.source, **asdict(problem)} for problem in error.problems]
    return [{"source": None, "path": None, "message": str(error), "value": None, "hint": None}]


def code(
    spec: Spec,
    side: Annotated[
        str | None,
        typer.Option(
            "--side",
            metavar="NAME",
            help="The side whose program is wanted.",
            autocompletion=completing.sides,
        ),
    ] = None,
    set_values: SetValues = None,
    sides: Sides = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write it here, and its data beside it."),
    ] = None,
    shared_start: Annotated[
        bool,
        typer.Option(
            "--shared-start",
            help="Start from the weights that all sides start from, of the first seed, and write them, too.",
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the plain program of a job: stock layers, loss and optimizer, and the usual loop.

    It runs by itself, and is the file of a side: likewise port check proves two of them equal. Data that are
    too many to stand in it are written beside it, as FILE with the ending .npz. It starts from weights
    that the framework draws as the job says; with --shared-start from the arrays that the sides share.

    \b
    Examples:
      likewise code article --side torch
      likewise code digits --side tensorflow -o digits_keras.py
      likewise code digits --side torch --shared-start -o digits_torch.py
    """
    from likewise.producer.advice.program import NotWrittenError
    from likewise.producer.advice.whole import drawn_start, whole_program
    from likewise.producer.experiments import prepare_given
    from likewise.producer.job.new_file import check_free
    from likewise.shared.errors import UsageError

    prepared = prepare_given(spec, set_values or (), None, sides)
    runs, seed = prepared.runs, prepared.loaded.experiment.seed_list[0]
    if side is None and len(runs) > 1:
        raise UsageError(f"--side says whose program is wanted: {' or '.join(runs)}")
    label = side or next(iter(runs))
    if label not in runs:
        raise UsageError(f"--side is {label!r}; the job's sides are {', '.join(runs)}")
    run = runs[label]
    name = run.job.name
    file = Path(f"{name}.py") if output is None else output
    arrays_file = file.with_suffix(".npz")
    start = drawn_start(run, seed)
    if shared_start and not start:
        kind = run.job.initial_weights.type
        raise UsageError(f"--shared-start: initial_weights is {kind}, so no arrays are drawn for all sides")
    try:
        written = whole_program(
            run, name=name, arrays_file=arrays_file.name, seed=seed if shared_start else None
        )
    except NotWrittenError as error:
        raise UsageError(f"a plain program of {label} cannot say {error}") from None
    if output is not None:
        files = [file, *([arrays_file] if written.arrays else [])]
        for one in files:
            check_free(one, force=force)
        file.write_text(written.code)
        if written.arrays:
            import numpy as np

            np.savez(arrays_file, allow_pickle=False, **written.arrays)
    if as_json:
        print_json({"side": label, "code": written.code, "arrays": sorted(written.arrays)})
    elif output is not None:
        typer.echo(f"wrote {' and '.join(map(str, files))}; run it with the Python of {run.side.framework}")
    else:
        typer.echo(written.code, nl=False)
        if written.arrays:
            say(f"it reads its arrays from {arrays_file.name}; --output FILE.py writes both")
    if start and not shared_start and not as_json:
        say("note: it draws its own initial weights; with --shared-start it starts as all sides do")


def schema(
    as_json: Annotated[bool, typer.Option("--json", help="The same: the schema is JSON.")] = False,  # noqa: ARG001
) -> None:
    """Print the JSON Schema of job files, by which an editor completes and checks them as you type.

    Example: likewise schema > likewise.schema.json
    """
    from likewise.producer.job.schema import editor_schema

    print_json(editor_schema())


def version(
    as_json: AsJson = False,
) -> None:
    """Print the version of Likewise and of its documents.

    Example: likewise version --json
    """
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from likewise.shared.job.experiment import SCHEMA_VERSION
    from likewise.shared.results.run_result import RESULT_SCHEMA_VERSION

    try:
        number = version("likewise")
    except PackageNotFoundError:  # run from a checkout that is not installed
        number = "0+checkout"
    python = platform.python_version()
    if as_json:
        print_json(
            {
                "version": number,
                "job_file_schema_version": SCHEMA_VERSION,
                "result_schema_version": RESULT_SCHEMA_VERSION,
                "python": python,
            }
        )
    else:
        typer.echo(
            f"likewise {number} (job files of version {SCHEMA_VERSION}, results of version "
            f"{RESULT_SCHEMA_VERSION}; Python {python})"
        )
