"""A worker's log on standard error: a line of text an entry, or with `LIKEWISE_LOG_FORMAT=json` a document.

A document says of which worker, run, experiment and side it is, as far as that is known when it is written.
Each process has one such context; the parent's is set by its keeper, the child's by the run that it claims.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals

from likewise.shared.settings import Settings

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

_context: dict[str, str] = {}


def set_up(settings: Settings) -> None:
    """Write this process's log as the settings say: warnings of all, and of Likewise what goes on, too."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else logging.Formatter(TEXT))
    logging.basicConfig(handlers=[handler], force=True)
    logging.getLogger("likewise").setLevel(logging.INFO)
    signals.after_setup_logger.connect(_let_the_keeper_tell, weak=False)


_killed: set[int] = set()


def not_to_tell(pid: int) -> None:
    """Leave out what the pool says of a child's death: its worker kills it, and has said why."""
    _killed.add(pid)


def _let_the_keeper_tell(**_: Any) -> None:
    """Have the end of a child told once, in the form of this log, when Celery has set up its own loggers.

    The pool tells of each child that ends, with its signal, and Celery of the task that was lost with it, as
    of a fault of its own with a traceback. The keeper says which run that was, and why.
    """
    pool = logging.getLogger("multiprocessing")
    pool.handlers.clear()
    pool.propagate = True
    pool.addFilter(lambda record: not any(value in _killed for value in _values(record)))
    logging.getLogger("celery.worker.request").addFilter(
        lambda record: not any(isinstance(value, WorkerLostError) for value in _values(record))
    )


def _values(record: logging.LogRecord) -> tuple[object, ...]:
    """Return what stands in an entry's text in the places of `%r`."""
    return record.args if isinstance(record.args, tuple) else ()


def now_about(**names: str | None) -> None:
    """Change what entries are about: `worker`, `run`, `experiment`, `side`; None where there is none."""
    for name, value in names.items():
        if value is None:
            _context.pop(name, None)
        else:
            _context[name] = value


class JsonFormatter(logging.Formatter):
    """Writes an entry as a JSON document on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return an entry as a document with the names that it is about."""
        document = {
            "time": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_context,
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False, default=str)
