"""`likewise submit`: put the experiment on the queue and return at once."""

from __future__ import annotations

from producer.commands.options import AsJson, Key, QueueAnyway, Seeds, SetValues, Spec


def command(
    spec: Spec,
    set_values: SetValues = None,
    seeds: Seeds = None,
    as_json: AsJson = False,
    queue_anyway: QueueAnyway = False,
    key: Key = None,
) -> None:
    """Put the experiment on the queue, print its id and do not wait.

    Example: likewise submit digits --seeds 10
    """
    import json

    from producer import experiment_flow as flow
    from producer.report.console import make_console, progress_console

    prepared = flow.prepare_given(spec, set_values or (), seeds)
    with flow.open_to_train(prepared, quiet=as_json) as session:
        record = flow.submit_prepared(session, prepared, queue_anyway=queue_anyway, key=key)
        placed = session.ledger.records(record.run_ids)
    if as_json:
        first = {run.framework: run.run_id for run in reversed(placed)}
        runs = {framework: first[framework] for framework in record.experiment.frameworks}
        document = {"experiment_id": record.experiment_id, "name": record.experiment.name, "runs": runs}
        make_console().file.write(f"{json.dumps(document, indent=2)}\n")
        return
    make_console().file.write(f"{record.experiment_id}\n")
    progress_console().print(
        f"follow it: likewise watch {record.experiment_id}  ·  end it: likewise cancel {record.experiment_id}"
    )
