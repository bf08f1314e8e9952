"""What is in each image, and what is not."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping

import pytest

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


def test_a_secret_planted_in_an_image_is_found(engine: Engine, images: Mapping[str, str]) -> None:
    container = engine("create", images["producer"]).stdout.strip()
    tag = "likewise-test-planted"
    try:
        engine("commit", "--change", "ENV REDIS_PASSWORD=hunter2", container, tag)
        assert secrets_in(engine, tag)
    finally:
        engine("rm", container)
        engine("image", "rm", tag, check=False)
