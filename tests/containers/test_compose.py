"""The stack of docker-compose.yml: one command is enough, replicas share the work, a death costs no run.

The first command starts the project from nothing; every test after it uses what is running then.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from .conftest import ROOT, Compose, Engine, poll, workers

pytestmark = pytest.mark.timeout(1300)  # the first test builds the images

FIXED_START = "initial_weights={type: values, weights: {layers.0.kernel: [[0.37]], layers.0.bias: [0.0]}}"
LONG = """
name: long
frameworks: [torch]
data: {type: inline, x: [-1, 0, 1, 2, 3, 4], y: [-3, -1, 1, 3, 5, 7]}
model: {layers: [{type: dense, units: 1}]}
loss: mse
optimizer: {type: sgd, learning_rate: 0.001}
training: {epochs: 100000}
execution: eager
"""
"""Tens of seconds for a worker, however fast it could be."""


def run_of(document: dict[str, Any], framework: str) -> dict[str, Any]:
    """The only seed's result of a framework in the document of `compare --json`."""
    (seed,) = document["runs"][framework]
    return dict(seed)


@pytest.fixture(scope="module")
def first(compose: Compose) -> dict[str, Any]:
    """What the README's command prints on a machine where nothing runs yet."""
    done = compose("run", "--rm", "-T", "producer", "compare", "article", "--json")
    return dict(json.loads(done.stdout))


@pytest.fixture
def started(compose: Compose, first: dict[str, Any]) -> Compose:
    """The project that the first command left running."""
    assert first
    return compose


def test_one_command_from_nothing_trains_the_article_and_names_the_cause(first: dict[str, Any]) -> None:
    assert first["verdict"] == "differ"
    assert first["setting_differences"] == [{"path": "loss.reduction", "tensorflow": "mean", "torch": "sum"}]
    (keras,), (torch,) = (run_of(first, name)["predictions"][0] for name in ("tensorflow", "torch"))
    assert 1e-3 < abs(keras - 19) < 0.1
    assert abs(torch - 19) < 1e-5


def test_from_the_articles_start_its_numbers_come_out_to_the_last_bit(started: Compose) -> None:
    document = json.loads(started.likewise("compare", "article", "--json", "--set", FIXED_START).stdout)
    assert run_of(document, "tensorflow")["predictions"] == [[18.982839584350586]]
    assert run_of(document, "torch")["predictions"] == [[18.999998092651367]]


def test_the_same_job_like_for_like_agrees(started: Compose) -> None:
    document = json.loads(started.likewise("compare", "matched", "--json", "--check").stdout)
    assert document["verdict"] == "agree"
    first, second = (run_of(document, name) for name in ("tensorflow", "torch"))
    assert first["predictions"] == second["predictions"]
    assert first["hashes"] == second["hashes"]
    assert first["environment"]["image"] == "likewise-worker-tf:cpu"
    assert second["environment"]["image"] == "likewise-worker-torch:cpu"


def test_a_job_file_finds_its_data_and_leaves_its_report_as_the_owner_of_the_folder(
    started: Compose, tmp_path: Path
) -> None:
    rows = "\n".join(f"{x},{2 * x - 1}" for x in range(-4, 5))
    (tmp_path / "points.csv").write_text(f"x,y\n{rows}\n")
    (tmp_path / "line.yaml").write_text(
        "name: line\ndata: {type: csv, path: points.csv, target: y}\n"
        "model: {layers: [{type: dense, units: 1}]}\nloss: mse\n"
        "optimizer: {type: sgd, learning_rate: 0.01}\ntraining: {epochs: 20}\n"
    )
    owner = 12345 if os.getuid() == 0 else os.getuid()
    if os.getuid() == 0:
        os.chown(tmp_path, owner, owner)
    started.likewise("compare", "line.yaml", "--report", "page.html", "--json", cwd=tmp_path)
    page = tmp_path / "page.html"
    assert "line" in page.read_text()
    assert page.stat().st_uid == owner


def test_a_file_outside_the_mounted_folder_is_told_as_that(started: Compose, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "outside.yaml").write_text(LONG)
    (inside / "job.yaml").write_text(LONG)
    for spec, told in [
        ("../outside.yaml", f"sees nothing of the machine but {inside}, as /jobs"),
        (str(tmp_path / "outside.yaml"), f"sees nothing of the machine but {inside}, as /jobs"),
        (str(inside / "job.yaml"), f"{inside} is /jobs: name the file job.yaml"),
    ]:
        done = started.likewise("validate", spec, check=False, cwd=inside)
        assert done.returncode == 2
        assert told in done.stderr


