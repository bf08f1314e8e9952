"""`likewise bench`: compare speed and memory under the fair protocol."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from producer.commands.options import AsJson, SetValues, Spec

A_WEEK_S = 604_800


class Way(StrEnum):
    """The ways of executing, as the job file names them."""

    eager = "eager"
    compiled = "compiled"
    auto = "auto"


def command(
    spec: Spec,
    set_values: SetValues = None,
    variant: Annotated[
        list[Way] | None,
        typer.Option("--variant", help="A way of executing to time; give it again for more. All, if none."),
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
            help="Time on this host of `likewise workers`; on any that has every framework, if none.",
        ),
    ] = None,
    as_json: AsJson = False,
    no_twin: Annotated[
        bool, typer.Option("--no-twin", help="Do not train again in float64 to tell rounding from meaning.")
    ] = False,
) -> None:
    """Time the job in every framework, in turns on an otherwise idle host, and rank them if they agree.

    All timed runs go to one host that has every framework, and each has it to itself: other workers of
    the host wait. The frameworks take turns in a random order and back, so that a drift of the machine
    falls on all alike. Who computes something else is not ranked. One seed is trained, whatever the job
    asks for.

    \b
    Examples:
      likewise bench matched
      likewise bench digits --variant auto --budget 120
      likewise bench job.yaml --json > bench.json
    """
    import time

    from producer import experiment_flow as flow
    from producer import outcome_flow as outcomes
    from producer.bench.conclude import conclude
    from producer.bench.flow import bench
    from producer.bench.progress import telling
    from producer.bench.protocol import EXECUTIONS, Enough
    from producer.bench.site import sites_for
    from producer.interruption import cancelling
    from producer.report.bench import render, to_json
    from producer.report.console import make_console, progress_console

    prepared = flow.prepare_given(spec, set_values or (), "1")
    ways = tuple(one for one in EXECUTIONS if not variant or one in variant)
    with flow.open_to_train(prepared, quiet=as_json) as session:
        devices = {name: run.job.device for name, run in prepared.runs.items()}
        sites = sites_for(devices, session.ledger.workers(), host=host)
        if len({site.host for site in sites.values()}) > 1:
            where = ", ".join(f"{name} is timed on {site.host}" for name, site in sites.items())
            flow.say(f"note: no host has a worker of every framework, so no winner will be named: {where}")
        record = flow.submit_prepared(session, prepared, queue_anyway=False, key=None)
        with cancelling(session, record):
            flow.follow_to_end(session, record, quiet=as_json)
            outcome = outcomes.outcome_of(session, record)
            if not no_twin:
                outcome = outcomes.with_twin(session, record, outcome, quiet=as_json)
            if outcome.comparison.failed:
                if as_json:
                    nothing = conclude(outcome.comparison, first={}, timed={}, missing=(), precision=1)
                    make_console().file.write(f"{to_json(nothing)}\n")
                else:
                    outcomes.print_comparison(outcome.comparison, as_json=False)
                raise typer.Exit(flow.RUN_FAILED)
            begin = time.monotonic()
            enough = Enough(
                precision=precision / 100, budget_s=budget, spent_s=lambda: time.monotonic() - begin
            )
            with telling(progress_console(), quiet=as_json) as told:
                found = bench(session, outcome, executions=ways, enough=enough, sites=sites, told=told)
    if as_json:
        make_console().file.write(f"{to_json(found)}\n")
    else:
        render(found, make_console())
    if not found.rows:
        raise typer.Exit(flow.RUN_FAILED)
