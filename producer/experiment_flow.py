"""The steps of a command up to the end of its trainings: read, open, submit, follow.

Each takes what it needs as values; progress goes to standard error. What the trainings came to is
`producer.outcome_flow`'s, which is imported while they run: importing it takes about as long as they do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from producer.job.jobfile import read_experiment
from producer.job.prepare import PreparedExperiment, prepare_experiment
from producer.queue.submit import submit
from producer.session import Session, open_session
from shared.errors import NoWorkerError, UsageError
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.ledger.records import ExperimentRecord

RUN_FAILED = 3


def prepare_given(spec: str, set_values: Sequence[str], seeds: str | None) -> PreparedExperiment:
    """Read a job file with its `--set` and `--seeds`, resolve it and load its data."""
    loaded = read_experiment(spec, with_seeds(set_values, seeds))
    if loaded.experiment.grid:
        raise UsageError(f"{loaded.source} has a grid of settings; likewise sweep trains it")
    prepared = prepare_experiment(loaded)
    for sentence in prepared.advice:
        say(f"note: {sentence}")
    return prepared


def with_seeds(set_values: Sequence[str], seeds: str | None) -> list[str]:
    """The settings of `--set` and of `--seeds`. Raises UsageError."""
    return [*set_values, *([f"seeds={_seeds(seeds)}"] if seeds is not None else [])]


def open_for(frameworks: Sequence[str] = (), *, quiet: bool = False) -> Session:
    """The services; what is waited for is told on standard error, or with `quiet` on a terminal alone."""
    return open_session(
        Settings.from_environment(),
        frameworks=frameworks,
        say=partial(say, only_to_a_terminal=quiet),
    )


def say(line: str, *, only_to_a_terminal: bool = False) -> None:
    """A word on the way, on standard error."""
    from producer.report.console import progress_console

    console = progress_console()
    if console.is_terminal or not only_to_a_terminal:
        console.print(line)


def open_to_train(prepared: PreparedExperiment, *, quiet: bool) -> Session:
    """The services for an experiment's runs.

    Raises NoWorkerError for a GPU job on the local stack, before anything is started for it.
    """
    on_gpu = [side for side, run in prepared.runs.items() if run.job.device == "cuda"]
    if on_gpu and Settings.from_environment().redis_url is None:
        raise NoWorkerError(
            f"device is cuda for {' and '.join(on_gpu)}, and the local stack trains on the CPU only; use "
            "device: auto, or set LIKEWISE_REDIS_URL to the Redis of workers on a GPU host"
        )
    return open_for(prepared.loaded.experiment.frameworks_needed, quiet=quiet)


def submit_prepared(
    session: Session, prepared: PreparedExperiment, *, queue_anyway: bool, key: str | None
) -> ExperimentRecord:
    """Put the experiment's runs on the queue."""
    return submit(
        prepared.loaded.experiment,
        prepared.runs,
        ledger=session.ledger,
        blobs=session.blobs,
        app=session.app,
        queue_anyway=queue_anyway,
        key=key,
    )


def follow_to_end(session: Session, record: ExperimentRecord, *, quiet: bool) -> None:
    """Show progress until every run is final."""
    from producer.live import board
    from producer.queue.follow import follow
    from producer.report.console import progress_console

    with board(record.experiment.labels, progress_console(), runs=len(record.run_ids), quiet=quiet) as shown:
        for update in follow(record, ledger=session.ledger, client=session.client):
            shown.apply(update)


def check_page_path(path: Path | None) -> None:
    """Refuse a page that could not be written, before anything is trained."""
    if path is None:
        return
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file, such as {path / 'report.html'}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path} cannot be written: there is no folder {path.absolute().parent}")


def seed_list(given: str) -> tuple[int, ...]:
    """The seeds that `--seeds` names: a count, or a list. Raises UsageError."""
    text = _seeds(given)
    listed = tuple(map(int, text.strip("[]").split(",")))
    found = listed if text.startswith("[") else tuple(range(listed[0]))
    if not found or len(set(found)) < len(found):
        raise UsageError(f"--seeds is {given!r}: give one seed or more, each once")
    return found


def _seeds(given: str) -> str:
    """`5` or `0,1,7` as the job file has them; `7,` is a list of one. Raises UsageError."""
    words = [word.strip() for word in given.removesuffix(",").split(",")]
    if not all(word.isascii() and word.isdigit() for word in words):
        raise UsageError(
            f"--seeds is {given!r}: give a count, such as 5, or a list, such as 0,1,7; 7, is seed 7 alone"
        )
    return words[0] if "," not in given else f"[{', '.join(words)}]"
