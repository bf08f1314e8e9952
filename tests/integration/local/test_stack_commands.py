"""The commands up, down, workers, doctor and version, as another process runs them."""

from __future__ import annotations

import contextlib
import json
import os
import resource

import pytest

from likewise.producer.local import client
from likewise.shared.errors import StackError
from likewise.shared.settings import Settings

COMMANDS = ("up", "down", "workers", "doctor", "version")


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help_with_an_example(home, name):
    status, stdout, _ = home.answer(name, "--help")
    assert status == 0
    assert f"Example: likewise {name}" in stdout


def test_version_names_the_documents_it_reads(home):
    status, stdout, _ = home.answer("version", "--json")
    document = json.loads(stdout)
    assert (status, document["job_file_schema_version"], document["result_schema_version"]) == (0, 1, 1)


def test_without_a_stack_nothing_is_started_to_look(home):
    assert home.answer("workers", "--json")[:2] == (0, '{\n  "workers": []\n}\n')
    assert home.answer("down")[:2] == (0, "no local stack was running\n")
    status, stdout, _ = home.answer("doctor", "--json")
    checks = {check["link"]: check for check in json.loads(stdout)["checks"]}
    assert status == 0
    assert checks["local stack"]["found"] == "not running; commands that train start it"
    assert checks["torch environment"]["state"] == "note"
    assert not home.paths.home.exists()


def test_up_serves_workers_lists_doctor_approves_and_down_ends(served_home):
    status, stdout, problems = served_home.answer("up", "torch", "--json")
    assert (status, json.loads(stdout)) == (0, {"workers": ["torch"], "idle_minutes": 15.0}), problems
    status, stdout, _ = served_home.answer("workers", "--json")
    (worker,) = json.loads(stdout)["workers"]
    assert (worker["framework"], worker["device"], worker["state"]) == ("torch", "cpu", "idle")
    assert worker["queues"][:2] == ["train.torch.cpu", "train.torch.any"]
    assert "torch" in served_home.answer("workers")[1]
    status, stdout, _ = served_home.answer("doctor", "--json")
    document = json.loads(stdout)
    assert (status, document["healthy"]) == (0, True), document
    links = [check["link"] for check in document["checks"]]
    assert {"Python", "disk", "Redis", "persistence", "eviction", "clock", "torch worker"} <= set(links)
    assert served_home.answer("down")[:2] == (0, "the local stack has ended\n")
    assert served_home.processes() == []


def test_doctor_points_out_a_misspelt_setting(home):
    _, stdout, _ = home.answer("doctor", "--json", LIKEWISE_THREAD="2")
    found = [one["found"] for one in json.loads(stdout)["checks"] if one["link"] == "settings"]
    assert found == ["LIKEWISE_THREAD is set, and there is no such setting"]


def test_doctor_sees_a_worker_that_keeps_dying(served_home, until):
    served_home.up("torch")
    log = served_home.paths.log("worker-torch")

    def dying():
        pid = served_home.state.workers["torch"].pid
        with contextlib.suppress(ProcessLookupError):  # what the stack says may be a moment old
            if pid is not None:
                os.kill(pid, 9)
        return served_home.state.workers["torch"].starts > 2

    until(dying, within_s=20, what="the worker was started again twice")
    status, stdout, _ = served_home.answer("doctor", "--json")
    findings = [check for check in json.loads(stdout)["checks"] if check["state"] == "wrong"]
    assert status == 4
    assert any(str(log) in (check["mend"] or "") for check in findings), findings


def test_up_with_a_redis_configured_says_that_it_would_be_of_no_use(home):
    status, stdout, problems = home.answer("up", LIKEWISE_REDIS_URL="redis://127.0.0.1:6379/0")
    assert (status, stdout) == (2, "")
    assert "LIKEWISE_REDIS_URL is set" in problems


def test_up_names_the_frameworks_there_are(home):
    status, _, problems = home.answer("up", "cntk")
    assert status == 2
    assert "cntk is no framework that Likewise can train in" in problems
    assert "torch" in problems


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("redis://127.0.0.1:9/0", "cannot be reached"),
        ("redis://:wrong@{address}/0", "password"),
        ("redis://{address}/0", "password"),
    ],
)
def test_doctor_says_what_is_wrong_with_a_redis(home, redis_server, url, word):
    url = url.format(address=redis_server.url.rpartition("@")[2].removesuffix("/0"))
    status, stdout, _ = home.answer("doctor", "--json", LIKEWISE_REDIS_URL=url)
    document = json.loads(stdout)
    assert (status, document["healthy"]) == (4, False)
    assert word in document["checks"][-1]["found"]


def test_doctor_refuses_a_redis_that_forgets(home, start_redis):
    volatile = start_redis(append_only=False, policy="allkeys-lru")
    status, stdout, _ = home.answer("doctor", "--json", LIKEWISE_REDIS_URL=volatile.url)
    wrong = {check["link"] for check in json.loads(stdout)["checks"] if check["state"] == "wrong"}
    assert status == 4
    assert {"persistence", "eviction", "workers"} <= wrong
    assert volatile.password not in stdout


def test_doctor_sees_workers_of_another_version(home, start_redis):
    from likewise.shared.connection import connect
    from likewise.shared.ledger.records import announce_worker

    server = start_redis()
    announce_worker(connect(server.url), "from-the-future", '{"schema_version": 99}', lives_s=60)
    _, stdout, _ = home.answer("doctor", "--json", LIKEWISE_REDIS_URL=server.url)
    assert "1 speak another version of Likewise" in stdout


def test_a_disk_that_takes_nothing_is_one_line(home):
    home.paths.make()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # which its processes inherit
    try:
        process = home.command("list")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    stdout, problems = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (4, ""), problems
    assert problems.splitlines()[-1].startswith("likewise: "), problems
    assert "Traceback" not in problems


def test_a_full_disk_is_told_with_what_is_left_and_where_to(home, monkeypatch):
    monkeypatch.setattr(client, "LEAST_FREE_BYTES", 2**62)
    with pytest.raises(StackError, match=r"is full: .* MB are left, .* set LIKEWISE_HOME to a folder on an"):
        client.ensure(Settings(home=home.paths.home), [], say=print)
    assert home.processes() == []
