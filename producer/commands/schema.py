"""`likewise schema`: the job file's JSON Schema, for editors."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    as_json: Annotated[bool, typer.Option("--json", help="The same: the schema is JSON.")] = False,  # noqa: ARG001
) -> None:
    """Print the JSON Schema of job files, by which an editor completes and checks them as you type.

    Example: likewise schema > likewise.schema.json
    """
    from producer.commands._printing import print_json
    from producer.job.editor_schema import editor_schema

    print_json(editor_schema())
