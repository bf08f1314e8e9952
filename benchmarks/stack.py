"""What the benchmarks of the service stand on: workers and a producer, on a Redis of their own."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NoReturn

import celery
from processes import clean, process, until

from likewise.producer.job.jobfile import read_experiment
from likewise.producer.job.prepare import prepare_experiment
from likewise.producer.runs.follow import follow
from likewise.producer.runs.results import collect
from likewise.producer.runs.submit import submit
from likewise.shared.celery_app import make_app
from likewise.shared.connection import connect
from likewise.shared.job import Experiment
from likewise.shared.ledger.ledger import Ledger
from likewise.shared.ledger.records import ExperimentRecord
from likewise.shared.results.run_result import RunResult, Timings
from likewise.shared.results.seed_table import SeedTable
from likewise.shared.store.arrays import ArrayRef
from likewise.shared.store.blobs import BlobStore

HERE = Path(__file__).resolve().parent
RETENTION_S = 3600


class Prepared:
    """A job of the shipped examples with changes, read and ready to be submitted."""

    def __init__(self, *changes: str, example: str = "matched") -> None:
        prepared = prepare_experiment(read_experiment(example, list(changes)))
        self.experiment: Experiment = prepared.loaded.experiment
        self.runs = prepared.runs


class Desk:
    """A producer's connections to the private Redis."""

    def __init__(self, url: str, *, programs: Path | None = None, arrays: Path | None = None) -> None:
        self.url = url
        self.arrays = arrays
        """The folder of arrays that Redis does not take; None where there is none."""
        self.programs = programs
        """The folder of the programs that its workers run; None where they run none."""
        self.client = connect(url)
        self.ledger = Ledger(self.client, retention_s=RETENTION_S)
        self.app = make_app(url, retention_s=RETENTION_S)
        self.blobs = BlobStore(self.client, url=None, redis_limit_bytes=2**20, retention_s=RETENTION_S)

    def submit(self, job: Prepared) -> ExperimentRecord:
        """Put its runs on the queue."""
        return submit(self, job.experiment, job.runs)

    def result(self, record: ExperimentRecord) -> RunResult:
        """Follow the only run to its end and collect it. Raises ValueError for one that failed."""
        for _ in follow(record, ledger=self.ledger, client=self.client):
            pass
        (result,) = collect(record, ledger=self.ledger)
        if result.failure is not None:
            raise ValueError(result.failure.message)
        return result

    def environment(self) -> dict[str, str]:
        """Return the environment of a command that is to use this Redis."""
        settings = {"LIKEWISE_REDIS_URL": self.url, "PYTHONPATH": str(HERE.parent)}
        if self.programs is not None:
            settings["LIKEWISE_PROGRAMS"] = str(self.programs)
        if self.arrays is not None:
            settings["LIKEWISE_BLOB_URL"] = self.arrays.as_uri()
        return clean() | settings


def _nothing(ref: ArrayRef) -> NoReturn:
    raise ValueError(f"the timings of one seed travel with its result, and not as {ref}")


def timings_of(result: RunResult) -> Timings:
    """The timings of a run's only seed. Raises ValueError where it has none."""
    timings = SeedTable.of(result, result.arrays[0].seeds, arrays=_nothing).timings_of(0)
    if timings is None:
        raise ValueError("a run without timings")
    return timings


@contextmanager
def worker(framework: str, python: str, desk: Desk) -> Iterator[None]:
    """One more warm worker of ours."""
    before = len(desk.ledger.workers())
    settings = desk.environment() | {"LIKEWISE_FRAMEWORK": framework}
    with process([python, "-m", "likewise.worker"], settings):
        until(lambda: sum(one.state == "idle" for one in desk.ledger.workers()) > before)
        yield


@contextmanager
def warm_workers(pythons: dict[str, str], desk: Desk) -> Iterator[None]:
    """A warm worker for each framework."""
    with ExitStack() as stack:
        for framework, python in pythons.items():
            stack.enter_context(worker(framework, python, desk))
        yield


def plain_app(url: str) -> celery.Celery:
    """Celery as it comes, on the same Redis."""
    return celery.Celery("plain", broker=url, backend=url)


def in_turns(*sides: Callable[[], float], repeats: int) -> list[float]:
    """The medians of several, measured one right after the other, the first turn to warm up."""
    turns = [[side() for side in sides] for _ in range(repeats + 1)][1:]
    return [statistics.median(values) for values in zip(*turns, strict=True)]


def seconds(action: Callable[[], Any]) -> float:
    """How long the action takes."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def document(
    name: str,
    *,
    rows: dict[str, float | str],
    ratio: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    bound: str = "",
) -> dict[str, Any]:
    """What `docs/make_benchmarks.py` reads: rows of numbers (in seconds where their name ends with `_s`), the
    ratio and its target, and what bounds it."""
    return {
        "benchmark": name,
        "rows": {key: float(f"{one:.4g}") if isinstance(one, float) else one for key, one in rows.items()},
        "ratio": None if ratio is None else float(f"{ratio:.3g}"),
        "at_least": at_least,
        "at_most": at_most,
        "bound": bound,
    }
