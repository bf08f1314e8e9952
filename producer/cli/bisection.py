"""The command that looks for the version with which a training first changed: bisect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from likewise.producer.cli import completing
from likewise.producer.cli.options import (
    AsJson,
    Form,
    Note,
    Only,
    Output,
    Report,
    Seeds,
    SetValues,
    Spec,
    Tags,
    note_of,
    tags_of,
)
from likewise.shared.errors import NOT_IN_AGREEMENT, RUN_FAILED, UsageError

if TYPE_CHECKING:
    from likewise.producer.bisecting import Between, Tried
    from likewise.shared.job import Experiment
    from likewise.shared.job.side import Side
    from likewise.shared.ledger.records import Subject


def bisect(
    spec: Spec,
    between: Annotated[
        str,
        typer.Option(
            "--between",
            metavar="P==A,P==B",
            help="The package and the two versions: a framework, or a package that it trains with.",
        ),
    ],
    set_values: SetValues = None,
    seeds: Seeds = None,
    side: Annotated[
        str | None,
        typer.Option(
            "--side",
            metavar="NAME",
            help="Which side of the job; the first that fits, if none.",
            autocompletion=completing.sides,
        ),
    ] = None,
    as_json: AsJson = False,
    form: Form = None,
    report: Report = None,
    only: Only = False,
    check: Annotated[bool, typer.Option("--check", help="End with status 1 if any version differs.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Judge every version anew, those too that were judged before.")
    ] = False,
    tag: Tags = None,
    note: Note = "",
) -> None:
    """Find the first version of a framework, or of a package, that trains the job otherwise.

    Compares the newest version with the oldest, and then halves what lies between them. Each version gets an
    environment of its own, made once, which takes a minute and up to some gigabytes. Each comparison is kept,
    and so is what came out: likewise list and likewise show find them again. A version that was judged
    before, as by a search that was interrupted, is not trained again, unless --fresh: on the same job, the
    same data and by the same code of Likewise.
    Ends with 0; 1 with --check if a version differs; 3 when a training failed; 130 on Ctrl-C.

    \b
    Examples:
      likewise bisect digits --between tensorflow==2.18,tensorflow==2.21
      likewise bisect job.yaml --between keras==3.12,keras==3.15
    """
    from likewise.producer import bisecting, experiments, judged_versions
    from likewise.producer.job.jobfile import read_experiment
    from likewise.producer.kept import Answer, keep_answer
    from likewise.producer.local.environments import ADAPTERS
    from likewise.producer.local.versions import local_versions
    from likewise.producer.results import BisectionResult
    from likewise.producer.runs.submit import Request
    from likewise.shared.settings import Settings

    output = Output.of(form, as_json=as_json, file=report)
    quiet = output.quiet
    asked, tags = bisecting.Between.parse(between), tags_of(tag)
    if Settings.from_environment().redis_url is not None:
        raise UsageError(
            "bisect makes an environment for each version, and the workers of LIKEWISE_REDIS_URL have "
            "theirs; unset it to use a local stack, or compare two of their versions with --sides"
        )
    declared = read_experiment(spec, set_values or ()).experiment
    chosen = _side(declared, asked, side)
    versions = asked.among(local_versions(chosen.framework, asked.package, ADAPTERS))
    tell = experiments.teller(quiet=quiet)
    tell(f"{len(versions)} versions of {asked.package} from {versions[0]} to {versions[-1]}")
    own = chosen.model_dump(mode="json", exclude={"label"}, exclude_defaults=True)

    def compared(oldest: str, version: str) -> Tried:
        tell(f"{asked.package} {version} against {oldest}")
        sides = bisecting.sides_between(chosen.framework, asked.package, (oldest, version), own)
        prepared = experiments.prepare_given(spec, set_values or (), seeds, sides)
        key = judged_versions.key_of(prepared)
        if not fresh:
            with experiments.open_for(quiet=quiet) as session:
                before = judged_versions.judged_before(session, key)
            if before is not None:
                tell(f"{asked.package} {version} was judged before, by {before.experiment_id}")
                return before
        with experiments.open_to_train(prepared, quiet=quiet) as session:
            request = Request(tags=tags)
            record = experiments.submit_prepared(session, prepared, request)
            outcome = experiments.compare_to_end(session, record, quiet=quiet)
            tried = bisecting.Tried.of(version, outcome.comparison)
            if not tried.failed:
                judged_versions.keep_judged(session, outcome.record, key, tried)
            return tried

    for found in bisecting.bisect(declared.name, asked.package, versions, compared):
        last = found.tried[-1]
        tell(f"{asked.package} {last.version}: {last.why_not or last.verdict}")
    ends = bisecting.sides_between(chosen.framework, asked.package, (versions[0], versions[-1]), {})
    answer = Answer(
        kind="bisection",
        subject=_subject(declared.name, chosen.framework, ends),
        found=found,
        verdict=found.verdict,
        tags=tags,
        note=note_of(note),
    )
    result = BisectionResult(found, keep_answer(answer))
    output.put(result.shown(page=output.wants("html"), only=only))
    if result.failed:
        raise typer.Exit(RUN_FAILED)
    raise typer.Exit(NOT_IN_AGREEMENT if check and result.verdict == "differ" else 0)


def _subject(name: str, framework: str, ends: dict[str, Any]) -> Subject:
    """Return what a bisection is kept as: its oldest and its newest version."""
    from likewise.shared.ledger.records import Subject, SubjectSide

    sides = {
        label: SubjectSide(framework=framework, version=one.get("version") or one["requirements"][-1])
        for label, one in ends.items()
    }
    return Subject(name=name, sides=sides)


def _side(experiment: Experiment, asked: Between, label: str | None) -> Side:
    """Return the side whose versions are searched. Raises UsageError where the job has none that fits."""
    sides = experiment.side_list
    frameworks = experiment.frameworks_needed
    if label is not None:
        sides = tuple(side for side in sides if side.label == label)
        if not sides:
            raise UsageError(f"--side is {label!r}; the job's sides are {', '.join(experiment.labels)}")
    elif asked.package in frameworks:
        sides = tuple(side for side in sides if side.framework == asked.package)
    return sides[0]
