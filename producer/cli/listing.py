"""Commands that find experiments again: list, label."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from likewise.producer.cli import completing
from likewise.producer.cli.options import (
    AsJson,
    ExperimentId,
    Form,
    KindName,
    Output,
    Tags,
    age_in_s,
    note_of,
    print_json,
    tags_of,
)

if TYPE_CHECKING:
    from likewise.shared.errors import ResultError


class StateName(StrEnum):
    """The states of experiments are named as in the list."""

    queued = "queued"
    training = "training"
    finished = "finished"
    cancelled = "cancelled"
    unfinished = "unfinished"


class VerdictName(StrEnum):
    """The verdicts are named as comparisons say them."""

    agree = "agree"
    differ = "differ"
    inconclusive = "inconclusive"


class OrderName(StrEnum):
    """The orders are named as the columns of the list."""

    when = "when"
    name = "name"
    kind = "kind"
    state = "state"
    verdict = "verdict"
    took = "took"


def list_experiments(
    text: Annotated[
        str, typer.Argument(help="Only those with this in their id, name, tags, note or sides.")
    ] = "",
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="PATTERN",
            help="Only of this name, such as 'mnist*'.",
            autocompletion=completing.names,
        ),
    ] = None,
    kind: Annotated[KindName | None, typer.Option("--kind", help="Only of this kind.")] = None,
    state: Annotated[StateName | None, typer.Option("--state", help="Only those that stand so.")] = None,
    verdict: Annotated[VerdictName | None, typer.Option("--verdict", help="Only with this verdict.")] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag",
            metavar="WORD",
            help="Only with this tag; several mean all.",
            autocompletion=completing.tags,
        ),
    ] = None,
    side: Annotated[
        str | None,
        typer.Option(
            "--side",
            metavar="NAME",
            help="Only with this side, by its label or its framework.",
            autocompletion=completing.frameworks,
        ),
    ] = None,
    newer_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only what was submitted since, such as 7d, 12h, 90m.")
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only what was submitted before.")
    ] = None,
    sort: Annotated[OrderName, typer.Option("--sort", help="By what; the newest first.")] = OrderName.when,
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20,
    as_json: AsJson = False,
    form: Form = None,
) -> None:
    """List the recent experiments: id, name, kind, when, where they stand and what the verdict is.

    A sweep has a verdict for each of its points, which likewise show prints. An explanation or a bench is
    unfinished where its command ended before it.

    \b
    Examples:
      likewise list --limit 5
      likewise list mnist --kind bench --newer-than 7d
      likewise list --verdict differ --tag upgrade --sort name
    """
    from likewise.producer import experiments
    from likewise.producer.listing import Query, listed
    from likewise.producer.report.status import ListDocument

    output = Output.of(form, as_json=as_json)
    query = Query(
        text=text,
        name=name,
        kind=kind.value if kind else None,
        state=state.value if state else None,
        verdict=verdict.value if verdict else None,
        tags=tags_of(tag),
        side=side,
        newer_than_s=None if newer_than is None else age_in_s(newer_than, "--newer-than"),
        older_than_s=None if older_than is None else age_in_s(older_than, "--older-than"),
        sort=sort.value,
        reverse=reverse,
        limit=limit,
    )
    with experiments.open_for(quiet=output.quiet) as session:
        unreadable: list[ResultError] = []
        entries = listed(session, query, unreadable=unreadable.append)
        chosen = query != Query(limit=limit, sort=query.sort, reverse=reverse)
        document = ListDocument(entries=entries, now_s=session.ledger.now(), chosen=chosen)
    _tell_unreadable(unreadable)
    output.put(document)


def _tell_unreadable(errors: Sequence[ResultError]) -> None:
    """Say on standard error where experiments are left out because this version cannot read them."""
    if errors:
        from likewise.producer.console import progress_console
        from likewise.producer.display import printable

        many = f"{len(errors)} experiments are" if len(errors) > 1 else "1 experiment is"
        progress_console().print(
            printable(f"note: {many} left out that this version cannot read; {errors[0]}")
        )


def label(
    experiment: ExperimentId,
    tag: Tags = None,
    untag: Annotated[
        list[str] | None,
        typer.Option("--untag", metavar="WORD", help="Take this tag away.", autocompletion=completing.tags),
    ] = None,
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="A line on what it is for, in place of its.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tag an experiment, or write a note on it, so that likewise list finds it again.

    \b
    Examples:
      likewise label last --tag paper --note "the run of figure 3"
      likewise label 9cc3c1e8 --untag paper
    """
    from likewise.producer import experiments
    from likewise.producer.console import make_console
    from likewise.producer.runs.submitted import find_kept

    with experiments.open_for(quiet=as_json) as session:
        record = find_kept(session.ledger, experiment)
        removed = set(tags_of(untag))
        tags = [one for one in dict.fromkeys((*record.tags, *tags_of(tag))) if one not in removed]
        line = record.note if note is None else note_of(note)
        session.ledger.label(record.experiment_id, tags=tags, note=line)
    if as_json:
        print_json({"experiment_id": record.experiment_id, "tags": tags, "note": line})
    else:
        told = [record.experiment_id, f"tags: {', '.join(tags)}" if tags else "no tags", line or "no note"]
        make_console().print("  ·  ".join(told), markup=False)
