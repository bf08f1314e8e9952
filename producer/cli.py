"""`likewise`: names the commands and turns errors into messages and exit statuses.

Each command is a module of `producer.commands` with one function, `command`. Modules here and there
import only typer and the standard library at their top, so that `--help` answers at once.
"""

from __future__ import annotations

import sys

import typer

from producer.commands import (
    bench,
    cancel,
    compare,
    delete,
    doctor,
    down,
    explain,
    init,
    list_,
    report,
    schema,
    show,
    submit,
    sweep,
    up,
    validate,
    version,
    watch,
    workers,
)
from producer.help import GroupedCommands
from producer.output import guarded_output
from shared.errors import LikewiseError

app = typer.Typer(
    name="likewise",
    cls=GroupedCommands,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Train one declared job in TensorFlow and in PyTorch, and learn whether they agree, by how "
    "much, and why not.",
)

_COMPARE, _QUEUE, _STACK, _WRITE = "Compare", "Without waiting", "Workers and stack", "Job files"

app.command("compare", rich_help_panel=_COMPARE)(compare.command)
app.command("explain", rich_help_panel=_COMPARE)(explain.command)
app.command("bench", rich_help_panel=_COMPARE)(bench.command)
app.command("sweep", rich_help_panel=_COMPARE)(sweep.command)
app.command("show", rich_help_panel=_COMPARE)(show.command)
app.command("report", rich_help_panel=_COMPARE)(report.command)
app.command("submit", rich_help_panel=_QUEUE)(submit.command)
app.command("watch", rich_help_panel=_QUEUE)(watch.command)
app.command("list", rich_help_panel=_QUEUE)(list_.command)
app.command("cancel", rich_help_panel=_QUEUE)(cancel.command)
app.command("delete", rich_help_panel=_QUEUE)(delete.command)
app.command("up", rich_help_panel=_STACK)(up.command)
app.command("down", rich_help_panel=_STACK)(down.command)
app.command("workers", rich_help_panel=_STACK)(workers.command)
app.command("doctor", rich_help_panel=_STACK)(doctor.command)
app.command("init", rich_help_panel=_WRITE)(init.command)
app.command("validate", rich_help_panel=_WRITE)(validate.command)
app.command("schema", rich_help_panel=_WRITE)(schema.command)
app.command("version", rich_help_panel=_WRITE)(version.command)


def main() -> None:
    """The console script: run the command, print an error as its message, exit with its status."""
    try:
        with guarded_output():
            app()
    except LikewiseError as error:
        print(f"likewise: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
