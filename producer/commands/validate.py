"""`likewise validate`: what a job file declares, or everything that is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from producer.commands.options import AsJson, Resolved, SetValues, Spec

if TYPE_CHECKING:
    from producer.job.prepare import PreparedExperiment


def command(
    spec: Spec,
    set_values: SetValues = None,
    resolved: Resolved = False,
    as_json: AsJson = False,
) -> None:
    """Check a job file and its data, and say what it would train. Nothing is trained.

    \b
    Examples:
      likewise validate article --set training.epochs=10
      likewise validate digits --set defaults=native --resolved
    """
    from producer.commands._printing import print_json
    from producer.job.jobfile import read_experiment
    from producer.job.prepare import prepare_experiment
    from producer.job.summary import document_of, lines_of
    from producer.report import resolved as settings
    from shared.errors import DataError, JobFileError

    try:
        prepared: PreparedExperiment = prepare_experiment(read_experiment(spec, set_values or ()))
        if prepared.loaded.experiment.grid:
            from producer.sweep.place import prepare_sweep

            prepare_sweep(spec, set_values or (), ())
    except (JobFileError, DataError) as error:
        if not as_json:
            raise
        print_json({"valid": False, "problems": _problems(error)})
        raise typer.Exit(error.exit_status) from None
    if resolved:
        settings.show(prepared.loaded.experiment, as_json=as_json)
    elif as_json:
        print_json(document_of(prepared))
    else:
        typer.echo("\n".join(lines_of(prepared)))


def _problems(error: Any) -> list[dict[str, Any]]:
    from dataclasses import asdict

    from shared.errors import JobFileError

    if isinstance(error, JobFileError):
        return [{"source": error.source, **asdict(problem)} for problem in error.problems]
    return [{"source": None, "path": None, "message": str(error), "value": None, "hint": None}]
