"""What a file `.env` says reaches the containers, and large arrays lie in a volume of their own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from likewise.shared.settings import Settings, variable

from .conftest import Compose, Engine, project, wait_for_workers

pytestmark = pytest.mark.timeout(1300)  # the first test builds the images

OF_ALL = {
    "redis_url": "redis://redis:6379/3",
    "allow_volatile_redis": "true",
    "blob_url": "file:///var/lib/likewise/elsewhere",
    "blob_redis_limit_mb": "1",
    "retention_days": "7.5",
}
OF_WORKERS = {
    "device": "cpu",
    "threads": "1",
    "lease_s": "12",
    "checkpoint_s": "17.5",
    "host_id": "rack-7",
}
LIMITS = {"LIKEWISE_WORKER_CPUS": "1.5", "LIKEWISE_WORKER_MEMORY": "3g", "REDIS_MAXMEMORY": "300mb"}

READ = """
import json, pathlib
from likewise.shared.settings import Settings
words = pathlib.Path("/proc/1/environ").read_text().split("\\0")
environ = dict(word.split("=", 1) for word in words if "=" in word)
print(Settings.from_environment(environ).model_dump_json())
"""
LARGE = """
name: large
data: {type: synthetic, kind: linear, samples: 60000, features: 8}
model: {layers: [{type: dense, units: 1}]}
loss: mse
optimizer: {type: sgd, learning_rate: 0.01}
training: {epochs: 1, batch_size: 60000}
"""


@pytest.fixture(scope="module")
def compose(engine: Engine, images: Mapping[str, str]) -> Iterator[Compose]:
    assert images
    variables = {variable(name): value for name, value in {**OF_ALL, **OF_WORKERS}.items()} | LIMITS
    with project(engine, variables=variables) as made:
        made("up", "--detach", "worker-tf", "worker-torch")
        yield made


def what_stands_in(document: str, names: Mapping[str, str]) -> dict[str, Any]:
    return {name: json.loads(document)[name] for name in names}


@pytest.mark.parametrize("service", ["worker-tf", "worker-torch", "producer"])
def test_what_env_says_stands_in_a_running_container(compose: Compose, service: str) -> None:
    names = OF_ALL if service == "producer" else {**OF_ALL, **OF_WORKERS}
    wanted = Settings.from_environment({variable(name): value for name, value in names.items()})
    if service == "producer":
        read = compose.python(READ).stdout
    else:
        read = compose("exec", "-T", service, "python", "-c", READ).stdout
    assert what_stands_in(read, names) == what_stands_in(wanted.model_dump_json(), names)


def test_workers_are_held_to_their_cores_and_memory_without_swap(compose: Compose, engine: Engine) -> None:
    (worker,) = compose.containers("worker-torch")
    host = engine.inspect(worker)["HostConfig"]
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"]) == (1.5e9, 3 * 2**30, 3 * 2**30)
    assert (host["Init"], host["LogConfig"]["Config"]["max-size"]) == (True, "10m")


def test_large_arrays_pass_through_the_volume_whoever_owns_the_job_file(
    compose: Compose, tmp_path: Path
) -> None:
    wait_for_workers(compose, 2)
    (tmp_path / "large.yaml").write_text(LARGE)
    if os.getuid() == 0:
        os.chown(tmp_path, 12345, 12345)
    document = json.loads(compose.likewise("compare", "large.yaml", "--json", cwd=tmp_path).stdout)
    assert document["verdict"] == "agree"
    look = ("find", "/var/lib/likewise/elsewhere", "-printf", "%y %m %g %s\n")
    found = [line.split() for line in compose("exec", "-T", "worker-torch", *look).stdout.splitlines()]
    assert {(mode, group) for kind, mode, group, _ in found if kind == "d"} == {("2775", "likewise")}
    assert max(int(size) for kind, _, _, size in found if kind == "f") > 2**20