def test_a_command_whose_container_is_stopped_ends_as_by_ctrl_c(started: Compose, engine: Engine) -> None:
    words = ("compare", "matched", "--set", "training.epochs=1000000", "--set", "execution=eager")
    run = ("run", "--detach", "-T", "--no-deps", "producer", *words)
    container = started(*run).stdout.split()[-1]

    def busy() -> bool | None:
        return any(worker["state"] == "busy" for worker in workers(started)) or None

    poll("a worker is busy", busy, within_s=30)
    engine("stop", "--time", "20", container)
    assert engine.inspect(container)["State"]["ExitCode"] == 130
    assert engine("logs", container).stderr.splitlines()[-1].endswith("are cancelled")
    engine("rm", container)


def test_explain_puts_the_articles_whole_gap_down_to_its_reduction(started: Compose) -> None:
    document = json.loads(started.likewise("explain", "article", "--json").stdout)
    (found,) = document["contributions"]
    assert found["path"] == "loss.reduction"
    assert found["share"] == pytest.approx(1, abs=0.01)


def test_a_gpu_job_without_a_gpu_worker_is_refused_with_the_workers_there_are(started: Compose) -> None:
    done = started.likewise("compare", "matched", "--set", "device=cuda", check=False)
    assert done.returncode == 4
    assert "cuda" in done.stderr
    assert "cpu" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_is_published_and_every_container_is_confined(started: Compose, engine: Engine) -> None:
    passwords = [started.password(user) for user in ("producer", "worker", "monitor")]
    assert {len(password) for password in passwords} == {64}
    assert len(set(passwords)) == 3
    containers = started("ps", "-aq").stdout.split()
    assert len(containers) == 4
    for container in containers:
        document = engine.inspect(container)
        host = document["HostConfig"]
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert (host["CapAdd"] or []) in ([], ["CAP_CHOWN", "CAP_DAC_OVERRIDE"], ["CHOWN", "DAC_OVERRIDE"])
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert not host["PortBindings"]
        assert host["PidsLimit"]
        assert not any(password in json.dumps(document) for password in passwords)
    assert engine.inspect(f"{started.project}_inside")["Internal"] is True
    said = started("logs").stdout
    assert not any(password in said for password in passwords)


def test_a_container_has_the_password_of_its_own_user_alone_for_its_own_eyes(started: Compose) -> None:
    seen = started(
        "exec", "-T", "worker-torch", "sh", "-c", "cat /run/likewise/*; stat -c %a /run/likewise/*"
    )
    assert seen.stdout.split() == [started.password("worker"), "600"]
    modes = started("exec", "-T", "redis", "sh", "-c", "stat -c '%n %a' /run/likewise/*").stdout.split()
    assert modes == ["/run/likewise/health", "600", "/run/likewise/redis.conf", "600"]


def test_new_passwords_are_drawn_on_request_and_nothing_is_lost(started: Compose) -> None:
    before = json.loads(started.likewise("compare", "matched", "--json").stdout)
    old = started.password("worker")
    started("run", "--rm", "-T", "--env", "ROTATE=1", "password")
    assert started.password("worker") != old
    started("up", "--detach", "--wait", "--force-recreate", "redis", "worker-tf", "worker-torch")
    shown = json.loads(started.likewise("show", before["experiment_id"], "--json").stdout)
    assert shown["runs"] == before["runs"]


def test_redis_refuses_who_has_no_password(started: Compose) -> None:
    answer = started("exec", "-T", "redis", "redis-cli", "keys", "*")
    assert "NOAUTH" in answer.stdout + answer.stderr


def test_an_experiment_outlives_a_restart_of_redis_and_of_the_workers(started: Compose) -> None:
    before = json.loads(started.likewise("compare", "matched", "--json").stdout)
    started("restart", "redis", "worker-tf", "worker-torch")
    started("up", "--detach", "--wait", "redis", "worker-tf", "worker-torch")
    shown = json.loads(started.likewise("show", before["experiment_id"], "--json").stdout)
    assert shown["runs"] == before["runs"]
    assert shown["verdict"] == "agree"


