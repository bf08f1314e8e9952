"""`likewise explain`: attribute a difference to the settings that cause it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from producer.commands.options import AsJson, QueueAnyway, SetValues


def command(
    spec: Annotated[
        str,
        typer.Argument(help="A job file, - for standard input, a shipped example, or an experiment's id."),
    ],
    set_values: SetValues = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="N", help="How many seeds, or which; the job's, but at least 5 if left out."),
    ] = None,
    combinations: Annotated[
        int, typer.Option(metavar="N", min=1, max=8, help="Train every combination of up to N settings.")
    ] = 4,
    framework: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which framework, where the job names more than two.")
    ] = None,
    as_json: AsJson = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with a picture.")
    ] = None,
    queue_anyway: QueueAnyway = False,
) -> None:
    """Say which settings make the frameworks differ, how much each does, and how to mend it.

    Trains the job again with the differing settings switched to the first framework's, alone and
    together. Ends with 0; 3 when a training of the job itself failed; 130 on Ctrl-C, which cancels
    the trainings.

    \b
    Examples:
      likewise explain article
      likewise explain job.yaml --seeds 10 --report why.html
      likewise explain last --json
    """
    from producer import explain_flow

    status = explain_flow.run(
        spec,
        explain_flow.Options(
            set_values=tuple(set_values or ()),
            seeds=seeds,
            combinations=combinations,
            framework=framework,
            as_json=as_json,
            page=report,
            queue_anyway=queue_anyway,
        ),
    )
    raise typer.Exit(status)
