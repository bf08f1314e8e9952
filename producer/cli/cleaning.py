"""Commands that remove experiments: delete, prune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from likewise.producer.cli.options import AsJson, ExperimentId, age_in_s, print_json

if TYPE_CHECKING:
    from likewise.producer.runs.cleaning import Cleaned


def delete(
    experiment: ExperimentId,
    as_json: AsJson = False,
) -> None:
    """Remove a finished experiment, its results, and the arrays that no other refers to, for good.

    Example: likewise delete last
    """
    from likewise.producer import experiments
    from likewise.producer.console import make_console
    from likewise.producer.runs.cleaning import delete
    from likewise.producer.runs.submitted import LEAST_TO_END, find_kept

    with experiments.open_for(quiet=as_json) as session:
        record = find_kept(session.ledger, experiment, least=LEAST_TO_END)
        cleaned = delete(session, record)
    if as_json:
        print_json({"deleted": record.experiment_id, "freed_bytes": cleaned.freed_bytes})
    else:
        name = f"{record.experiment_id} ({record.name})"
        make_console().print(f"{name} is deleted{_freed(cleaned)}")


def prune(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Only what is older: 30d, 12h, 90m, or a number of days.")
    ] = "30d",
    keep: Annotated[int, typer.Option(min=0, help="So many of the newest are kept, however old.")] = 20,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and remove nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove old finished experiments, and every array that no experiment refers to any more.

    \b
    Examples:
      likewise prune --dry-run
      likewise prune --older-than 7d --keep 50
    """
    from likewise.producer import experiments
    from likewise.producer.console import make_console
    from likewise.producer.runs.cleaning import prune

    age_s = age_in_s(older_than, "--older-than")
    with experiments.open_for(quiet=as_json) as session:
        cleaned = prune(session, older_than_s=age_s, keep=keep, dry_run=dry_run)
    ids = [record.experiment_id for record in cleaned.experiments]
    if as_json:
        print_json({"deleted": ids, "freed_bytes": cleaned.freed_bytes, "dry_run": dry_run})
        return
    console = make_console()
    for record in cleaned.experiments:
        console.print(f"{record.experiment_id}  {record.name}")
    many = f"{len(ids)} experiment{'' if len(ids) == 1 else 's'}"
    console.print(f"{many} would be deleted" if dry_run else f"{many} deleted{_freed(cleaned)}")


def _freed(cleaned: Cleaned) -> str:
    freed = f"; {cleaned.freed_bytes / 1e6:.1f} MB of arrays are freed" if cleaned.freed_bytes else ""
    if not cleaned.kept:
        return freed
    return f"{freed}; {cleaned.kept} arrays stay while runs are under way (likewise prune frees them later)"
