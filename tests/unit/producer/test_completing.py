"""What a shell offers where Tab is pressed, asked as Bash asks it, with words broken at `=`, `:` and `@`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from likewise.producer.cli import completing
from likewise.producer.exporting import FORMATS
from likewise.producer.job.jobfile import read_experiment

LIKEWISE = Path(sys.executable).with_name("likewise")
BROKEN = re.compile("[=:@]|[^=:@]+")
Offered = Callable[..., list[str]]


@pytest.fixture
def offered(tmp_path: Path) -> Offered:
    (tmp_path / "article-of-mine.yaml").touch()
    (tmp_path / "article.txt").touch()
    own = {name: value for name, value in os.environ.items() if not name.startswith("LIKEWISE")}

    def ask(*words: str, shell: str = "bash") -> list[str]:
        asked = {
            "_LIKEWISE_COMPLETE": "complete_bash",
            "LIKEWISE_HOME": str(tmp_path / "home"),
        }
        broken = [part for word in words for part in BROKEN.findall(word) or [""]]
        if shell == "zsh":
            line = " ".join(("likewise", *words))
            asked |= {"_LIKEWISE_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": line}
        else:
            asked |= {"COMP_WORDS": "\n".join(("likewise", *broken)), "COMP_CWORD": str(len(broken))}
        done = subprocess.run(
            [LIKEWISE], env=own | asked, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stderr == ""
        return done.stdout.splitlines()

    return ask


def test_examples_and_job_files_are_offered(offered: Offered) -> None:
    assert offered("compare", "artic") == ["article", "article-of-mine.yaml"]


def test_settings_are_offered_with_the_values_that_they_have(offered: Offered) -> None:
    assert "training.epochs=500" in offered("compare", "article", "--set", "training.ep")
    assert offered("compare", "nowhere.yaml", "--set", "training.ep") == []


def test_sides_are_offered_after_those_that_are_named_and_by_their_labels(offered: Offered) -> None:
    assert offered("compare", "article", "--sides", "torch,ten") == [
        f"torch,tensorflow{way}" for way in ("", ":eager", ":compiled", "@cpu", "@cuda")
    ]
    assert offered("code", "article", "--side", "t") == ["tensorflow", "torch"]


def test_without_a_redis_the_newest_experiment_is_offered_and_none_is_started(
    offered: Offered, tmp_path: Path
) -> None:
    assert offered("cancel", "la") == ["last"]
    assert not (tmp_path / "home" / "stack").exists()


def test_bash_is_offered_what_stands_behind_the_signs_at_which_it_breaks_words(offered: Offered) -> None:
    assert offered("compare", "article", "--sides", "torch,tensorflow:e") == ["eager"]
    assert offered("compare", "article", "--sides", "torch:eager,torch@c") == ["@cpu", "@cuda"]
    assert offered("compare", "article", "--set", "loss.reduction=") == ["mean", "sum", "sum_of_means"]
    assert offered("compare", "article", "--set=training.epochs") == ["training.epochs=500"]
    assert offered("compare", "digits", "--set", "metrics=[") == [r"\[\"accuracy\",\ \"f1\"\]"]


def test_zsh_is_offered_whole_words_and_titles_with_their_apostrophes(offered: Offered) -> None:
    words = "\n".join(offered("compare", "article", "--sides", "torch:e", shell="zsh"))
    assert words == "_arguments '*: :((\"torch\\\\:eager\"))'"
    assert "Adam’s epsilon" in "\n".join(offered("compare", "adam-e", shell="zsh"))


def test_one_setting_is_offered_with_every_value_that_its_field_names(offered: Offered) -> None:
    assert offered("compare", "digits", "--set", "training.shuffle=") == ["true", "false", "once"]
    schedules = offered("compare", "digits", "--set", "optimizer.schedule")
    assert schedules[:3] == [f"optimizer.schedule={value}" for value in ("null", "constant", "step")]
    assert "optimizer.type=adamw" in offered("compare", "digits", "--set", "optimizer.type")


@pytest.mark.parametrize("example", ["article", "digits", "houses", "two_heads", "wide_and_deep"])
def test_what_is_offered_of_a_setting_is_taken(example: str) -> None:
    line = SimpleNamespace(params={"spec": example}, args=[])
    offered = completing.settings(line, "")

    assert len(offered) > 40
    assert read_experiment(example, offered).experiment.name == example


def test_the_formats_of_a_model_are_those_that_it_is_exported_in() -> None:
    assert completing.model_formats("") == list(FORMATS)
