"""Commands that train an experiment and say what came out: compare, explain, bench."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from likewise.producer.cli import completing
from likewise.producer.cli.options import (
    AsJson,
    Form,
    Full,
    Key,
    Note,
    NoTrace,
    NoTwin,
    Only,
    Output,
    Priority,
    QueueAnyway,
    Report,
    Seeds,
    SetValues,
    Sides,
    Spec,
    SpecOrId,
    Tags,
    Urgency,
    note_of,
    tags_of,
)
from likewise.shared.errors import NOT_IN_AGREEMENT, RUN_FAILED

A_WEEK_S = 604_800


def compare(
    spec: Spec,
    set_values: SetValues = None,
    seeds: Seeds = None,
    sides: Sides = None,
    as_json: AsJson = False,
    form: Form = None,
    full: Full = False,
    check: Annotated[bool, typer.Option("--check", help="End with status 1 unless they agree.")] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Say what has changed since likewise pin wrote it; --check is then of that."
        ),
    ] = None,
    report: Report = None,
    only: Only = False,
    no_twin: NoTwin = False,
    no_trace: NoTrace = False,
    queue_anyway: QueueAnyway = False,
    key: Key = None,
    priority: Priority = Urgency.normal,
    tag: Tags = None,
    note: Note = "",
) -> None:
    """Train the job in every side and say whether they agree, and why not.

    Ends with 0; 1 with --check unless they agree; 3 when a training failed; 130 on Ctrl-C, which
    cancels the trainings.

    \b
    Examples:
      likewise compare article
      likewise compare job.yaml --set precision=float64 --seeds 5
      likewise compare digits --seeds 1000
      likewise compare matched --sides torch:eager,torch:compiled,tensorflow
      likewise compare job.yaml --check --json > comparison.json
      likewise compare article --format md --report article.html
      likewise compare article --against golden.json --check
    """
    from likewise.producer import interface

    output = Output.of(form, as_json=as_json, file=report)
    compared = interface.compare(
        spec,
        set=set_values or (),
        seeds=seeds,
        sides=sides,
        against=against,
        twin=not no_twin,
        trace=not no_trace,
        key=key,
        queue_anyway=queue_anyway,
        priority=priority.value,
        tags=tags_of(tag),
        note=note_of(note),
        quiet=output.quiet,
    )
    with compared:
        output.put(compared.shown(full=full, page=output.wants("html"), only=only))
    if compared.failed:
        raise typer.Exit(RUN_FAILED)
    raise typer.Exit(NOT_IN_AGREEMENT if check and compared.verdict != "agree" else 0)


def explain(
    spec: SpecOrId,
    set_values: SetValues = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="N", help="How many seeds, or which; the job's, but at least 5 if left out."),
    ] = None,
    sides: Sides = None,
    combinations: Annotated[
        int, typer.Option(metavar="N", min=1, max=8, help="Train every combination of up to N settings.")
    ] = 4,
    budget: Annotated[
        float,
        typer.Option(
            min=0,
            max=A_WEEK_S,
            metavar="SECONDS",
            help="About how long the mixtures may train; what does not fit is left out, and named.",
        ),
    ] = 300,
    side: Annotated[
        str | None,
        typer.Option(
            "--side",
            "--framework",
            metavar="NAME",
            help="Explain this side alone; every other, if none.",
            autocompletion=completing.sides,
        ),
    ] = None,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
    only: Only = False,
    queue_anyway: QueueAnyway = False,
    priority: Priority = Urgency.normal,
    tag: Tags = None,
    note: Note = "",
) -> None:
    """Say which settings make the sides differ, how much each does, and how to mend it.

    Trains the job again with the differing settings switched to the first side's, alone and together. Says
    before what that costs; --budget bounds it, and what is left out is named. Of a port.yaml the second
    program is given the first one's settings, on its live modules and optimizers.
    Ends with 0; 3 when a training of the job itself failed; 130 on Ctrl-C, which cancels the trainings.

    \b
    Examples:
      likewise explain article
      likewise explain job.yaml --seeds 10 --report why.html
      likewise explain job.yaml --budget 30
      likewise explain last --json
      likewise explain port.yaml
    """
    from likewise.producer import interface

    output = Output.of(form, as_json=as_json, file=report)
    explained = interface.explain(
        spec,
        set=set_values or (),
        seeds=seeds,
        sides=sides,
        side=side,
        combinations=combinations,
        budget_s=budget,
        queue_anyway=queue_anyway,
        priority=priority.value,
        tags=tags_of(tag),
        note=note_of(note),
        quiet=output.quiet,
    )
    with explained:
        output.put(explained.shown(page=output.wants("html"), only=only))
    raise typer.Exit(RUN_FAILED if explained.failed else 0)


class Way(StrEnum):
    """The ways of executing are named as in the job file."""

    eager = "eager"
    compiled = "compiled"
    auto = "auto"


def bench(
    spec: SpecOrId,
    set_values: SetValues = None,
    sides: Sides = None,
    variant: Annotated[
        list[Way] | None,
        typer.Option("--variant", help="A way of executing to time sides in, again for more; all, if none."),
    ] = None,
    budget: Annotated[
        float,
        typer.Option(
            min=0, max=A_WEEK_S, metavar="SECONDS", help="About how long to time, once all is warm."
        ),
    ] = 60,
    precision: Annotated[
        float,
        typer.Option(min=0.1, max=100, metavar="PERCENT", help="Stop when medians are known so well."),
    ] = 2,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Time on this host of `likewise workers`; on any that can train every side, if none.",
        ),
    ] = None,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
    only: Only = False,
    no_twin: Annotated[
        bool, typer.Option("--no-twin", help="Do not train again in float64 to tell rounding from meaning.")
    ] = False,
    priority: Priority = Urgency.normal,
    tag: Tags = None,
    note: Note = "",
) -> None:
    """Time the job in every side, in turns on an otherwise idle host, and rank them if they agree.

    All timed runs go to one host that can train every side, and each has it to itself: other workers of
    the host wait. The sides take turns in a random order and back, so that a drift of the machine
    falls on all alike. Who computes something else is not ranked. Each framework is timed in several ways
    of executing; sides that are named are timed as they are. One seed is trained, whatever the job asks for.
    Every round is kept: a bench that was interrupted shows what it has, and goes on where it is named by its
    id; a comparison that is named so is timed as it was trained. The two programs of a port.yaml are timed as
    they are written, and ranked where likewise port check holds.

    \b
    Examples:
      likewise bench matched
      likewise bench digits --variant auto --budget 120
      likewise bench matched --sides torch:eager,torch:compiled,tensorflow
      likewise bench job.yaml --json > bench.json
      likewise bench port.yaml --budget 30
      likewise bench last
    """
    from likewise.producer import interface

    output = Output.of(form, as_json=as_json, file=report)
    timed = interface.bench(
        spec,
        set=set_values or (),
        sides=sides,
        variants=[way.value for way in variant or ()],
        budget_s=budget,
        precision=precision / 100,
        host=host,
        twin=not no_twin,
        priority=priority.value,
        tags=tags_of(tag),
        note=note_of(note),
        quiet=output.quiet,
    )
    with timed:
        output.put(timed.shown(page=output.wants("html"), only=only))
    raise typer.Exit(RUN_FAILED if timed.failed else 0)
