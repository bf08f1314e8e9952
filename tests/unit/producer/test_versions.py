"""A version that is asked for and that the package index does not have is told with those that it has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from likewise.producer.local.environments import ADAPTERS
from likewise.producer.local.home import WorkerEnvironment
from likewise.producer.local.installing import _cut
from likewise.producer.local.versions import missing_version


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index of one package."""
    (tmp_path / "einops").mkdir()
    names = [f"einops-0.{minor}.0-py3-none-any.whl" for minor in range(1, 8)] + ["einops-0.8.0rc1.tar.gz"]
    (tmp_path / "einops" / "index.html").write_text("".join(f'<a href="{one}">{one}</a>' for one in names))
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", tmp_path.as_uri())


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            "einops==99",
            "there is no einops 99 for this Python and machine; the package index has 0.7.0, ",
        ),
        ("einops==0.8.0rc1", None),
        ("elsewhere==1", None),
    ],
)
def test_a_version_that_no_index_has_is_told_with_those_that_it_has(asked: str, told: str | None) -> None:
    wanted = WorkerEnvironment(framework="torch", requirements=(asked,))
    found = missing_version(wanted, ADAPTERS)
    assert found == told if told is None else found is not None and found.startswith(told)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Downloading keras-3.15.1-py3-none-any.whl (1.2 MB)", "Downloading keras-3.15.1 (1.2 MB)"),
        (f"collected {'packages ' * 9}", f"collected {'packages ' * 5}…"),
    ],
)
def test_what_a_tool_says_is_cut_between_words(said: str, shown: str) -> None:
    assert _cut(said) == shown
