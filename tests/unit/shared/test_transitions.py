"""The ledger's scripts: each says what it takes, and a changed one starts the local stack's workers anew."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from likewise.producer.local import environments
from likewise.shared.ledger import transitions
from likewise.shared.users import rights

FOLDER = Path(transitions.__file__).parent / "scripts"
SHARED = FOLDER.parents[1]
SCRIPTS = sorted(file.stem for file in FOLDER.glob("*.lua") if file.stem != "common")


def undocumented(text: str) -> set[str]:
    """Return the keys and arguments that a script uses and does not name at its head."""
    head, body = text.split("\n\n", 1)
    used = set(re.findall(r"(?:KEYS|ARGV)\[\d+\]", body))
    for taken in re.findall(r"^local ([\w, ]+) = unpack\(ARGV", body, flags=re.M):
        used |= {f"ARGV[{number}]" for number in range(1, taken.count(",") + 2)}
    return {name for name in used if name.removesuffix("]") not in head}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_says_at_its_head_which_keys_and_arguments_it_takes(name):
    assert undocumented((FOLDER / f"{name}.lua").read_text()) == set()


def test_an_argument_that_is_not_documented_is_found():
    head = "-- A script.\n-- KEYS[1]  a run\n\n"
    body = "local fence, state = unpack(ARGV)\nreturn redis.call('GET', KEYS[2])\n"
    assert undocumented(head + body) == {"KEYS[2]", "ARGV[1]", "ARGV[2]"}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_knows_the_names_in_capitals_that_it_uses(name):
    text = re.sub(r"--.*|'[^']*'", "", transitions.source(name))
    known = set(re.findall(r"^local ([A-Z_]+) =", text, flags=re.M)) | {"KEYS", "ARGV"}
    assert set(re.findall(r"\b[A-Z][A-Z_]+\b", re.sub(r'"[^"]*"', "", text))) <= known


def test_a_changed_script_changes_the_fingerprint_of_the_workers_code(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "PACKAGE", tmp_path)
    script = tmp_path / "shared" / "ledger" / "scripts" / "claim.lua"
    script.parent.mkdir(parents=True)
    script.write_text("return 1")
    before = environments.worker_fingerprint()
    script.write_text("return 2")
    assert environments.worker_fingerprint() != before


CALLED = {
    "producer": "ledger/scripts/add ledger/scripts/cancel ledger/scripts/host ledger/scripts/set_if_there "
    "ledger/scripts/keep_finding store/keep store/free",
    "worker": "ledger/scripts/announce ledger/scripts/claim ledger/scripts/finish ledger/scripts/let_go "
    "ledger/scripts/look_after ledger/scripts/keep_checkpoint ledger/scripts/wake store/keep",
}
"""Who calls which."""


def commands_of(files: Iterable[str]) -> set[str]:
    """The commands of Redis that scripts call."""
    text = "".join((SHARED / f"{name}.lua").read_text() for name in files)
    return {name.lower() for name in re.findall(r"redis\.p?call\('(\w+)'", text)}


@pytest.mark.parametrize("user", CALLED)
def test_who_calls_a_script_may_run_every_command_in_it(user: str) -> None:
    """A script has the rights of its caller, and tests of one with all rights would not see a want."""
    allowed = set(re.findall(r"\+([a-z]+)(?![|\w])", rights()[user]))
    assert commands_of(["ledger/scripts/common", *CALLED[user].split()]) <= allowed


def test_every_script_has_its_callers() -> None:
    named = {name for names in CALLED.values() for name in names.split()} | {"ledger/scripts/common"}
    assert named == {str(file.relative_to(SHARED))[:-4] for file in SHARED.rglob("*.lua")}
