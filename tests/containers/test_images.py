"""What is in each image, and what is not."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from collections.abc import Mapping

import pytest

from likewise.shared.worker_code import worker_code

from .conftest import ROOT, Engine

pytestmark = pytest.mark.timeout(1300)  # the first test builds the images

IMPORTS = {"worker-tf": "keras", "worker-torch": "torch"}
FRAMEWORKS = ("tensorflow", "keras", "torch")
SECRET = re.compile(r"(?i)(password|passwd|secret|token|api_?key|credential)s?\s*[=:]\s*\S")


def secrets_in(engine: Engine, image: str) -> list[str]:
    """Lines of an image's history and environment that look like a secret."""
    history = engine("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout.splitlines()
    return [line for line in [*history, *engine.inspect(image)["Config"]["Env"]] if SECRET.search(line)]


@pytest.mark.parametrize("service", IMPORTS)
def test_a_worker_image_holds_its_own_framework_alone(
    engine: Engine, images: Mapping[str, str], service: str
) -> None:
    code = f"import importlib.util as u; print([n for n in {FRAMEWORKS} if u.find_spec(n)])"
    found = engine.python(images[service], code).stdout.strip()
    assert found == str([name for name in FRAMEWORKS if (name == "torch") == (service == "worker-torch")])


@pytest.mark.parametrize("service", IMPORTS)
def test_a_worker_image_imports_its_framework_on_a_read_only_disk_as_nobody_special(
    engine: Engine, images: Mapping[str, str], service: str
) -> None:
    code = f"import os, {IMPORTS[service]} as f; print(os.getuid(), f.__version__)"
    done = engine.python(images[service], code, "--read-only", "--tmpfs", "/tmp", "--network", "none")
    uid, version = done.stdout.split("+")[0].split()  # torch says 2.13.0+cpu
    assert int(uid) >= 1000, "a worker must not be root"
    assert f"=={version}" in "".join(
        path.read_text() for path in (ROOT / "worker/adapters").glob("*/requirements-cpu.txt")
    )


def test_the_producer_image_holds_no_framework_and_no_worker(
    engine: Engine, images: Mapping[str, str]
) -> None:
    code = f"import importlib.util as u; print([n for n in {(*FRAMEWORKS, 'worker')} if u.find_spec(n)])"
    assert engine.python(images["producer"], code).stdout.strip() == "[]"
    help_text = engine("run", "--rm", "--read-only", "--network", "none", images["producer"], "--help").stdout
    assert "compare" in help_text


@pytest.mark.parametrize("service", ["worker-tf", "worker-torch", "producer"])
def test_an_image_holds_the_code_of_this_checkout_and_no_other_adapter(
    engine: Engine, images: Mapping[str, str], service: str
) -> None:
    listed = engine(
        "run", "--rm", "--entrypoint", "find", images[service], "/app", "-name", "*.py", "-printf", "%P\n"
    )
    held = set(listed.stdout.splitlines())
    sources = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=60,
    ).stdout.splitlines()  # fmt: skip
    own = {"worker-tf": "tensorflow", "worker-torch": "torch"}.get(service)
    package = "worker" if own else "producer"
    wanted = {"likewise/__init__.py"} | {
        f"likewise/{name}" for name in sources
        if name.startswith(("shared/", f"{package}/")) and (ROOT / name).is_file()
        and ("_adapter/" not in name or f"/{own}_adapter/" in name)
    }  # fmt: skip
    assert held == wanted


@pytest.mark.parametrize(("service", "framework"), [("worker-tf", "tensorflow"), ("worker-torch", "torch")])
def test_a_worker_and_the_producer_of_one_checkout_know_each_other_by_their_code(
    engine: Engine, images: Mapping[str, str], service: str, framework: str
) -> None:
    code = f"from likewise.shared.worker_code import worker_code; print(worker_code({framework!r}))"
    told = {engine.python(images[one], code).stdout.strip() for one in (service, "producer")}
    assert told == {worker_code(framework)}


