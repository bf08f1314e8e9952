"""`likewise version`."""

from __future__ import annotations

import typer

from producer.commands.options import AsJson


def command(
    as_json: AsJson = False,
) -> None:
    """Print the version of Likewise and of its documents.

    Example: likewise version --json
    """
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from producer.commands._printing import print_json
    from shared.result import RESULT_SCHEMA_VERSION
    from shared.spec.experiment import SCHEMA_VERSION

    try:
        number = version("likewise")
    except PackageNotFoundError:  # run from a checkout that is not installed
        number = "0+checkout"
    python = platform.python_version()
    if as_json:
        print_json(
            {
                "version": number,
                "job_file_schema_version": SCHEMA_VERSION,
                "result_schema_version": RESULT_SCHEMA_VERSION,
                "python": python,
            }
        )
    else:
        typer.echo(
            f"likewise {number} (job files of version {SCHEMA_VERSION}, results of version "
            f"{RESULT_SCHEMA_VERSION}; Python {python})"
        )
