"""Commands on two programs of the user's own: port init, port check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from likewise.producer.cli.commands import GroupedCommands
from likewise.producer.cli.options import (
    AsJson,
    Form,
    Note,
    Only,
    Output,
    Report,
    Tags,
    note_of,
    say,
    tags_of,
)

Programs = Annotated[
    list[str],
    typer.Argument(
        metavar="PORT", help="A port.yaml, or two programs, such as keras_code.py:build torch_code.py:Net."
    ),
]
BatchFile = Annotated[
    Path | None,
    typer.Option(
        "--batch",
        metavar="FILE.npz",
        help="What both are fed: y are the targets, every other array an input.",
    ),
]

port_app = typer.Typer(
    cls=GroupedCommands,
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Check two programs of your own against each other, rung by rung, and name each cause.",
)


@port_app.command("check")
def check(
    programs: Programs,
    batch: BatchFile = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="RUNG", help="The last rung to climb, such as gradients.")
    ] = None,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
    only: Only = False,
    fail: Annotated[bool, typer.Option("--check", help="Exit with 1 where a rung fails.")] = False,
    tag: Tags = None,
    note: Note = "",
) -> None:
    """Climb the rungs: settings, mapping, forward, loss, gradients, update, updates.

    Each program runs in a process of its own framework's environment, or of your own (environment: in a
    port.yaml). The first one is the reference. A file may define loss(outputs, targets) and optimizer(model)
    beside its model; without them their rungs are skipped. What it came to is kept: likewise list and
    likewise show find it again.

    \b
    Examples:
      likewise port check keras_code.py:build torch_code.py:Net --batch batch.npz
      likewise port check port.yaml --until gradients --json
    """
    from likewise.producer import interface
    from likewise.shared.errors import NOT_IN_AGREEMENT

    output = Output.of(form, as_json=as_json, file=report)
    checked = interface.port(
        *programs,
        batch=batch,
        until=until,
        tags=tags_of(tag),
        note=note_of(note),
        quiet=output.quiet,
    )
    output.put(checked.shown(page=output.wants("html"), only=only))
    if fail and not checked.agrees:
        raise typer.Exit(NOT_IN_AGREEMENT)


@port_app.command("init")
def init(
    programs: Programs,
    batch: BatchFile = None,
    folder: Annotated[
        Path, typer.Option("--folder", metavar="DIR", help="Where the files are written.")
    ] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Write over files that are there.")] = False,
    environment: Annotated[
        list[str] | None,
        typer.Option(
            "--environment",
            metavar="SIDE=DIR",
            help="A side's virtual environment; else a .venv beside its program, or one of Likewise's own.",
        ),
    ] = None,
) -> None:
    """Write a port.yaml and a file a side for two programs, and climb the first rungs.

    \b
    Examples:
      likewise port init keras_code.py:build torch_code.py:Net --batch batch.npz
      likewise port init keras_code.py torch_code.py --environment torch=../old/.venv
    """
    from likewise.producer.display import both
    from likewise.producer.port.file import in_environments, own_environment, read_port
    from likewise.producer.port.flow import check_port
    from likewise.producer.port.new import unwritten, write_port
    from likewise.producer.report.port import PortDocument
    from likewise.shared.errors import UsageError

    if len(programs) != 2:
        raise UsageError(
            "likewise port init takes two programs, such as keras_code.py:build torch_code.py:Net"
        )
    if not folder.is_dir():
        raise UsageError(f"--folder is {folder}, and there is no such folder")
    port = read_port(programs, None if batch is None else batch.absolute())
    beside = {one.label: found for one in port.programs if (found := own_environment(one)) is not None}
    port = in_environments(port, [*(f"{label}={one}" for label, one in beside.items()), *(environment or ())])
    for path in write_port(port, folder, force=force):
        typer.echo(f"wrote {path}")
    for one in port.programs:
        where = "" if one.environment is None else f"; it runs in {one.environment.parents[1]}"
        typer.echo(f"{one.label} is {one.framework}: {one.file.name} imports it{where}")
    written = read_port([str(folder / "port.yaml")], None)
    checked = check_port(written, until="forward", tell=say)
    Output.of(None, as_json=False).put(PortDocument(checked))
    missing = {
        side.file.name: both(names)
        for one, side in zip(port.programs, written.programs, strict=True)
        if (names := unwritten(one))
        and not any(told.startswith(f"{one.label} was given the") for told in checked.notes)
    }
    to_write = [f"{names} in {file}" for file, names in missing.items()]
    if len(missing) == len(port.programs) and len(set(missing.values())) == 1:
        to_write = [f"{next(iter(missing.values()))} in both files"]
    first = f"write {both(to_write)}, then " if to_write else ""
    typer.echo(f"next: {first}likewise port check {folder / 'port.yaml'}")


@port_app.command("map")
def map_(
    programs: Programs,
    batch: BatchFile = None,
    pair: Annotated[
        list[str] | None,
        typer.Option("--pair", metavar="A=B", help="Pair a weight of the first with one of the second."),
    ] = None,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
) -> None:
    """Show which weight is which, and write it as mapping.lock.yaml beside a port.yaml.

    Each row is proved by values, or pairs by shape alone, by hand, or is unused. Rows by hand are kept, also
    those that you write in the file.

    \b
    Examples:
      likewise port map port.yaml
      likewise port map port.yaml --pair attention.query.kernel=attn.q.weight
    """
    from likewise.producer.port.file import read_port
    from likewise.producer.port.flow import map_port
    from likewise.producer.report.port import PortDocument
    from likewise.shared.errors import UsageError

    output = Output.of(form, as_json=as_json, file=report)
    port = read_port(programs, batch)
    by_hand = []
    for given in pair or ():
        one, equals, two = given.partition("=")
        if not (one and equals and two):
            raise UsageError(f"--pair is {given!r}; it must be two weights, such as dense.kernel=fc.weight")
        by_hand.append({port.programs[0].label: one, port.programs[1].label: two})
    answer = map_port(port, by_hand=by_hand, tell=_told(quiet=output.quiet))
    output.put(PortDocument(answer, whole_mapping=True))
    if port.lock is not None and not output.quiet:
        typer.echo(f"wrote {port.lock}")


@port_app.command("convert")
def convert(
    programs: Programs,
    to: Annotated[str, typer.Option("--to", metavar="SIDE", help="The side whose checkpoint is written.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help=".keras, .weights.h5, .pt, .safetensors, .npz."),
    ],
    batch: BatchFile = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write one side's weights as a checkpoint of the other, by the proved mapping, and reload it.

    The weights are those of the side's checkpoint in the port.yaml, or else those that its model begins with.

    Example: likewise port convert port.yaml --to torch -o net.pt
    """
    from likewise.producer.display import count, gap
    from likewise.producer.port import convert as conversions
    from likewise.producer.port.file import read_port
    from likewise.shared.errors import UsageError

    if output.exists() and not force:
        raise UsageError(f"{output} is there already; --force writes over it")
    if not output.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {output.parent}")
    port = conversions.to_side(read_port(programs, batch), to)
    done = conversions.convert(port, output.absolute(), tell=say)
    typer.echo(
        f"wrote {output}: {count(done.weights, 'weight')}; read again, its outputs are {gap(done.apart)} "
        f"apart from those of {port.programs[0].label}"
    )


def _told(*, quiet: bool):  # type: ignore[no-untyped-def]
    from likewise.producer.experiments import teller

    return teller(quiet=quiet)
