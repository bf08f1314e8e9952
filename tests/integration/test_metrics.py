"""What Prometheus is told, by a real exporter and a real worker, as its own tools and its server read it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from likewise.shared.names import child_key, run_key
from tests.conftest import eventually, free_port

ROOT = Path(__file__).parents[2]
MONITORING = ROOT / "deploy" / "monitoring"


soon = partial(eventually, within_s=30)


def values(text: str) -> dict[tuple[str, ...], float]:
    """By name and the values of some labels."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            names = ("queue", "state", "why", "framework", "device")
            if sample.name == "likewise_worker_state":
                names = ("state", "framework")
            found[(sample.name, *(sample.labels[name] for name in names if name in sample.labels))] = (
                sample.value
            )
    return found


@pytest.fixture
def promtool(unavailable: Callable[[str], NoReturn]) -> Callable[..., str]:
    program = shutil.which("promtool")
    if program is None:
        unavailable("there is no promtool on PATH (Debian's package prometheus)")

    def run(*words: str, given: str = "") -> str:
        done = subprocess.run(
            [program, *words],
            cwd=MONITORING,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_the_alert_rules_fire_where_they_should_and_stay_silent_beside_it(
    promtool: Callable[..., str],
) -> None:
    assert "6 rules found" in promtool("check", "rules", "rules.yml")
    assert "SUCCESS" in promtool("test", "rules", "rules.test.yml")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def fetched(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


@pytest.fixture
def start_telling(start_worker: Any, tmp_path: Path) -> Callable[..., tuple[Any, str]]:
    """Starts a PyTorch worker that has prometheus-client, as one in an image; it, and where it tells."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "prometheus_client").symlink_to(Path(prometheus_client.__file__).parent)

    def start(url: str, **settings: str) -> tuple[Any, str]:
        listen = f"127.0.0.1:{free_port()}"
        path = f"{ROOT}:{tmp_path / 'library'}"
        given = {"LIKEWISE_METRICS_LISTEN": listen, "PYTHONPATH": path, **settings}
        return start_worker("torch", url, **given), listen

    return start


@pytest.fixture
def start_exporter() -> Iterator[Callable[[str], str]]:
    """Starts `likewise metrics` for a Redis; the address that it serves at."""
    started: list[subprocess.Popen[str]] = []

    def start(url: str) -> str:
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "likewise.producer", "metrics", "--port", str(port)],
            env={**os.environ, "LIKEWISE_REDIS_URL": url}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stderr is not None
        assert f"metrics are at http://127.0.0.1:{port}/metrics" in process.stderr.readline()
        return f"127.0.0.1:{port}"

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def prometheus(tmp_path: Path, unavailable: Callable[[str], NoReturn]) -> Iterator[Callable[..., Any]]:
    """Starts a real Prometheus that reads some addresses; asks it queries until they have an answer."""
    program = shutil.which("prometheus") or unavailable("there is no prometheus on PATH")
    started: list[subprocess.Popen[bytes]] = []

    def asking(*addresses: str) -> Callable[[str], float]:
        port = free_port()
        config = {
            "global": {"scrape_interval": "1s"},
            "rule_files": [str(MONITORING / "rules.yml")],
            "scrape_configs": [{"job_name": "likewise", "static_configs": [{"targets": addresses}]}],
        }
        (tmp_path / "prometheus.json").write_text(json.dumps(config))
        command = [
            program, f"--config.file={tmp_path}/prometheus.json", f"--storage.tsdb.path={tmp_path}/series",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ]  # fmt: skip
        started.append(subprocess.Popen(command))

        def ask(query: str) -> float:
            found: list[Any] = []

            def answered() -> bool:
                address = f"http://127.0.0.1:{port}/api/v1/query?query={urllib.parse.quote(query)}"
                with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
                    found[:] = json.load(answer)["data"]["result"]
                return bool(found)

            soon(answered, what=f"Prometheus has an answer to {query}")
            return float(found[0]["value"][1])

        return ask

    yield asking
    for process in started:
        process.kill()
        process.wait()


def test_metrics_tell_what_waits_what_trains_and_whose_worker_is_lost(
    start_telling: Any, start_redis: Any, desk_at: Any, start_exporter: Any
) -> None:
    own = start_redis()
    desk = desk_at(own.url)
    exporter = start_exporter(own.url_of("monitor"))
    record = desk.submit(queue_anyway=True, epochs=900_000)
    (run_id,) = record.run_ids
    desk.client.hset(run_key(run_id), "submitted_s", desk.ledger.now() - 1_000)
    queued = ("likewise_queue_runs", "train.torch.any")
    soon(lambda: values(fetched(exporter)).get(queued) == 1, what="the new queue is seen")
    waiting = values(fetched(exporter))
    assert 1_000 <= waiting["likewise_queue_oldest_seconds", "train.torch.any"] < 1_060
    assert waiting["likewise_load_runs", "torch", "cpu"] == 1
    assert waiting["likewise_load_runs", "torch", "cuda"] == 0
    assert waiting["likewise_load_runs", "tensorflow", "cpu"] == 0
    assert waiting["likewise_redis_up",] == 1

    worker, listen = start_telling(own.url, LIKEWISE_LOG_FORMAT="json")
    worker.wait_until("busy", desk.ledger)
    soon(
        lambda: values(fetched(listen)).get(("likewise_worker_progress_signs",), 0) > 0,
        what="it makes progress",
    )
    by_itself, training = values(fetched(listen)), values(fetched(exporter))
    assert by_itself["likewise_worker_own_state", "busy"] == 1
    assert by_itself["likewise_worker_own_state", "idle"] == 0
    assert by_itself["likewise_worker_own_trouble",] == 0
    assert training["likewise_training_runs", "train.torch.any"] == 1
    assert training["likewise_queue_runs", "train.torch.any"] == 0
    assert training["likewise_load_runs", "torch", "cpu"] == 1
    assert training["likewise_worker_state", "busy", "torch"] == 1
    assert training["likewise_leases_lapsed",] == 0

    child = int(desk.client.hget(child_key(worker.presence(desk.ledger).worker_id), "pid"))
    os.kill(child, signal.SIGKILL)
    soon(
        lambda: values(fetched(listen))["likewise_worker_runs_let_go_total", "died"] == 1,
        what="the death counts",
    )
    entries = [json.loads(line) for line in worker.log.read_text().splitlines() if line.startswith("{")]
    told = next(entry for entry in entries if "died while it trained" in entry["message"])
    assert (told["level"], told["run"]) == ("warning", run_id)
    assert told["worker"].startswith("torch-cpu-")

    # What the worker said of itself before its child died may still be there.
    soon(lambda: desk.run(record).attempt == 2, what="the run has begun again")
    worker.kill_group()
    soon(
        lambda: values(fetched(exporter))["likewise_leases_lapsed",] == 1,
        what="the lease has lapsed",
    )
    own.kill()
    assert values(fetched(exporter)) == {("likewise_redis_up",): 0}


def test_prometheus_reads_what_the_exporter_and_a_worker_serve(
    start_telling: Any, redis_server: Any, desk: Any, start_exporter: Any, prometheus: Any, promtool: Any
) -> None:
    worker, listen = start_telling(redis_server.url)
    worker.wait_until("idle", desk.ledger)
    exporter = start_exporter(redis_server.url_of("monitor"))
    for address in (listen, exporter):
        assert promtool("check", "metrics", given=fetched(address)) == ""
    ask = prometheus(listen, exporter)
    assert ask('likewise_worker_own_state{state="idle"}') == 1
    assert ask("likewise_redis_up") == 1
    assert ask("count(likewise_worker_state)") >= 1
    assert ask('sum(up{job="likewise"}) == 2') == 2


def test_a_place_to_listen_that_is_none_is_told(start_telling: Any, redis_server: Any) -> None:
    worker, _ = start_telling(redis_server.url, LIKEWISE_METRICS_LISTEN="here")
    assert worker.process.wait(timeout=90) == 2
    assert "LIKEWISE_METRICS_LISTEN is 'here'; it takes an address and a port" in worker.log.read_text()
