"""The group of commands: its list in `likewise --help`, Ctrl-C in the middle of one, and wrong options.

Plain text: typer's dressed help imports Rich, which would double the time of an answer.
"""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

INTERRUPTED = 130
OTHER = "Commands"
_WHOLE = 1_000
"""Longer than any first sentence, so that none is cut; lines are folded to the terminal."""
_WRONG = {
    "float_parsing": "expected a number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "finite_number": "expected a finite number",
    "greater_than_equal": "expected {ge:g} or more",
    "less_than_equal": "expected at most {le:g}",
}
"""What would be right, by pydantic's name for what is wrong with an option's value."""


class GroupedCommands(TyperGroup):
    """A group whose commands stand under the panels they were given, each with its whole first sentence."""

    def invoke(self, ctx: Any) -> Any:
        """Say that the command was interrupted, where typer would end the process without a word.

        Of a wrong option, say the value and what would be right, where typer has pydantic's words.
        """
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _in_our_words(error)
            raise
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


def _in_our_words(error: typer.BadParameter) -> str:
    """The message for the first wrong value; an older typer's own, which names it."""
    list_errors = getattr(error.__cause__, "errors", None)
    if list_errors is None:
        return error.message
    wrong = list_errors()[0]
    if wrong["type"] in _WRONG:
        return f"{wrong['input']!r}: {_WRONG[wrong['type']].format(**wrong.get('ctx', {}))}"
    return str(wrong["msg"]).removeprefix("Value error, ")
