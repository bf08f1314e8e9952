"""`likewise logs`: which logs there are, and the last lines of one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from likewise.producer.cli.app import main


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIKEWISE_HOME", str(tmp_path))
    monkeypatch.delenv("LIKEWISE_REDIS_URL", raising=False)
    return tmp_path


def likewise(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["likewise", "logs", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


def test_the_last_lines_of_a_log_are_shown_and_steer_no_terminal(home, capsys, monkeypatch):
    (home / "logs").mkdir()
    (home / "logs" / "worker-torch.log").write_text("first\n" * 50 + "last \x1b[2J\n")
    (home / "logs" / "redis.log").touch()

    assert likewise(capsys, monkeypatch, "worker-torch", "-n", "2") == (0, "first\nlast \\x1b[2J\n", "")
    assert likewise(capsys, monkeypatch, "torch", "-n", "1") == (0, "last \\x1b[2J\n", "")
    _, out, _ = likewise(capsys, monkeypatch, "--json")
    assert json.loads(out)["bytes"] == {"redis": 0, "worker-torch": 310}


def test_what_is_neither_a_log_nor_an_experiment_is_told_with_those_that_there_are(home, capsys, monkeypatch):
    assert "the local stack has not run there" in likewise(capsys, monkeypatch)[2]

    (home / "logs").mkdir()
    (home / "logs" / "worker-torch.log").touch()
    code, _, err = likewise(capsys, monkeypatch, "worker-tourch")
    assert code == 2
    assert "worker-torch" in err
    assert "the local stack does not run" in err, "and none was started to ask it"
