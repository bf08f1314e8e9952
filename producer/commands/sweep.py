"""`likewise sweep`: many settings, many seeds, every framework."""

from __future__ import annotations

from typing import Annotated

import typer

from producer.commands.options import AsJson, Full, QueueAnyway, Seeds, SetValues, Spec


def command(
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
    from producer import experiment_flow as flow
    from producer.interruption import cancelling
    from producer.sweep.flow import print_sweep, swept
    from producer.sweep.place import prepare_sweep, submit_sweep

    sweep = prepare_sweep(spec, flow.with_seeds(set_values or (), seeds), grid or ())
    with flow.open_to_train(sweep.first, quiet=as_json) as session:
        record = submit_sweep(session, sweep, queue_anyway=queue_anyway)
        with cancelling(session, record):
            flow.follow_to_end(session, record, quiet=as_json)
        table = swept(session, record, quiet=as_json, full=full and as_json)
    print_sweep(table, as_json=as_json)
    raise typer.Exit(flow.RUN_FAILED if table.failed else 0)
