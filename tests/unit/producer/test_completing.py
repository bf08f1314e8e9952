"""What a shell offers where Tab is pressed, asked as Bash asks it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

LIKEWISE = Path(sys.executable).with_name("likewise")
Offered = Callable[..., list[str]]


@pytest.fixture
def offered(tmp_path: Path) -> Offered:
    (tmp_path / "article-of-mine.yaml").touch()
    (tmp_path / "article.txt").touch()
    own = {name: value for name, value in os.environ.items() if not name.startswith("LIKEWISE")}

    def ask(*words: str) -> list[str]:
        asked = {
            "_LIKEWISE_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(("likewise", *words)),
            "COMP_CWORD": str(len(words)),
            "LIKEWISE_HOME": str(tmp_path / "home"),
        }
        done = subprocess.run(
            [LIKEWISE], env=own | asked, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr == ""
        return done.stdout.split()

    return ask


def test_examples_and_job_files_are_offered(offered: Offered) -> None:
    assert offered("compare", "artic") == ["article", "article-of-mine.yaml"]


def test_settings_are_offered_with_the_values_that_they_have(offered: Offered) -> None:
    assert "training.epochs=500" in offered("compare", "article", "--set", "training.ep")
    assert offered("compare", "nowhere.yaml", "--set", "training.ep") == []


def test_sides_are_offered_after_those_that_are_named_and_by_their_labels(offered: Offered) -> None:
    assert offered("compare", "article", "--sides", "torch,tensorflow:e") == ["torch,tensorflow:eager"]
    assert offered("code", "article", "--side", "t") == ["tensorflow", "torch"]


def test_without_a_redis_the_newest_experiment_is_offered_and_none_is_started(
    offered: Offered, tmp_path: Path
) -> None:
    assert offered("cancel", "la") == ["last"]
    assert not (tmp_path / "home" / "stack").exists()
