"""The command that trains a job at every point of a grid: sweep."""

from __future__ import annotations

from typing import Annotated

import typer

from likewise.producer.cli import completing
from likewise.producer.cli.options import (
    AsJson,
    Form,
    Full,
    Note,
    Only,
    Output,
    Priority,
    QueueAnyway,
    Report,
    Seeds,
    SetValues,
    Sides,
    Spec,
    Tags,
    Urgency,
    note_of,
    tags_of,
)
from likewise.shared.errors import RUN_FAILED


def sweep(
    spec: Spec,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="PATH=A,B,C",
            autocompletion=completing.settings,
            help="A setting and the values it takes; several make every combination.",
        ),
    ] = None,
    set_values: SetValues = None,
    seeds: Seeds = None,
    sides: Sides = None,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
    only: Only = False,
    full: Full = False,
    queue_anyway: QueueAnyway = False,
    priority: Priority = Urgency.low,
    tag: Tags = None,
    note: Note = "",
) -> None:
    """Train the job at every point of a grid, with many seeds, and print one table.

    A line a point: the best, the median and the spread over seeds of each side, and whether they agree
    there; the best point first. A path under overrides.SIDE varies a setting of that side alone, and the
    table shows at which value they agree. Ends with 3 when a training failed for another reason than that
    it diverged; 130 on Ctrl-C, which cancels the trainings.

    \b
    Examples:
      likewise sweep matched --grid optimizer.learning_rate=0.01,0.03,0.1 --seeds 1000
      likewise sweep digits --grid optimizer.learning_rate=0.001,0.01 --grid training.batch_size=32,128
      likewise sweep job.yaml --grid overrides.torch.optimizer.learning_rate=0.001,0.002,0.005
    """
    from likewise.producer import interface

    output = Output.of(form, as_json=as_json, file=report)
    swept = interface.sweep(
        spec,
        grid or (),
        set=set_values or (),
        seeds=seeds,
        sides=sides,
        full=full and output.wants("json"),
        queue_anyway=queue_anyway,
        priority=priority.value,
        tags=tags_of(tag),
        note=note_of(note),
        quiet=output.quiet,
    )
    with swept:
        output.put(swept.shown(page=output.wants("html"), only=only))
    raise typer.Exit(RUN_FAILED if swept.failed else 0)
