"""Every setting reaches the containers, and `.env.example` names each variable of the compose files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from likewise.shared.settings import GIVEN_IN_CONTAINERS, LOCAL_STACK, Settings, variable

ROOT = Path(__file__).parents[2]
FILES = [*ROOT.glob("docker-compose*.yml"), *ROOT.glob("deploy/compose.*.yml")]
OF_WORKERS = {
    *("device", "threads", "lease_s", "patience_s", "hang_s", "checkpoint_s", "host_id"),
    *("max_message_kb", "max_memory_gb", "dedicated", "requirements", "metrics_listen", "log_format"),
}
OF_ALL = set(Settings.model_fields) - OF_WORKERS - {*GIVEN_IN_CONTAINERS, *LOCAL_STACK}
OF_THE_SHELL = {"PWD"}
READ = re.compile(r"(?<!\$)\$\{(\w+)(?::?([-?])([^}]*))?")


def services(file: Path) -> dict[str, dict[str, Any]]:
    loader = type("Loader", (yaml.SafeLoader,), {})
    for tag in ("!reset", "!override"):
        loader.add_constructor(tag, lambda *_: None)
    return dict(yaml.load(file.read_text(), Loader=loader)["services"])


def read_by(file: Path) -> dict[str, set[str]]:
    """By variable that a compose file reads, what stands for it where it is unset."""
    found: dict[str, set[str]] = {}
    lines = [line for line in file.read_text().splitlines() if not line.lstrip().startswith("#")]
    for name, sign, default in READ.findall("\n".join(lines)):
        found.setdefault(name, set()).add("" if sign == "?" else default)
    for service in services(file).values():
        for name, value in ((service or {}).get("environment") or {}).items():
            if value is None:
                found.setdefault(name, set())
    return found


@pytest.mark.parametrize(
    ("service", "wanted"),
    [("producer", OF_ALL), ("worker-tf", OF_ALL | OF_WORKERS), ("worker-torch", OF_ALL | OF_WORKERS)],
)
def test_a_container_is_given_each_setting_that_it_reads(service: str, wanted: set[str]) -> None:
    given = services(ROOT / "docker-compose.yml")[service]["environment"]
    for name in wanted:
        value = given[variable(name)]
        assert value is None or value.startswith(f"${{{variable(name)}"), f"{variable(name)} is hard-wired"


def test_the_example_of_env_names_what_the_compose_files_read_with_its_default() -> None:
    lines = re.findall(r"^#(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    example = dict(lines)
    assert len(example) == len(lines), "a variable is named twice"
    read: dict[str, set[str]] = {}
    for file in FILES:
        for name, defaults in read_by(file).items():
            read.setdefault(name, set()).update(defaults)
    assert set(example) == set(read) - OF_THE_SHELL
    main = read_by(ROOT / "docker-compose.yml")
    for name, default in example.items():
        assert main.get(name, set()) <= {default}, f"{name} has another default in docker-compose.yml"


def test_the_reference_names_what_the_example_names() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    example = re.findall(r"^#(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert [name for name in example if f"| `{name}` |" not in page] == []
