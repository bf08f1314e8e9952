"""The command that shows what the local stack's processes wrote: logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from likewise.producer.cli import completing
from likewise.producer.cli.options import AsJson, print_json, put_lines

if TYPE_CHECKING:
    from pathlib import Path


def logs(
    worker: Annotated[
        str | None,
        typer.Argument(
            metavar="WORKER|ID",
            autocompletion=completing.logs_and_ids,
            help="A log's name, such as torch or redis, or an experiment's id; all logs, if none.",
        ),
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many, the last.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Show what the local stack's processes wrote: its workers, its Redis and the one that keeps them.

    With an experiment's id, the lines of every worker that name it or one of its runs. Workers elsewhere
    write to their own standard error, where their container or service manager has it.

    \b
    Examples:
      likewise logs
      likewise logs torch -n 100
      likewise logs last
    """
    from likewise.producer.local.home import stack_paths
    from likewise.shared.errors import UsageError
    from likewise.shared.settings import Settings

    folder = stack_paths(Settings.from_environment().home).logs
    files = {path.stem: path for path in sorted(folder.glob("*.log"))}
    if not files:
        raise UsageError(f"there is no log in {folder}; the local stack has not run there")
    if worker is None:
        told = {name: path.stat().st_size for name, path in files.items()}
        if as_json:
            print_json({"folder": str(folder), "bytes": told})
            return
        widest = max(map(len, told))
        lines_of_each = (f"{name:<{widest}}  {size:>12,} bytes" for name, size in told.items())
        put_lines([str(folder), *lines_of_each], hang=2)
        return
    named = [name for name in (worker, f"worker-{worker}") if name in files]
    found = {name: files[name] for name in named[:1]}
    words = () if found else _words_of(worker, files)
    shown = {name: _last(path, lines, words) for name, path in (found or files).items()}
    if as_json:
        print_json({"folder": str(folder), "lines": shown})
        return
    from likewise.producer.display import printable

    for name, text in shown.items():
        for line in text:
            typer.echo(printable(line if found else f"{name}: {line}"))
    if not any(shown.values()):
        typer.echo(f"no line in {folder} names {worker}: workers write down only what goes wrong", err=True)


def _words_of(experiment: str, files: dict[str, Path]) -> tuple[str, ...]:
    """Return the ids of an experiment and of its runs. Raises UsageError where there is none."""
    from likewise.producer.display import did_you_mean
    from likewise.producer.runs.submitted import find
    from likewise.producer.session import open_running
    from likewise.shared.errors import LikewiseError, UsageError
    from likewise.shared.settings import Settings

    try:
        session = open_running(Settings.from_environment())
        if session is None:
            raise UsageError("the local stack does not run, which knows of experiments")
        with session:
            record = find(session.ledger, experiment)
    except LikewiseError as error:
        raise UsageError(
            f"{experiment!r} is no log ({did_you_mean(experiment, [*files])}) and no experiment: {error}"
        ) from None
    return record.experiment_id, *record.run_ids


def _last(path: Path, amount: int, words: tuple[str, ...]) -> list[str]:
    """Return the last lines of a log, of those with one of the words where there are any."""
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip("\n") for line in file]
    return [line for line in lines if not words or any(word in line for word in words)][-amount:]
