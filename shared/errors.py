"""Every error a user can meet, with the exit status it ends the command with.

LikewiseError
├── UsageError            2   a command that cannot mean anything: an unknown experiment id, a bad option
├── JobFileError          2   a job file with one or more problems, each with its path and value
├── DataError             2   data that cannot be trained on, by file, row and column
├── ResultError           3   a stored result that cannot be read (another schema version, damaged)
├── RunFailedError        3   a training failed where its result was needed
├── CancelledError        3   more was to be trained for an experiment that was cancelled meanwhile
└── ServiceError          4   something the work needs is not there
    ├── RedisError            no Redis, a refusing Redis, a wrong password
    ├── NoWorkerError         no live worker serves a framework or device
    ├── StackError            the local stack could not be made or started
    └── OutputError           standard output takes no more, as on a full disk

An error's text is one message for the user: what, which value, and the next step. Errors know
nothing of terminals; `producer.cli` prints them and turns them into exit statuses. What ends a command with
another status and is no error has it below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

NOT_IN_AGREEMENT = 1
"""The exit status of a command whose `--check` asked for an agreement that there is not."""
RUN_FAILED = 3
"""The exit status of a command one of whose own runs failed."""
INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ended."""
SHOWN_PROBLEMS = 20
"""How many problems of a job file the text of its error lists; the error itself carries all of them."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong in a job file.

    `path` is dotted (`model.layers.0.units`), or empty for the file as a whole; `value` is what stood
    there as short JSON text, or None where the field is missing; `message` says what is wrong and
    `hint` what would be right.
    """

    path: str
    message: str
    value: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        shown = f" = {self.value}" if self.value is not None else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{self.path}{shown}: {self.message}{hint}" if self.path else f"{self.message}{hint}"


class LikewiseError(Exception):
    """The root: an error with a message for the user."""

    exit_status = 1
    file: Path | None = None
    """The file that is not there, or cannot be written, where that is why."""

    def about(self, file: Path) -> Self:
        """Name the file, and return the error."""
        self.file = file
        return self


class InterruptedByUserError(KeyboardInterrupt):
    """Ctrl-C, of which has been said what becomes of the trainings."""


class UsageError(LikewiseError):
    """A command that cannot mean anything."""

    exit_status = 2


class JobFileError(LikewiseError):
    """A job file with problems; `source` names the file, `problems` is never empty."""

    exit_status = 2

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(f"{source}: {self._listed()}")

    def _listed(self) -> str:
        if len(self.problems) == 1:
            return str(self.problems[0])
        more = len(self.problems) - SHOWN_PROBLEMS
        lines = [f"{len(self.problems)} problems", *map(str, self.problems[:SHOWN_PROBLEMS])]
        return "\n  ".join(lines + ([f"… and {more} more"] if more > 0 else []))


class DataError(LikewiseError):
    """Data that cannot be trained on."""

    exit_status = 2


class ResultError(LikewiseError):
    """A stored result that cannot be read."""

    exit_status = 3


class RunFailedError(LikewiseError):
    """A training failed where its result was needed."""

    exit_status = 3


class CancelledError(LikewiseError):
    """More was to be trained for an experiment that was cancelled meanwhile."""

    exit_status = 3


class ServiceError(LikewiseError):
    """Something the work needs is not there."""

    exit_status = 4


class RedisError(ServiceError):
    """No Redis, a refusing Redis, or a wrong password."""


class RefusedByRedisError(RedisError):
    """A Redis that is there, and refuses for now.

    `code` is its word for why, such as `OOM`; `meaning` says what that is, and `advice` what to do.
    """

    def __init__(self, meaning: str, advice: str, *, code: str) -> None:
        self.code, self.meaning, self.advice = code, meaning, advice
        super().__init__(f"{meaning}; {advice}")


class NoWorkerError(ServiceError):
    """No live worker serves a framework or a device."""


class StackError(ServiceError):
    """The local stack could not be made or started."""


class OutputError(ServiceError):
    """Standard output takes no more: the room that the answer needs is what is not there."""