@pytest.mark.parametrize("service", ["worker-tf", "worker-torch", "producer"])
def test_an_image_runs_as_a_plain_user_and_carries_no_secret_and_no_cache(
    engine: Engine, images: Mapping[str, str], service: str
) -> None:
    assert engine.inspect(images[service])["Config"]["User"] not in ("", "0", "root")
    assert secrets_in(engine, images[service]) == []
    code = """
import json, pathlib
caches = [p for p in ("/root/.cache", "/tmp/.cache", "/app/build") if pathlib.Path(p).exists()]
writable = [str(p) for p in pathlib.Path("/app").rglob("*") if p.stat().st_uid or p.stat().st_mode & 0o022]
print(json.dumps([caches, writable]))
"""
    done = engine.python(images[service], code, "--user", "root")
    assert json.loads(done.stdout) == [[], []]


MEGABYTES = {"worker-tf": 1280, "worker-torch": 830, "producer": 330}
"""The most of each image beside its base: most is the framework, NumPy, and of the producer pyarrow."""


@pytest.mark.parametrize("service", MEGABYTES)
def test_an_image_is_no_larger_than_its_packages_need(
    engine: Engine, images: Mapping[str, str], service: str
) -> None:
    base = engine.inspect(images[service])["Config"]["Labels"]["org.opencontainers.image.base.name"]
    own_bytes = engine.inspect(images[service])["Size"] - engine.inspect(base)["Size"]
    assert own_bytes / 1e6 < MEGABYTES[service]


NOT_FOR_RUNNING = """
import importlib.util, json, os, pathlib, shutil, stat
found = [name for name in ("pip", "pip3") if shutil.which(name)]
found += [name for name in ("pip", "ensurepip") if importlib.util.find_spec(name)]
packages = pathlib.Path("/opt/likewise").glob("lib/python3*/site-packages/**/tests")
found += [str(path) for path in packages if path.is_dir()]
for folder, _, names in os.walk("/"):
    if folder.startswith(("/proc", "/sys", "/dev")):
        continue
    for path in (os.path.join(folder, name) for name in names):
        mode = os.lstat(path).st_mode
        if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
            found.append(path)
print(json.dumps(found))
"""


@pytest.mark.parametrize("service", MEGABYTES)
def test_an_image_holds_no_installer_no_tests_and_nothing_setuid(
    engine: Engine, images: Mapping[str, str], service: str
) -> None:
    done = engine.python(images[service], NOT_FOR_RUNNING, "--user", "root")
    assert json.loads(done.stdout) == []


def test_what_is_not_for_running_is_found_in_a_base_image(engine: Engine, images: Mapping[str, str]) -> None:
    base = engine.inspect(images["producer"])["Config"]["Labels"]["org.opencontainers.image.base.name"]
    found = json.loads(engine.python(base, NOT_FOR_RUNNING).stdout)
    assert "pip" in found
    assert any(path.startswith("/") for path in found)


@pytest.mark.parametrize("service", MEGABYTES)
def test_an_image_says_what_it_is(engine: Engine, images: Mapping[str, str], service: str) -> None:
    labels = engine.inspect(images[service])["Config"]["Labels"]
    own = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"title", "description", "revision", "base.name"} <= set(own)
    assert (own["version"], own["licenses"]) == (project["version"], project["license"])


@pytest.mark.parametrize("service", MEGABYTES)
def test_an_image_reaches_object_stores_with_the_versions_that_are_pinned(
    engine: Engine, images: Mapping[str, str], service: str
) -> None:
    code = """
import importlib.metadata, json, fsspec
assert fsspec.get_filesystem_class("s3").__module__.startswith("s3fs")
print(json.dumps({found.name.lower(): found.version for found in importlib.metadata.distributions()}))
"""
    installed = json.loads(engine.python(images[service], code).stdout)
    lists = "".join((ROOT / "worker" / name).read_text() for name in ("constraints.txt", "stores.txt"))
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", lists.lower(), re.MULTILINE))
    assert {name: pinned[name] for name in installed if name in pinned} == {
        name: version for name, version in installed.items() if name in pinned
    }
    unpinned = set(installed) - set(pinned)
    assert unpinned <= {
        "likewise",
        "tensorflow_cpu",
        "keras",
        "torch",
        "setuptools",
        "wheel",
        "async-timeout",
    }


def test_a_secret_planted_in_an_image_is_found(engine: Engine, images: Mapping[str, str]) -> None:
    container = engine("create", images["producer"]).stdout.strip()
    tag = "likewise-test-planted"
    try:
        engine("commit", "--change", "ENV REDIS_PASSWORD=hunter2", container, tag)
        assert secrets_in(engine, tag)
    finally:
        engine("rm", container)
        engine("image", "rm", tag, check=False)
