"""Commands that train an experiment and say what came out: compare, explain, bench, sweep."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from producer.cli.options import (
    AsJson,
    Full,
    Key,
    QueueAnyway,
    Seeds,
    SetValues,
    Sides,
    Spec,
    check_page_path,
)
from shared.errors import UsageError


def compare(
    spec: Spec,
    set_values: SetValues = None,
    seeds: Seeds = None,
    sides: Sides = None,
    as_json: AsJson = False,
    full: Full = False,
    check: Annotated[bool, typer.Option("--check", help="End with status 1 unless they agree.")] = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a page with pictures.")
    ] = None,
    no_twin: Annotated[
        bool,
        typer.Option("--no-twin", help="Do not train again, in float64 and as it was, to know the rounding."),
    ] = False,
    no_trace: Annotated[
        bool, typer.Option("--no-trace", help="Do not replay step by step to find where they part.")
    ] = False,
    queue_anyway: QueueAnyway = False,
    key: Key = None,
) -> None:
    """Train the job in every framework, side by side, and say whether they agree and why not.

    Ends with 0; 1 with --check unless they agree; 3 when a training failed; 130 on Ctrl-C, which
    cancels the trainings.

    \b
    Examples:
      likewise compare article
      likewise compare job.yaml --set precision=float64 --seeds 5
      likewise compare digits --seeds 1000
      likewise compare matched --sides torch:eager,torch:compiled,tensorflow
      likewise compare job.yaml --check --json > comparison.json
    """
    from producer import experiments
    from producer.experiments import cancelling

    check_page_path(report)
    prepared = experiments.prepare_given(spec, set_values or (), seeds, sides)
    with experiments.open_to_train(prepared, quiet=as_json) as session:
        record = experiments.submit_prepared(session, prepared, queue_anyway=queue_anyway, key=key)
        with cancelling(session, record):
            experiments.get_ready(record)
            from producer import follow_ups, trace  # while the runs train
            from producer.cli import printing

            experiments.follow_to_end(session, record, quiet=as_json)
            outcome = experiments.judge(session, record, full=full)
            if not no_twin:
                outcome = experiments.follow_up(
                    session, outcome, follow_ups.twin_and_rerun, quiet=as_json, full=full
                )
            if not no_trace:
                outcome = experiments.follow_up(session, outcome, trace.replays, quiet=as_json, full=full)
        if report is not None:
            printing.write_page(outcome, report)
    printing.print_comparison(outcome.comparison, as_json=as_json, full=full)
    raise typer.Exit(printing.exit_status(outcome.comparison, check=check))


def explain(
    spec: Annotated[
        str,
        typer.Argument(help="A job file, - for standard input, a shipped example, or an experiment's id."),
    ],
    set_values: SetValues = None,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="N", help="How many seeds, or which; the job's, but at least 5 if left out."),
    ] = None,
    sides: Sides = None,
    combinations: Annotated[
        int, typer.Option(metavar="N", min=1, max=8, help="Train every combination of up to N settings.")
    ] = 4,
    framework: Annotated[
        str | None,
        typer.Option(
            "--side", "--framework", metavar="NAME", help="Which side, where there are more than two."
        ),
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
    from producer.cli import explanation

    status = explanation.run(
        spec,
        explanation.Options(
            set_values=tuple(set_values or ()),
            seeds=seeds,
            sides=sides,
            combinations=combinations,
            side=framework,
            as_json=as_json,
            page=report,
            queue_anyway=queue_anyway,
        ),
    )
    raise typer.Exit(status)


A_WEEK_S = 604_800


class Way(StrEnum):
    """The ways of executing, as the job file names them."""

    eager = "eager"
    compiled = "compiled"
    auto = "auto"


def bench(
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

    from producer import experiments, follow_ups
    from producer.bench.conclude import conclude
    from producer.bench.flow import bench
    from producer.bench.progress import telling
    from producer.bench.protocol import EXECUTIONS, Enough
    from producer.cli import printing
    from producer.console import make_console, progress_console
    from producer.experiments import cancelling
    from producer.queue.routing import Need, sites_for
    from producer.report.bench import render, to_json

    prepared = experiments.prepare_given(spec, set_values or (), "1")
    if prepared.loaded.experiment.sides is not None:
        raise UsageError("bench times the frameworks of a job; it cannot time `sides` yet")
    ways = tuple(one for one in EXECUTIONS if not variant or one in variant)
    with experiments.open_to_train(prepared, quiet=as_json) as session:
        needs = [Need.of_side(run.side, run.job) for run in prepared.runs.values()]
        sites = sites_for(needs, session.ledger.workers(), host=host)
        if len({site.host for site in sites.values()}) > 1:
            where = ", ".join(f"{name} is timed on {site.host}" for name, site in sites.items())
            experiments.say(
                f"note: no host has a worker of every framework, so no winner will be named: {where}"
            )
        record = experiments.submit_prepared(session, prepared, queue_anyway=False, key=None)
        with cancelling(session, record):
            experiments.follow_to_end(session, record, quiet=as_json)
            outcome = experiments.judge(session, record)
            if not no_twin:
                outcome = experiments.follow_up(session, outcome, follow_ups.twin_alone, quiet=as_json)
            if outcome.comparison.failed:
                if as_json:
                    nothing = conclude(outcome.comparison, first={}, timed={}, missing=(), precision=1)
                    make_console().file.write(f"{to_json(nothing)}\n")
                else:
                    printing.print_comparison(outcome.comparison, as_json=False)
                raise typer.Exit(experiments.RUN_FAILED)
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
        raise typer.Exit(experiments.RUN_FAILED)


def sweep(
    spec: Spec,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            metavar="PATH=A,B,C",
            help="A setting and the values it takes; several make every combination.",
        ),
    ] = None,
    set_values: SetValues = None,
    seeds: Seeds = None,
    sides: Sides = None,
    as_json: AsJson = False,
    full: Full = False,
    queue_anyway: QueueAnyway = False,
) -> None:
    """Train the job at every point of a grid, with many seeds, and print one table.

    A line a point: the best, the median and the spread over seeds of each framework, and whether they
    agree there; the best point first. A path under overrides.FRAMEWORK varies a setting of that framework
    alone, and the table shows at which value they agree. Ends with 3 when a training failed for another
    reason than that it diverged; 130 on Ctrl-C, which cancels the trainings.

    \b
    Examples:
      likewise sweep matched --grid optimizer.learning_rate=0.01,0.03,0.1 --seeds 1000
      likewise sweep digits --grid optimizer.learning_rate=0.001,0.01 --grid training.batch_size=32,128
      likewise sweep job.yaml --grid overrides.torch.optimizer.learning_rate=0.001,0.002,0.005
    """
    from producer import experiments
    from producer.experiments import cancelling
    from producer.report.sweep import print_sweep
    from producer.sweep.runs import prepare_sweep, submit_sweep, swept

    sweep = prepare_sweep(spec, experiments.with_seeds(set_values or (), seeds), grid or (), sides)
    with experiments.open_to_train(sweep.first, quiet=as_json) as session:
        record = submit_sweep(session, sweep, queue_anyway=queue_anyway)
        with cancelling(session, record):
            experiments.follow_to_end(session, record, quiet=as_json)
        table = swept(session, record, tell=experiments.teller(quiet=as_json), full=full and as_json)
    print_sweep(table, as_json=as_json)
    raise typer.Exit(experiments.RUN_FAILED if table.failed else 0)
