"""`likewise doctor`: each link of the chain, what is wrong with it, and how to mend it."""

from __future__ import annotations

import typer

from producer.commands.options import AsJson

UNHEALTHY = 4
_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "wrong": ("wrong", "red")}


def command(
    as_json: AsJson = False,
) -> None:
    """Check each link: Python, disk, environments, Redis, workers, clock; say how to mend what is wrong.

    Starts nothing. Exit status 0 where nothing is wrong, 4 otherwise.

    Example: likewise doctor
    """
    from producer.commands._printing import print_json
    from producer.doctor import examine
    from shared.settings import Settings

    findings = examine(Settings.from_environment())
    healthy = all(finding.state != "wrong" for finding in findings)
    if as_json:
        print_json({"healthy": healthy, "checks": [finding.model_dump(mode="json") for finding in findings]})
    else:
        width = max(len(finding.link) for finding in findings)
        for finding in findings:
            word, colour = _MARKS[finding.state]
            typer.echo(f"{typer.style(f'{word:5}', fg=colour)}  {finding.link:{width}}  {finding.found}")
            if finding.mend:
                typer.echo(f"{'':{width + 7}}  → {finding.mend}")
    if not healthy:
        raise typer.Exit(UNHEALTHY)
