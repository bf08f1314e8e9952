"""The group of commands: its list in `likewise --help`, and Ctrl-C in the middle of one.

Plain text: typer's dressed help imports Rich, which would double the time of an answer.
"""

from __future__ import annotations

import sys
from typing import Any

from typer.core import TyperGroup

INTERRUPTED = 130
OTHER = "Commands"
_WHOLE = 1_000
"""Longer than any first sentence, so that none is cut; lines are folded to the terminal."""


class GroupedCommands(TyperGroup):
    """A group whose commands stand under the panels they were given, each with its whole first sentence."""

    def invoke(self, ctx: Any) -> Any:
        """Say that the command was interrupted; typer would end the process without a word."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.stderr.write("likewise: interrupted\n")
            sys.exit(INTERRUPTED)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section a panel, in the order in which the commands were added."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or OTHER
                panels.setdefault(str(panel), []).append((name, command.get_short_help_str(_WHOLE)))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)
