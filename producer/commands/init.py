"""`likewise init`: a job file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from producer.commands.options import AsJson


def command(
    file: Annotated[Path, typer.Argument(help="The job file to write.")] = Path("job.yaml"),
    from_example: Annotated[
        str | None, typer.Option("--from", metavar="EXAMPLE", help="Copy a shipped example.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write a job for this CSV file.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="With --csv: the column to predict.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a commented job file: a starter, a copy of an example, or one for a CSV file.

    Example: likewise init houses.yaml --csv houses.csv --target price
    """
    from producer.commands._printing import print_json
    from producer.job.new_file import write_new

    written = write_new(file, example=from_example, csv=csv, target=target, force=force)
    if as_json:
        print_json({"written": [str(path) for path in written]})
        return
    for path in written:
        typer.echo(f"wrote {path}")
    typer.echo(f"next: likewise validate {file}")
