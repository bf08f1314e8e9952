"""Redis that is not there, refuses, or would lose runs: one clear line, soon, and never the password."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread

import pytest
from kombu.exceptions import OperationalError

from likewise.shared.celery_app import make_app, send_wakeups
from likewise.shared.connection import connect, redis_url
from likewise.shared.errors import RedisError, RefusedByRedisError, UsageError
from likewise.shared.ledger.transitions import script
from likewise.shared.settings import Settings
from tests.conftest import free_port


@pytest.fixture
def refused(promptly):
    """What `connect` says of an address it refuses, within two seconds."""

    def refused(url: str) -> str:
        said: list[str] = []

        def took_s() -> float:
            begin = time.perf_counter()
            with pytest.raises(RedisError) as caught:
                connect(url)
            said.append(str(caught.value))
            return time.perf_counter() - begin

        promptly(took_s, within_s=2.0)
        return said[-1]

    return refused


def test_nobody_listening_is_told_with_the_address_and_the_way_out(refused):
    port = free_port()
    said = refused(f"redis://:secret-word@127.0.0.1:{port}/0")
    assert f"127.0.0.1:{port}" in said
    assert "LIKEWISE_REDIS_URL" in said
    assert "secret-word" not in said


def test_a_host_that_swallows_packets_is_given_up_within_two_seconds(refused):
    with ExitStack() as sockets:
        full, *fillers = (sockets.enter_context(socket.socket()) for _ in range(5))
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        refused(f"redis://:pw@127.0.0.1:{port}/0")


def test_a_host_that_accepts_and_says_nothing_is_given_up(refused):
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(8)
        assert "does not answer" in refused(f"redis://:pw@127.0.0.1:{mute.getsockname()[1]}/0")


def test_another_kind_of_server_is_told_apart(refused):
    with socket.create_server(("127.0.0.1", 0)) as web:

        def answer_as_a_web_server() -> None:
            while web.fileno() >= 0:
                with suppress(OSError), web.accept()[0] as caller:  # who may not wait for an answer
                    caller.recv(4096)
                    caller.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        Thread(target=answer_as_a_web_server, daemon=True).start()
        assert "is no Redis" in refused(f"redis://:pw@127.0.0.1:{web.getsockname()[1]}/0")


def test_a_wrong_password_is_told_apart(redis_server, refused):
    said = refused(redis_server.url.replace(redis_server.password, "wrong-word"))
    assert "password" in said
    assert "wrong-word" not in said


def test_an_address_that_is_none_is_told(refused):
    assert "redis://" in refused("redis.example.org")


def test_a_client_that_loses_its_redis_raises_our_error_within_two_seconds(start_redis, promptly):
    own = start_redis()
    client = connect(own.url)
    own.kill()

    def took_s():
        begin = time.perf_counter()
        with pytest.raises(RedisError, match="cannot be reached"):
            client.get("x")
        with pytest.raises(RedisError, match="cannot be reached"), client.pipeline() as pipe:
            pipe.get("x").execute()
        return time.perf_counter() - begin

    promptly(took_s, within_s=4.0)
    own.start()
    assert client.get("x") is None
    client.close()


def test_a_submission_to_a_dead_redis_fails_within_two_seconds(start_redis, desk_at, promptly):
    own = start_redis()
    desk = desk_at(own.url)
    own.kill()

    def took_s():
        begin = time.perf_counter()
        with pytest.raises(RedisError):
            desk.submit()
        return time.perf_counter() - begin

    promptly(took_s, within_s=2.0)
    own.start()


def test_a_full_redis_is_told(start_redis):
    own = start_redis(policy="noeviction")
    client = connect(own.url)
    client.config_set("maxmemory", "1")
    with pytest.raises(RedisError, match="full"):
        client.set("x", b"x" * 1000)
    client.close()


def test_a_redis_that_takes_no_more_connections_is_told(start_redis):
    own = start_redis()
    client = connect(own.url)
    client.config_set("maxclients", len(client.client_list()))
    with pytest.raises(RedisError, match="maxclients"):
        connect(own.url)
    client.close()


def test_a_command_that_was_switched_off_is_a_refusal_that_names_it(start_redis):
    own = start_redis(options=["--rename-command", "EVALSHA", ""])
    with connect(own.url) as client, pytest.raises(RefusedByRedisError, match="the command EVALSHA"):
        script(client, "cancel")(keys=["likewise:run:nothing"], args=[])


def test_the_password_file_goes_into_the_url(tmp_path: Path, redis_server):
    secret = tmp_path / "password"
    secret.write_text(redis_server.password + "\n")
    bare = f"redis://127.0.0.1:{redis_server.port}/0"
    connect(redis_url(Settings(redis_url=bare, redis_password_file=secret))).close()
    with pytest.raises(UsageError, match="LIKEWISE_REDIS_PASSWORD_FILE"):
        redis_url(Settings(redis_url=bare, redis_password_file=tmp_path / "absent"))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory, unavailable) -> dict[str, Path]:
    """A certificate of 127.0.0.1, its key, and its signer's certificate."""
    program, server = shutil.which("openssl"), shutil.which("redis-server")
    if program is None or server is None or b"tls-port" not in Path(server).read_bytes():
        unavailable("there is no openssl on PATH, or no redis-server that was built with TLS")
    folder = tmp_path_factory.mktemp("certificate")
    made = {name: folder / f"{name}.pem" for name in ("certificate", "key")}
    subprocess.run(
        [
            *(program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=redis"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", made["key"], "-out", made["certificate"]),
        ],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return made


@pytest.fixture
def tls_port(start_redis, certificate) -> int:
    """The port at which the session's password opens a Redis that speaks TLS alone."""
    port = free_port()
    start_redis(
        options=[
            *("--tls-port", str(port), "--tls-auth-clients", "no"),
            *("--tls-cert-file", certificate["certificate"], "--tls-key-file", certificate["key"]),
            *("--user", "tls", "on", ">pw", "~*", "&*", "+@all"),
        ]
    )
    return port


def test_a_redis_behind_tls_is_reached_by_who_trusts_its_certificate(tls_port, certificate):
    settings = Settings(redis_url=f"rediss://tls:pw@127.0.0.1:{tls_port}/0")
    with pytest.raises(RedisError, match=r"not trusted here.*LIKEWISE_REDIS_CA_FILE"):
        connect(redis_url(settings))
    trusting = settings.model_copy(update={"redis_ca_file": certificate["certificate"]})
    connect(redis_url(trusting)).close()
    with pytest.raises(RedisError, match="not trusted here"):  # its certificate is of the address alone
        connect(redis_url(trusting).replace("127.0.0.1", "localhost"))


def test_who_sends_wake_ups_checks_the_certificate_too(tls_port, certificate):
    """Kombu, left to itself, takes `rediss://` for a connection without TLS or without a check."""
    # Kombu tells connections apart by the address alone, so each has a database of its own.
    refused, app = (
        make_app(
            redis_url(
                Settings(
                    redis_url=f"rediss://tls:pw@127.0.0.1:{tls_port}/{database}", redis_ca_file=authority
                )
            ),
            retention_s=60,
        )
        for database, authority in enumerate((None, certificate["certificate"]))
    )
    with pytest.raises(OperationalError, match="certificate"):
        send_wakeups(refused, [("run", "train.none.any")])
    send_wakeups(app, [("run", "train.none.any")])


@pytest.fixture(scope="module")
def authority(tmp_path_factory, certificate) -> dict[str, Path]:
    """A certificate authority, and what it has signed: the server's certificate and a client's."""
    assert certificate  # openssl is there
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*words: str | Path) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60, cwd=folder)

    new = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(*new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("server", "client"):
        openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        signing = ("x509", "-req", "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
        openssl(*signing, "-extfile", "names", "-in", f"{name}.csr", "-out", f"{name}.pem")
    return {file.name: file for file in folder.iterdir()}


def test_a_client_certificate_is_shown_by_both_clients_and_its_want_is_told(start_redis, authority):
    port = free_port()
    start_redis(
        options=[
            *("--tls-port", str(port), "--tls-ca-cert-file", authority["ca.pem"]),
            *("--tls-cert-file", authority["server.pem"], "--tls-key-file", authority["server.key"]),
            *("--user", "tls", "on", ">pw", "~*", "&*", "+@all"),
        ]
    )
    bare = Settings(redis_url=f"rediss://tls:pw@127.0.0.1:{port}/0", redis_ca_file=authority["ca.pem"])
    with pytest.raises(RedisError, match="LIKEWISE_REDIS_CERT_FILE"):
        connect(redis_url(bare))
    own = bare.model_copy(
        update={"redis_cert_file": authority["client.pem"], "redis_key_file": authority["client.key"]}
    )
    connect(redis_url(own)).close()
    send_wakeups(make_app(redis_url(own), retention_s=60), [("run", "train.none.any")])
    mixed = own.model_copy(update={"redis_key_file": authority["server.key"]})
    with pytest.raises(RedisError, match="has not the key of the certificate in LIKEWISE_REDIS_CERT_FILE"):
        connect(redis_url(mixed))


@pytest.mark.parametrize("spelling", ["required", "CERT_REQUIRED"])
def test_tls_is_spelt_as_redis_py_or_celery_does(tls_port, certificate, spelling):
    address = f"rediss://tls:pw@127.0.0.1:{tls_port}/0?ssl_cert_reqs={spelling}"
    with pytest.raises(RedisError, match="not trusted here"):
        connect(redis_url(Settings(redis_url=address)))
    trusting = redis_url(Settings(redis_url=f"{address}&ssl_ca_certs={certificate['certificate']}"))
    connect(trusting).close()
    send_wakeups(make_app(trusting, retention_s=60), [("run", "train.none.any")])


def test_a_check_of_certificates_that_is_none_is_told():
    with pytest.raises(UsageError, match=r"ssl_cert_reqs=perhaps; it is required, optional or none"):
        redis_url(Settings(redis_url="rediss://127.0.0.1/0?ssl_cert_reqs=perhaps"))


@pytest.mark.parametrize("mode", ["cluster", "sentinel"])
def test_what_is_no_single_server_is_refused_with_the_reason(mode, tmp_path, unavailable, until):
    server = shutil.which("redis-server") or unavailable("there is no redis-server on PATH")
    port = free_port()  # a cluster takes the port 10,000 above it, too
    config = tmp_path / "redis.conf"
    cluster = "\ncluster-enabled yes\nbind 127.0.0.1\n" if mode == "cluster" else "\nbind 127.0.0.1\n"
    config.write_text(f"port {port}{cluster}")
    words = [server, config, *(["--sentinel"] if mode == "sentinel" else [])]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:

        def said() -> str:
            with pytest.raises(RedisError) as caught:
                connect(f"redis://127.0.0.1:{port}/0")
            return "" if "cannot be reached" in str(caught.value) else str(caught.value)

        assert f"is a {mode}" in until(said, within_s=10, what="it answers").lower()
    finally:
        process.kill()
        process.wait()
