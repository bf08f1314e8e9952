"""The files of `deploy/`: a Redis that is published under TLS, workers elsewhere, arrays behind S3."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import NoReturn

import pytest

from .conftest import ROOT, Compose, Engine, project, wait_for_workers

pytestmark = pytest.mark.timeout(1300)  # the first test builds the images

PORT = 16380
LARGE = """
name: large
data: {type: synthetic, kind: linear, samples: 60000, features: 8}
model: {layers: [{type: dense, units: 1}]}
loss: mse
optimizer: {type: sgd, learning_rate: 0.01}
training: {epochs: 1, batch_size: 60000}
"""
MAKE_BUCKET = (
    "import boto3; boto3.client('s3', endpoint_url='http://localhost:5000').create_bucket(Bucket='arrays')"
)
LIST = """
import boto3
found = boto3.client('s3', endpoint_url='http://localhost:5000').list_objects_v2(Bucket='arrays')
print(max(one['Size'] for one in found['Contents']))
"""


@dataclass(frozen=True)
class Machine:
    """What this machine is to containers: its address, and a certificate of that address."""

    address: str
    folder: Path


@pytest.fixture(scope="module")
def machine(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory, unavailable: Callable[[str], NoReturn]
) -> Machine:
    if shutil.which("openssl") is None:
        unavailable("there is no openssl on PATH")
    (network,) = json.loads(engine("network", "inspect", "bridge").stdout)
    (addresses,) = network["IPAM"]["Config"]
    # an engine that was started for the first time does not tell it, and takes the first of its addresses
    address = addresses.get("Gateway") or str(next(ip_network(addresses["Subnet"]).hosts()))
    folder = tmp_path_factory.mktemp("tls")
    folder.chmod(0o755)  # it is mounted, for the image's user redis
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x"),
            *("-addext", f"subjectAltName=IP:{address}"),
            *("-keyout", folder / "key.pem", "-out", folder / "certificate.pem"),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    (folder / "key.pem").chmod(0o644)  # the image's user redis is not ours
    return Machine(address, folder)


@pytest.fixture(scope="module")
def here(engine: Engine, images: Mapping[str, str], machine: Machine) -> Iterator[Compose]:
    """A project whose Redis other machines reach; nothing of it runs but that."""
    assert images
    variables = {"REDIS_PUBLISH": f"{machine.address}:{PORT}", "REDIS_TLS_FOLDER": str(machine.folder)}
    with project(engine, "deploy/compose.publish-redis.yml", variables=variables) as made:
        made("up", "--detach", "redis")
        for user in ("producer", "worker"):
            (machine.folder / user).write_text(made.password(user))
        yield made


@pytest.fixture(scope="module")
def elsewhere(engine: Engine, here: Compose, machine: Machine) -> Iterator[tuple[Compose, str]]:
    """A project that stands for another machine, with one worker; and the container of its object store."""
    assert here
    (machine.folder / "aws").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
    variables = {
        "LIKEWISE_REDIS_URL": f"rediss://{machine.address}:{PORT}/0",
        "REDIS_WORKER_PASSWORD_FILE": str(machine.folder / "worker"),
        "REDIS_PRODUCER_PASSWORD_FILE": str(machine.folder / "producer"),
        "LIKEWISE_REDIS_CA_FILE": str(machine.folder / "certificate.pem"),
        "LIKEWISE_BLOB_URL": "s3://arrays/likewise",
        "LIKEWISE_BLOB_REDIS_LIMIT_MB": "1",
        "AWS_SHARED_CREDENTIALS_FILE": str(machine.folder / "aws"),
        "AWS_ENDPOINT_URL": "http://store:5000",
    }
    image = "likewise-test-store"
    packages = "PYTHON_PACKAGES=moto[s3] flask flask-cors"
    engine("build", "-f", ROOT / "Dockerfile.producer", "--build-arg", packages, "-t", image, ROOT)
    store = ""
    with project(
        engine, "deploy/compose.external-redis.yml", "deploy/compose.s3.yml", variables=variables
    ) as made:
        try:
            made("up", "--no-start", "worker-torch")
            store = engine(
                *("run", "--detach", "--network", f"{made.project}_inside", "--network-alias", "store"),
                *("--env", "AWS_ACCESS_KEY_ID=a", "--env", "AWS_SECRET_ACCESS_KEY=b"),
                *("--entrypoint", "python", image, "-m", "moto.server", "-H", "0.0.0.0", "-p", "5000"),
            ).stdout.strip()
            made("up", "--detach", "worker-torch")
            engine("exec", store, "python", "-c", MAKE_BUCKET)
            yield made, store
        finally:
            if store:
                engine("rm", "--force", store)


def test_another_machines_worker_trains_over_tls_with_arrays_behind_s3(
    here: Compose, elsewhere: tuple[Compose, str], engine: Engine, tmp_path: Path
) -> None:
    there, store = elsewhere
    (worker,) = wait_for_workers(here, 1)
    (container,) = there.containers("worker-torch")
    assert container.startswith(worker["worker_id"].split("-")[2])

    (tmp_path / "large.yaml").write_text(LARGE)
    sides = ("--sides", "one=torch,other=torch")
    document = json.loads(there.likewise("compare", "large.yaml", *sides, "--json", cwd=tmp_path).stdout)
    assert document["verdict"] == "agree"
    assert int(engine("exec", store, "python", "-c", LIST).stdout) > 2**20


def test_who_does_not_trust_the_certificate_is_told_how(elsewhere: tuple[Compose, str]) -> None:
    there, _ = elsewhere
    system = "LIKEWISE_REDIS_CA_FILE=/etc/ssl/certs/ca-certificates.crt"
    run = ("run", "--rm", "-T", "--no-deps", "--env", system, "producer", "workers")
    done = there(*run, check=False)
    assert done.returncode == 4
    assert "is not trusted here" in done.stderr
    assert "Traceback" not in done.stderr


def test_nothing_of_redis_is_reached_without_tls(here: Compose, machine: Machine) -> None:
    asked = ("redis-cli", "-h", machine.address, "-p", str(PORT), "ping")
    done = here("exec", "-T", "redis", *asked, check=False)
    assert "PONG" not in done.stdout
