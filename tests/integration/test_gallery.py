"""The gallery's pages say what the program says of its jobs: verdict, reason and blame, trained anew.

In CI a third of them are trained, all where LIKEWISE_GALLERY is `all`, as `make gallery` has it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from likewise.producer.cli.app import app
from likewise.producer.job.examples import gallery_names

PAGES = Path(__file__).parents[2] / "docs" / "gallery"
EACH = 1 if os.environ.get("LIKEWISE_GALLERY") == "all" else 3
TRAINED = gallery_names()[::EACH]


@pytest.fixture(scope="module")
def likewise(redis_server: Any, session_worker: Any) -> Any:
    """What a command says of an example, in JSON."""
    for framework in ("tensorflow", "torch"):
        session_worker(framework)

    def run(command: str, name: str) -> dict[str, Any]:
        done = CliRunner().invoke(
            app, [command, name, "--json"], env={"LIKEWISE_REDIS_URL": redis_server.url}
        )
        assert done.exit_code == 0, done.output
        said: dict[str, Any] = json.loads(done.stdout)
        return said

    return run


def plain(name: str) -> str:
    """A page as the program wrote what is on it."""
    return (PAGES / f"{name}.md").read_text(encoding="utf-8").replace("\\_", "_").replace("\\*", "*")


@pytest.mark.parametrize("name", gallery_names())
def test_a_report_has_a_page_in_the_list(name: str) -> None:
    assert f"`likewise compare {name}` says **" in plain(name)
    assert f"]({name}.md)" in plain("README")


@pytest.mark.parametrize("name", TRAINED)
def test_a_page_has_the_verdict_and_the_blame_of_today(name: str, likewise: Any) -> None:
    compared, explained = likewise("compare", name), likewise("explain", name)
    page = plain(name)

    assert f"says **{compared['verdict']}**" in page
    assert compared["reasons"][0] in page
    assert explained["sentence"] in page
    fixes = [text for each in explained["contributions"] for text in each["fixes"].values()]
    assert [text for text in fixes if text not in page] == []
