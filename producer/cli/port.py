"""Commands on two programs of the user's own: port init, port check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from likewise.producer.cli.options import AsJson, Form, Output, Report, say

Programs = Annotated[
    list[str],
    typer.Argument(
        metavar="PORT", help="A port.yaml, or two programs, such as keras_code.py:build torch_code.py:Net."
    ),
]
Batch = Annotated[
    Path | None,
    typer.Option(
        "--batch",
        metavar="FILE.npz",
        help="What both are fed: y are the targets, every other array an input.",
    ),
]

port_app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check two programs of your own against each other, rung by rung, and name each cause.",
)


@port_app.command("check")
def check(
    programs: Programs,
    batch: Batch = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="RUNG", help="The last rung to climb, such as gradients.")
    ] = None,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
    fail: Annotated[bool, typer.Option("--check", help="Exit with 1 where a rung fails.")] = False,
) -> None:
    """Climb the rungs: settings, mapping, forward, loss, gradients, update, updates.

    Each program runs in a process of its own framework's environment, or of your own (environment: in a
    port.yaml). The first one is the reference. A file may define loss(outputs, targets) and optimizer(model)
    beside its model; without them their rungs are skipped.

    \b
    Examples:
      likewise port check keras_code.py:build torch_code.py:Net --batch batch.npz
      likewise port check port.yaml --until gradients --json
    """
    from likewise.producer.port.file import read_port
    from likewise.producer.port.flow import check_port
    from likewise.producer.port.models import RUNGS
    from likewise.producer.report.port import PortDocument
    from likewise.shared.errors import NOT_IN_AGREEMENT, UsageError

    output = Output.of(form, as_json=as_json, file=report)
    if until is not None and until not in RUNGS:
        raise UsageError(f"--until is {until!r}; the rungs are {', '.join(RUNGS)}")
    wanted = next((rung for rung in RUNGS if rung == until), None)
    answer = check_port(read_port(programs, batch), until=wanted, tell=_told(quiet=output.quiet))
    output.put(PortDocument(answer))
    if fail and not answer.agrees:
        raise typer.Exit(NOT_IN_AGREEMENT)


@port_app.command("init")
def init(
    programs: Programs,
    batch: Batch = None,
    folder: Annotated[
        Path, typer.Option("--folder", metavar="DIR", help="Where the files are written.")
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
) -> None:
    """Write a port.yaml and a file a side for two programs, and climb the first rungs.

    Example: likewise port init keras_code.py:build torch_code.py:Net --batch batch.npz
    """
    from likewise.producer.port.file import read_port
    from likewise.producer.port.flow import check_port
    from likewise.producer.port.new import write_port
    from likewise.producer.report.port import PortDocument
    from likewise.shared.errors import UsageError

    if len(programs) != 2:
        raise UsageError(
            "likewise port init takes two programs, such as keras_code.py:build torch_code.py:Net"
        )
    if not folder.is_dir():
        raise UsageError(f"--folder is {folder}, and there is no such folder")
    port = read_port(programs, None if batch is None else batch.absolute())
    for path in write_port(port, folder, force=force):
        typer.echo(f"wrote {path}")
    for one in port.programs:
        typer.echo(f"{one.label} is {one.framework}: {one.file.name} imports it")
    written = read_port([str(folder / "port.yaml")], None)
    Output.of(None, as_json=False).put(PortDocument(check_port(written, until="forward", tell=say)))
    typer.echo(
        f"next: write loss and optimizer in both files, then likewise port check {folder / 'port.yaml'}"
    )


def _told(*, quiet: bool):  # type: ignore[no-untyped-def]
    from likewise.producer.experiments import teller

    return teller(quiet=quiet)
