"""`likewise`: the names of the commands, their list in `--help`, and errors as messages and exit statuses.

Each command is a function of a module beside this one, which imports only typer and the standard library at
its top, so that `--help` answers at once. The help is plain text: typer's
dressed help imports Rich, which would double the time of an answer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Annotated

import typer
from typer.models import CommandInfo

from likewise.producer.cli import (
    bisection,
    cleaning,
    compare,
    completing,
    evidence,
    experiments,
    job_files,
    listing,
    logs,
    metrics,
    models,
    past,
    stack,
    sweep,
)
from likewise.producer.cli.commands import GroupedCommands
from likewise.producer.cli.port import port_app
from likewise.producer.cli.reading import ReadingLine
from likewise.producer.data.reading import on_read
from likewise.producer.output import guarded_output
from likewise.shared.errors import LikewiseError

app = typer.Typer(
    name="likewise",
    cls=GroupedCommands,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train one declared job in several sides, such as TensorFlow and PyTorch, and learn whether they "
    "agree, by how much, and why not.",
)


def _say_version(asked: bool) -> None:
    if asked:
        job_files.version()
        raise typer.Exit


@app.callback()
def _before_any_command(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            is_eager=True,
            callback=_say_version,
            show_default=False,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """It takes the options that stand in front of any command."""


_COMPARE, _QUEUE, _STACK, _WRITE = "Compare", "Without waiting", "Workers and stack", "Job files"

app.command("compare", rich_help_panel=_COMPARE)(compare.compare)
app.command("explain", rich_help_panel=_COMPARE)(compare.explain)
app.command("bench", rich_help_panel=_COMPARE)(compare.bench)
app.command("sweep", rich_help_panel=_COMPARE)(sweep.sweep)
app.command("bisect", rich_help_panel=_COMPARE)(bisection.bisect)
app.add_typer(port_app, name="port", rich_help_panel=_COMPARE)
app.command("show", rich_help_panel=_COMPARE)(experiments.show)
app.command("report", rich_help_panel=_COMPARE)(experiments.report)
app.command("history", rich_help_panel=_COMPARE)(past.history)
app.command("pin", rich_help_panel=_COMPARE)(past.pin)
app.command("predict", rich_help_panel=_COMPARE)(models.predict)
app.command("export", rich_help_panel=_COMPARE)(models.export)
app.command("bundle", rich_help_panel=_COMPARE)(evidence.bundle)
app.command("verify", rich_help_panel=_COMPARE)(evidence.verify)
app.command("mlflow", rich_help_panel=_COMPARE)(evidence.mlflow)
app.command("submit", rich_help_panel=_QUEUE)(experiments.submit)
app.command("watch", rich_help_panel=_QUEUE)(experiments.watch)
app.command("list", rich_help_panel=_QUEUE)(listing.list_experiments)
app.command("label", rich_help_panel=_QUEUE)(listing.label)
app.command("cancel", rich_help_panel=_QUEUE)(experiments.cancel)
app.command("delete", rich_help_panel=_QUEUE)(cleaning.delete)
app.command("prune", rich_help_panel=_QUEUE)(cleaning.prune)
app.command("up", rich_help_panel=_STACK)(stack.up)
app.command("down", rich_help_panel=_STACK)(stack.down)
app.command("workers", rich_help_panel=_STACK)(stack.workers)
app.command("doctor", rich_help_panel=_STACK)(stack.doctor)
app.command("logs", rich_help_panel=_STACK)(logs.logs)
app.command("metrics", rich_help_panel=_STACK)(metrics.metrics)
app.command("init", rich_help_panel=_WRITE)(job_files.init)
app.command("examples", rich_help_panel=_WRITE)(job_files.examples)
app.command("validate", rich_help_panel=_WRITE)(job_files.validate)
app.command("data", rich_help_panel=_WRITE)(job_files.data)
app.command("code", rich_help_panel=_WRITE)(job_files.code)
app.command("schema", rich_help_panel=_WRITE)(job_files.schema)
app.command("version", rich_help_panel=_WRITE)(job_files.version)


def _unseen(error: LikewiseError) -> str:
    """Return, in a container, why it cannot see a file that lies outside the folder it was given."""
    from likewise.shared.settings import Settings

    mounted = Settings.from_environment().jobs_folder if error.file is not None else None
    if error.file is None or mounted is None:
        return ""
    here = Path.cwd()
    file = Path(os.path.normpath(here / error.file))
    if file.is_relative_to(here):
        return ""
    if file.is_relative_to(mounted):
        return f"; in this container {mounted} is {here}: name the file {file.relative_to(mounted)}"
    return (
        f"; this container sees nothing of the machine but {mounted}, as {here}: run the command in a folder "
        "above that file, or copy the file into this one"
    )


def _with(asked: Sequence[str]) -> typer.Typer:
    """Return the commands that are asked for: typer reads the options of every one that it is given.

    A list of all commands needs the options of none, and one command those of no other.
    """
    one = copy(app)
    first = next((word for word in asked if not word.startswith("-")), None)
    named = [command for command in app.registered_commands if command.name == first]
    if named:
        one.registered_commands = named
    elif asked in (["--help"], ["-h"]):
        one.registered_commands = [_without_options(command) for command in app.registered_commands]
    return one


def _without_options(command: CommandInfo) -> CommandInfo:
    bare = copy(command)
    bare.callback = lambda: None
    bare.callback.__doc__ = command.callback.__doc__
    return bare


def main() -> None:
    """Run the command, print an error as its message and exit with its status."""
    try:
        on_read.set(ReadingLine())
        with guarded_output():
            if os.environ.get("_LIKEWISE_COMPLETE") == "complete_bash":
                completing.for_bash(app)
            else:
                _with(sys.argv[1:])()
    except LikewiseError as error:
        from likewise.producer.display import visible

        print(f"likewise: {visible(str(error))}{_unseen(error)}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
