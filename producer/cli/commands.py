"""What all commands have in common: their list, their help, how much they say, and being interrupted."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from likewise.producer.output import loudness
from likewise.shared.errors import INTERRUPTED, InterruptedByUserError, UsageError

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


_TYPE = re.compile(r" <(?:str|path|int range|float range|list\[str\])>")
_CHOICES = re.compile(r"<(?:list\[)?([a-z|-]+)\]?>")
_RANGE = re.compile(r"(-?[\d.]+)<=x<=(-?[\d.]+)")
_LEAST = re.compile(r"x>=(-?[\d.]+)")


class GroupedCommands(TyperGroup):
    """The group lists its commands under the panels they were given, each with its whole first sentence.

    Every command has the options that say how much is told on the way, and help in words of a reader. The
    group takes these options, too, so that they may stand in front of the command.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the options of the group, with those that say how much is told."""
        return [*_loudness(), *super().get_params(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command with the options of all, and without types of Python in its help."""
        command = super().get_command(ctx, cmd_name)
        if command is None or hasattr(command, "commands") or getattr(command, "is_complete", False):
            return command
        command.params = [*command.params, *_loudness()]
        for param in command.params:
            setattr(param, "get_help_record", _in_plain_words(param.get_help_record))  # noqa: B010
        command.is_complete = True  # type: ignore[attr-defined]
        return command

    def invoke(self, ctx: Any) -> Any:
        """Say that the command was interrupted, where typer would end the process without a word.

        Of a wrong option, say the value and what would be right, where typer has pydantic's words.
        """
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _in_our_words(error)
            raise
        except InterruptedByUserError:
            sys.exit(INTERRUPTED)
        except KeyboardInterrupt:
            sys.stderr.write("likewise: interrupted\n")
            sys.exit(INTERRUPTED)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section a panel, in the order in which the commands were added.

        A list needs no options: those that all commands have are made for the one that is asked for.
        """
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.commands[name]
            if not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or OTHER
                panels.setdefault(str(panel), []).append((name, command.get_short_help_str(_WHOLE)))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)


def _louder(ctx: Any, param: Any, value: bool) -> None:  # noqa: ARG001  # typer calls it so
    """Take -q or -v. Raises UsageError for both."""
    word: Literal["quiet", "verbose"] = "quiet" if param.name == "quiet" else "verbose"
    if value and loudness.get() not in ("normal", word):
        raise UsageError("-q says less and -v says more; give one of the two")
    if value:
        loudness.set(word)


def _loudness() -> list[Any]:
    """Return the options that make a command quiet, or verbose."""
    made = typer.Typer(add_completion=False)

    @made.command()
    def options(
        quiet: Annotated[
            bool,
            typer.Option("--quiet", "-q", expose_value=False, callback=_louder, show_default=False,
                         help="Say nothing on the way: only the answer, and errors."),
        ] = False,
        verbose: Annotated[
            bool,
            typer.Option("--verbose", "-v", expose_value=False, callback=_louder, show_default=False,
                         help="Say every change on the way, a line each."),
        ] = False,
    ) -> None:  # fmt: skip
        """It takes both options."""

    return [one for one in typer.main.get_command(made).params if one.name in ("quiet", "verbose")]


def _in_plain_words(record_of: Callable[[Any], tuple[str, str] | None]) -> Callable[[Any], Any]:
    """Return how an option is helped with, without `<str>`, and `0 to 8` for `0<=x<=8`."""

    def plain(ctx: Any) -> tuple[str, str] | None:
        record = record_of(ctx)
        if record is None:
            return None
        names, said = record
        named = _CHOICES.sub(r"\1", _TYPE.sub("", names))
        return named, _LEAST.sub(r"\1 or more", _RANGE.sub(r"\1 to \2", said))

    return plain


def _in_our_words(error: typer.BadParameter) -> str:
    """Return the message for the first wrong value; an older typer's own, which names it."""
    list_errors = getattr(error.__cause__, "errors", None)
    if list_errors is None:
        return error.message
    wrong = list_errors()[0]
    if wrong["type"] in _WRONG:
        return f"{wrong['input']!r}: {_WRONG[wrong['type']].format(**wrong.get('ctx', {}))}"
    return str(wrong["msg"]).removeprefix("Value error, ")
