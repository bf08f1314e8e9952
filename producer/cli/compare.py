"""Commands that train an experiment and say what came out: compare, explain, bench."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from likewise.producer.cli.options import (
    AsJson,
    Form,
    Full,
    Key,
    Note,
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
    comparison_document,
    exit_status,
    note_of,
    tags_of,
)
from likewise.shared.errors import NOT_IN_AGREEMENT, RUN_FAILED, UsageError

if TYPE_CHECKING:
    from likewise.producer.follow_ups import Judged
    from likewise.producer.golden import Golden
    from likewise.producer.job.prepare import PreparedExperiment
    from likewise.producer.report.document import Document
    from likewise.producer.runs.submit import Request
    from likewise.producer.session import Session
    from likewise.producer.verdict.models import Verdict
    from likewise.shared.ledger.records import ExperimentRecord


A_WEEK_S = 604_800
_ID = re.compile(r"[0-9a-f]{4,20}")


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
    no_twin: Annotated[
        bool,
        typer.Option("--no-twin", help="Do not train again, in float64 and as it was, to know the rounding."),
    ] = False,
    no_trace: Annotated[
        bool,
        typer.Option(
            "--no-trace",
            help="Do not replay step by step, nor switch settings, to find where they part and why.",
        ),
    ] = False,
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
    from likewise.producer import experiments
    from likewise.producer.runs.submit import Request

    output = Output.of(form, as_json=as_json, file=report)
    quiet = output.quiet
    request = Request(
        tags=tags_of(tag), note=note_of(note), priority=priority.value, key=key, queue_anyway=queue_anyway
    )
    golden = None if against is None else _golden(against)
    prepared = experiments.prepare_given(spec, set_values or (), seeds, sides)
    if golden is not None and against is not None:
        golden.check_alike(prepared.loaded.experiment, against)
    with experiments.open_to_train(prepared, quiet=quiet) as session:
        record = experiments.submit_prepared(session, prepared, request)
        outcome = experiments.compare_to_end(
            session, record, quiet=quiet, twin=not no_twin, trace=not no_trace and golden is None
        )
        document, verdict = _told(session, outcome, golden, output, full=full)
    output.put(document)
    status = exit_status(outcome.comparison)
    raise typer.Exit(status or (NOT_IN_AGREEMENT if check and verdict != "agree" else 0))


def _golden(path: Path) -> Golden:
    from likewise.producer.golden import read_golden

    return read_golden(path)


def _told(
    session: Session, outcome: Judged, golden: Golden | None, output: Output, *, full: bool
) -> tuple[Document, Verdict]:
    """Return the comparison, or what has changed since a golden result, with the verdict."""
    if golden is None or outcome.comparison.failed:
        return comparison_document(outcome, output, full=full), outcome.comparison.verdict
    from likewise.producer.golden import since
    from likewise.producer.report.golden import GoldenDocument

    found = since(session, golden, outcome)
    return GoldenDocument(since=found), found.verdict


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
            "--side", "--framework", metavar="NAME", help="Explain this side alone; every other, if none."
        ),
    ] = None,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
    queue_anyway: QueueAnyway = False,
    priority: Priority = Urgency.normal,
    tag: Tags = None,
    note: Note = "",
) -> None:
    """Say which settings make the sides differ, how much each does, and how to mend it.

    Trains the job again with the differing settings switched to the first side's, alone and together. Says
    before what that costs; --budget bounds it, and what is left out is named.
    Ends with 0; 3 when a training of the job itself failed; 130 on Ctrl-C, which cancels the trainings.

    \b
    Examples:
      likewise explain article
      likewise explain job.yaml --seeds 10 --report why.html
      likewise explain job.yaml --budget 30
      likewise explain last --json
    """
    from likewise.producer import experiments
    from likewise.producer.experiments import cancelling
    from likewise.producer.explaining import Question, enough_seeds, explain_experiment, others_of
    from likewise.producer.report.explanation import ExplanationDocument
    from likewise.producer.runs.submit import Request

    output = Output.of(form, as_json=as_json, file=report)
    request = Request(
        kind="explanation",
        tags=tags_of(tag),
        note=note_of(note),
        priority=priority.value,
        queue_anyway=queue_anyway,
    )
    record = _trained_before(spec, set_values, sides, request, quiet=output.quiet)
    if record is not None:
        session = experiments.open_for(record.experiment.environments_needed, quiet=output.quiet)
    else:
        prepared = experiments.prepare_given(spec, set_values or (), seeds, sides)
        if seeds is None:
            prepared = _with_seeds(prepared, enough_seeds(prepared.loaded.experiment.seed_list))
        others_of(prepared.loaded.experiment, side)
        session = experiments.open_to_train(prepared, quiet=output.quiet)
    with session:
        if record is not None:
            session.ledger.allow_more(record.experiment_id)  # whoever names it anew wants more of it
        else:
            record = experiments.submit_prepared(session, prepared, request)
        trained = enough_seeds(record.experiment.seed_list) if seeds is None else experiments.seed_list(seeds)
        others = others_of(record.experiment, side)
        question = Question(others=others, seeds=trained, most_combined=combinations, budget_s=budget)
        with cancelling(session, record):
            explanations = explain_experiment(
                session, record, question, queue_anyway=queue_anyway, quiet=output.quiet
            )
    output.put(ExplanationDocument(explanations))
    failed = any(explanation.measure is None for explanation in explanations)
    raise typer.Exit(RUN_FAILED if failed else 0)


def _trained_before(
    spec: str, set_values: list[str] | None, sides: str | None, request: Request, *, quiet: bool
) -> ExperimentRecord | None:
    """Return the experiment that is named instead of a job; None for a job.

    Raises UsageError where it would be trained otherwise than it was, and for a sweep.
    """
    if not _names_an_experiment(spec):
        return None
    from likewise.producer import experiments
    from likewise.producer.runs.submitted import find

    given = {"--sides": sides, "--set": set_values, "--tag": request.tags, "--note": request.note}
    changed = next((option for option, value in given.items() if value), None)
    if changed in ("--tag", "--note"):
        raise UsageError(
            f"{changed} is for what is submitted; likewise label {spec} {changed} labels this one"
        )
    if changed:
        raise UsageError(f"{changed} changes a job file; an experiment that was trained stays as it is")
    with experiments.open_for(quiet=quiet) as session:
        record = find(session.ledger, spec)
    if record.experiment.grid:
        raise UsageError(f"{record.experiment_id} is a sweep; name one of its points as a job, with --set")
    return record


def _names_an_experiment(spec: str) -> bool:
    """Return whether it is an id, or `last`, and no job file of that name is there."""
    from likewise.producer.job.examples import is_example
    from likewise.producer.runs.submitted import LAST

    is_job = is_example(spec) or Path(spec).exists()
    return not is_job and (spec == LAST or _ID.fullmatch(spec) is not None)


def _with_seeds(prepared: PreparedExperiment, seeds: tuple[int, ...]) -> PreparedExperiment:
    from dataclasses import replace

    experiment = prepared.loaded.experiment.model_copy(update={"seeds": seeds})
    return replace(prepared, loaded=replace(prepared.loaded, experiment=experiment))


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
    id; a comparison that is named so is timed as it was trained.

    \b
    Examples:
      likewise bench matched
      likewise bench digits --variant auto --budget 120
      likewise bench matched --sides torch:eager,torch:compiled,tensorflow
      likewise bench job.yaml --json > bench.json
      likewise bench last
    """
    from likewise.producer import benching, experiments
    from likewise.producer.bench.protocol import in_ways
    from likewise.producer.experiments import cancelling
    from likewise.producer.report.bench import BenchDocument
    from likewise.producer.runs.routing import Need
    from likewise.producer.runs.submit import Request

    output = Output.of(form, as_json=as_json, file=report)
    quiet = output.quiet
    request = Request(kind="bench", tags=tags_of(tag), note=note_of(note), priority=priority.value)
    timing = benching.Timing(
        ways=[way.value for way in variant or ()],
        budget_s=budget,
        precision=precision / 100,
        host=host,
        twin=not no_twin,
    )
    record = _trained_before(spec, set_values, sides, request, quiet=quiet)
    if record is not None:
        with experiments.open_for(record.experiment.environments_needed, quiet=quiet) as session:
            runs = session.ledger.runs(record.run_ids)
            sites = benching.find_sites(session, [*map(Need.of_run, runs)], timing)
            session.ledger.allow_more(record.experiment_id)  # whoever names it anew wants more of it
            with cancelling(session, record):
                found = benching.bench_experiment(session, record, timing, sites, quiet=quiet)
    else:
        prepared = experiments.prepare_given(spec, set_values or (), "1", sides)
        in_ways(prepared.loaded.experiment, timing.ways)
        with experiments.open_to_train(prepared, quiet=quiet) as session:
            needs = [Need.of_side(run.side, run.job) for run in prepared.runs.values()]
            sites = benching.find_sites(session, needs, timing)
            record = experiments.submit_prepared(session, prepared, request)
            with cancelling(session, record):
                found = benching.bench_experiment(session, record, timing, sites, quiet=quiet)
    output.put(BenchDocument(found))
    if not found.rows:
        raise typer.Exit(RUN_FAILED)