@pytest.mark.timeout(400)
def test_three_torch_workers_share_the_runs_and_a_killed_containers_run_is_taken_over(
    started: Compose, engine: Engine, tmp_path: Path
) -> None:
    started("up", "--detach", "--wait", "--scale", "worker-torch=3", "worker-torch")
    assert sorted(worker["framework"] for worker in workers(started)) == ["tensorflow", *["torch"] * 3]
    (tmp_path / "long.yaml").write_text(LONG)
    ids = [
        json.loads(started.likewise("submit", "long.yaml", "--json", cwd=tmp_path).stdout)["experiment_id"]
        for _ in range(3)
    ]

    def three_busy() -> list[dict[str, Any]] | None:
        busy = [worker for worker in workers(started) if worker["state"] == "busy"]
        return busy if len(busy) == 3 else None

    victim, *_ = poll("three workers are busy", three_busy, within_s=30)
    _, _, container, _ = victim["worker_id"].split("-")
    engine("kill", container)
    assert container not in [one[:12] for one in started.containers("worker-torch")]

    for experiment in ids:
        started.likewise("watch", experiment, check=False)
    summaries = [
        json.loads(started.likewise("show", experiment, "--json", check=False).stdout)["summary"]["torch"]
        for experiment in ids
    ]
    assert [summary["failure"] for summary in summaries] == [None] * 3
    assert sorted(summary["attempt"] for summary in summaries) == [1, 1, 2]
    assert victim["worker_id"] not in [summary["worker"] for summary in summaries]


def test_bench_times_each_run_alone_on_the_host_that_the_containers_share(started: Compose) -> None:
    seen = json.loads(started.python((ROOT / "tests/containers/watch_host.py").read_text()).stdout)
    assert seen["timed"] > 0
    assert seen["waited"] > 0, "nothing wanted to train beside a timed run, so nothing was shown"
    assert seen["beside"] == 0
    bench = seen["bench"]
    assert {place["framework"] for place in bench["ranking"]} == {"tensorflow", "torch"}
    assert len({one["host"] for one in bench["environments"].values()}) == 1, "two names of one machine"
    (told,) = [line for line in bench["warnings"] if line.startswith("torch compiled")]
    assert told.startswith("torch compiled cannot be timed: execution: compiled needs a C++ compiler")
    assert "TORCH_PACKAGES=g++" in told


def test_gpu_workers_join_a_redis_that_runs_elsewhere(engine: Engine) -> None:
    names = (
        "docker-compose.gpu.yml",
        "deploy/compose.external-redis.yml",
        "deploy/compose.gpu-external-redis.yml",
    )
    variables = {
        "LIKEWISE_REDIS_URL": "rediss://redis.example:6379/0",
        "REDIS_WORKER_PASSWORD_FILE": "/dev/null",
        "REDIS_PRODUCER_PASSWORD_FILE": "/dev/null",
    }
    joined = Compose(engine, "likewise-test-gpu", ("docker-compose.yml", *names), variables)
    services = json.loads(joined("config", "--format", "json").stdout)["services"]
    assert "redis" not in services
    for name in ("worker-tf-gpu", "worker-torch-gpu"):
        assert services[name]["environment"]["LIKEWISE_REDIS_URL"] == variables["LIKEWISE_REDIS_URL"]
        assert services[name]["environment"]["LIKEWISE_DEVICE"] == "cuda"
        assert not services[name].get("depends_on")


def test_the_gpu_file_adds_workers_of_the_gpu_variant_and_keeps_the_others(engine: Engine) -> None:
    gpu = Compose(engine, "likewise-test-gpu", ("docker-compose.yml", "docker-compose.gpu.yml"))
    services = json.loads(gpu("--profile", "*", "config", "--format", "json").stdout)["services"]
    for name in ("worker-tf", "worker-torch"):
        assert services[name]["image"].endswith(":cpu")
        assert "deploy" not in services[name]
        assert services["producer"]["depends_on"][f"{name}-gpu"]["condition"] == "service_healthy"
        service = services[f"{name}-gpu"]
        assert service["build"]["args"]["VARIANT"] == "gpu"
        assert service["image"].endswith(":gpu")
        assert service["environment"]["LIKEWISE_DEVICE"] == "cuda"
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", -1, ["gpu"])
        assert service["cap_drop"] == ["ALL"]
