"""Runs the command line in this process, against a real Redis and real workers."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

HERE = Path(__file__).parent
Likewise = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def likewise(
    redis_server: Any, session_worker: Any, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., dict[str, Any]]:
    """What a command says with --json of a job file's document."""
    from likewise.producer.cli.app import app

    for framework in ("tensorflow", "torch"):
        session_worker(framework)
    path = tmp_path_factory.mktemp("planted") / "job.json"
    environment = {"LIKEWISE_REDIS_URL": redis_server.url}

    def run(command: str, document: dict[str, Any], *options: str) -> dict[str, Any]:
        path.write_text(json.dumps(document))
        done = CliRunner().invoke(app, [command, str(path), "--json", *options], env=environment)
        assert done.exit_code == 0, f"{document}\n{done.output}\n{done.exception!r}"
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    return run


def module(name: str) -> ModuleType:
    """A module beside this file."""
    spec = importlib.util.spec_from_file_location(f"planted_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of a `fault` is run for each."""
    if "fault" in metafunc.fixturenames:
        metafunc.parametrize("fault", module("faults").faults(), ids=lambda fault: fault.name)
