"""What `likewise explain` does: from what the user named to the printed explanation."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from producer import experiments
from producer.blame.explanation import Explanation
from producer.blame.flow import Question, enough_seeds, explain_experiment, others_of
from producer.cli.options import check_page_path
from producer.console import make_console
from producer.experiments import cancelling
from producer.job.jobfile import example_names
from producer.job.prepare import PreparedExperiment
from producer.queue.submitted import LAST, find
from producer.report.explanation import render, to_json
from producer.session import Session
from shared.errors import UsageError
from shared.ledger.records import ExperimentRecord

_ID = re.compile(r"[0-9a-f]{4,20}")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command was asked."""

    set_values: tuple[str, ...] = ()
    seeds: str | None = None
    sides: str | None = None
    combinations: int
    side: str | None = None
    """Whose difference from the first side is explained."""
    as_json: bool = False
    page: Path | None = None
    queue_anyway: bool = False


def run(spec: str, options: Options) -> int:
    """Explain what `spec` names; the status the command ends with."""
    check_page_path(options.page)
    if _names_an_experiment(spec):
        return _explain_known(spec, options)
    prepared = _with_enough_seeds(
        experiments.prepare_given(spec, options.set_values, options.seeds, options.sides), options
    )
    others_of(prepared.loaded.experiment, options.side)
    with experiments.open_to_train(prepared, quiet=options.as_json) as session:
        record = experiments.submit_prepared(session, prepared, queue_anyway=options.queue_anyway, key=None)
        return _explain(session, record, record.experiment.seed_list, options)


def _explain_known(given: str, options: Options) -> int:
    """An experiment that was submitted before: its data and what it trained are used again."""
    if options.sides is not None:
        raise UsageError("--sides changes a job file; an experiment that was trained stays as it is")
    if options.set_values:
        raise UsageError("--set changes a job file; an experiment that was trained stays as it is")
    with experiments.open_for(quiet=options.as_json) as session:
        record = find(session.ledger, given)
    with experiments.open_for(record.experiment.environments_needed, quiet=options.as_json) as session:
        session.ledger.allow_more(record.experiment_id)  # whoever names it anew wants more of it
        seeds = enough_seeds(record.experiment.seed_list)
        if options.seeds is not None:
            seeds = experiments.seed_list(options.seeds)
        return _explain(session, record, seeds, options)


def _explain(session: Session, record: ExperimentRecord, seeds: tuple[int, ...], options: Options) -> int:
    with cancelling(session, record):
        question = Question(
            others=others_of(record.experiment, options.side)[:1],
            seeds=seeds,
            most_combined=options.combinations,
        )
        (explanation,) = explain_experiment(
            session, record, question, queue_anyway=options.queue_anyway, quiet=options.as_json
        )
    if options.page is not None:
        _write_page(explanation, options.page)
    if options.as_json:
        make_console().file.write(f"{to_json(explanation)}\n")
    else:
        render(explanation, make_console())
    return experiments.RUN_FAILED if explanation.measure is None else 0


def _write_page(explanation: Explanation, path: Path) -> None:
    """Raises UsageError where the file cannot be written."""
    from producer.report.explanation_page import to_html

    try:
        path.write_text(to_html(explanation), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _with_enough_seeds(prepared: PreparedExperiment, options: Options) -> PreparedExperiment:
    """At least as many seeds as an interval needs, unless the user chose them."""
    if options.seeds is not None:
        return prepared
    experiment = prepared.loaded.experiment
    changed = experiment.model_copy(update={"seeds": enough_seeds(experiment.seed_list)})
    return replace(prepared, loaded=replace(prepared.loaded, experiment=changed))


def _names_an_experiment(spec: str) -> bool:
    """Whether it is an id, or `last`, and no job file of that name is there."""
    known = spec in example_names() or Path(spec).exists()
    return not known and (spec == LAST or _ID.fullmatch(spec) is not None)
