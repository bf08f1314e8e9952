"""The connection to Redis: every failure of redis-py becomes a RedisError that says what to do."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import redis
from redis import exceptions
from redis.backoff import ExponentialWithJitterBackoff
from redis.client import Pipeline
from redis.retry import Retry

from likewise.shared.errors import RedisError, RefusedByRedisError, ResultError, UsageError
from likewise.shared.names import NOTHING
from likewise.shared.replies import TooLongError, bounded_parser
from likewise.shared.settings import Settings, variable

if TYPE_CHECKING:
    from pathlib import Path

CONNECT_TIMEOUT_S = 1.5
LARGEST_REPLY_BYTES = 500 * 2**20
"""A text in a reply that is longer is not read: a server's own limit is 512 MB."""
ANSWER_TIMEOUT_S = 5.0
"""Longer than any blocking read of ours."""
AGAIN_S = ANSWER_TIMEOUT_S + 0.5
"""A command is tried again for so long: one that was not answered once more, on a new connection."""


def redis_url(settings: Settings) -> str | None:
    """Return the configured URL with the password of `redis_password_file` and what TLS needs, or None.

    Raises UsageError for a file that cannot be read.
    """
    if settings.redis_url is None:
        return None
    parts = urlsplit(settings.redis_url)
    given, _, address = parts.netloc.rpartition("@")
    user, _, password = given.partition(":")
    if settings.redis_user is not None:
        user = quote(settings.redis_user, safe="")
    if settings.redis_password_file is not None:
        content = _content(settings.redis_password_file, "LIKEWISE_REDIS_PASSWORD_FILE").strip()
        password = quote(content, safe="")
    if user or password:
        parts = parts._replace(netloc=f"{user}:{password}@{address}")
    if parts.scheme == "rediss":
        query = {**_tls(settings), **dict(parse_qsl(parts.query))}
        parts = parts._replace(query=urlencode({**query, _CHECKED: _checked(query[_CHECKED])}))
    return urlunsplit(parts)


_CHECKED = "ssl_cert_reqs"
_CHECKS = ("required", "optional", "none")
"""What may be asked of a server's certificate, as redis-py spells it."""


def _checked(given: str) -> str:
    """Return what is asked of a server's certificate, as redis-py spells it. Raises UsageError."""
    spelt = given.lower().removeprefix("cert_")  # Celery spells it CERT_REQUIRED
    if spelt not in _CHECKS:
        raise UsageError(
            f"LIKEWISE_REDIS_URL has {_CHECKED}={given}; it is required, optional or none (CERT_REQUIRED, "
            "CERT_OPTIONAL or CERT_NONE, as Celery spells them)"
        )
    return spelt


_TLS_FILES = {
    "ssl_ca_certs": "redis_ca_file",
    "ssl_certfile": "redis_cert_file",
    "ssl_keyfile": "redis_key_file",
}
"""It gives, by the name that redis-py, Kombu and Celery have for a file, the setting that names it."""


def _tls(settings: Settings) -> dict[str, str]:
    """Return what redis-py, Kombu and Celery are told of TLS, each of which has another default."""
    told = {_CHECKED: "required", "ssl_check_hostname": "true"}
    files = (
        ("ssl_ca_certs", "redis_ca_file"),
        ("ssl_certfile", "redis_cert_file"),
        ("ssl_keyfile", "redis_key_file"),
    )
    for name, field in files:
        file = getattr(settings, field)
        if file is not None:
            _content(file, variable(field))
            told[name] = str(file)
    return told


def _content(file: Path, variable: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{variable} is {str(file)!r}: {error.strerror}") from None


def connect(redis_url: str, *, largest_bytes: int = LARGEST_REPLY_BYTES) -> redis.Redis:
    """Return a client whose Redis has answered a ping; replies are bytes, none of them longer than that.

    Raises RedisError within two seconds, and so does every later command of the client that Redis cannot
    serve, within some fifteen where nothing answers. Those are repeated for about a second when a connection
    breaks, and once when no answer comes; the first ping is not.
    """
    parser = bounded_parser(largest_bytes)
    with _client(redis_url, parser, answer_timeout_s=CONNECT_TIMEOUT_S, repeats=0) as probe:
        try:
            probe.ping()
            _refuse_several_servers(probe)
        except RefusedByRedisError as refusal:
            if refusal.code != "MISCONF":  # whose data can still be read
                raise
    return _client(redis_url, parser, answer_timeout_s=ANSWER_TIMEOUT_S, repeats=4)


_SEVERAL = {
    "cluster": "is a cluster, which keeps the keys of a run on several servers, and one step changes several "
    "keys; give the address of a single server",
    "sentinel": "is a Sentinel, which knows where Redis is and keeps no data; give the primary's address, "
    "or a name that follows it",
}
"""Why the modes of Redis that are not one server will not do."""


def _refuse_several_servers(probe: redis.Redis) -> None:
    try:
        mode = str(probe.info("server").get("redis_mode"))
    except (RefusedByRedisError, exceptions.ResponseError):  # INFO may be forbidden
        return
    if mode in _SEVERAL:
        raise RedisError(f"Redis at {address(probe)} {_SEVERAL[mode]}")


def _client(redis_url: str, parser: type, *, answer_timeout_s: float, repeats: int) -> redis.Redis:
    try:
        client: redis.Redis = _Client.from_url(
            redis_url,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            socket_timeout=answer_timeout_s,
            health_check_interval=30,
            parser_class=parser,
            retry=_Again(ExponentialWithJitterBackoff(base=0.02, cap=0.5), repeats),
        )
    except ValueError:
        raise RedisError(
            "LIKEWISE_REDIS_URL is not a Redis address; it looks like redis://:password@host:6379/0"
        ) from None
    return client


class _Again(Retry):
    """Tries again for some seconds at most.

    redis-py tries a command so often, and within each time the connection that it needs: where Redis is
    silent, and each time takes the timeout, that would be minutes.
    """

    def call_with_retry(self, do: Any, fail: Any, *options: Any, **named: Any) -> Any:
        end = time.monotonic() + AGAIN_S

        def failed(error: Exception, *count: int) -> None:
            fail(error, *count)
            if time.monotonic() > end:
                raise error

        return super().call_with_retry(do, failed, *options, **named)


class _Client(redis.Redis):
    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except exceptions.RedisError as error:
            if refusal_of(error) in _OF_A_REPLICA:
                # The address may name the new primary by now. What other threads wait on is theirs.
                self.connection_pool.disconnect(inuse_connections=False)
            raise explained(error, self) from None

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        return _Pipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _Pipeline(Pipeline):
    def execute(self, raise_on_error: bool = True) -> list[Any]:
        try:
            return super().execute(raise_on_error)
        except exceptions.RedisError as error:
            raise explained(error, self) from None


_MEANINGS: tuple[tuple[type[exceptions.RedisError], str], ...] = (
    (
        exceptions.AuthenticationError,
        "refuses the password; check LIKEWISE_REDIS_URL and LIKEWISE_REDIS_PASSWORD_FILE",
    ),
    (
        exceptions.AuthenticationWrongNumberOfArgsError,
        "wants no user name; check LIKEWISE_REDIS_URL",
    ),
    (
        exceptions.InvalidResponse,
        "is no Redis: something else answers there; correct the host and port in LIKEWISE_REDIS_URL",
    ),
    (exceptions.TimeoutError, "does not answer; is it overloaded, or behind a firewall?"),
    (
        exceptions.ConnectionError,
        "cannot be reached; start it, correct LIKEWISE_REDIS_URL, or unset it to use the local stack",
    ),
)
"""What a failure means and what to do; the first class that fits."""

_REFUSALS = {
    "OOM": ("is full", "delete old experiments (likewise prune, likewise delete ID) or raise maxmemory"),
    "MISCONF": (
        "cannot write to its disk and refuses to change anything",
        "free space there, and see its log",
    ),
    "READONLY": ("is a read-only replica", "give the primary's address"),
    "NOREPLICAS": ("has too few replicas to accept a write (min-replicas-to-write)", "bring them back"),
    "NOPERM": ("forbids this to the user it knows us as{}", "see its ACL"),
    "LOADING": ("is still loading its data", "try again in a moment"),
    "BUSY": ("is busy with a script of somebody's that runs too long", "end it with SCRIPT KILL"),
    "MASTERDOWN": ("is a replica that has lost its primary", "give the primary's address"),
    "CLUSTERDOWN": ("is a cluster that is down", "give the address of a single server"),
    "UNKNOWN": ("does not know the command {}: it was switched off or renamed there", "allow it"),
    "UNBLOCKED": ("has just become a replica", "give the primary's address"),
}
"""What the words mean by which Redis refuses, and what to do."""
_OF_A_REPLICA = ("READONLY", "MASTERDOWN", "UNBLOCKED")
_FORBIDDEN_IN_A_SCRIPT = (
    "user executing the script can't",
    "ACL failure in script",
)  # before Redis 7.2, and since
_IN_A_PIPELINE = " of pipeline caused error: "
_REFUSAL = re.compile(rf"(?:^|[-:\s])({'|'.join(_REFUSALS)})\b")
_UNKNOWN = re.compile("unknown command [`'](\\w+)", re.IGNORECASE)
_FORBIDDEN = re.compile(r"run the '([\w|-]+)' command")
_TOO_MANY = "max number of clients"
_BY_CLASS: tuple[tuple[type[exceptions.RedisError], str], ...] = (
    (exceptions.BusyLoadingError, "LOADING"),
    (exceptions.OutOfMemoryError, "OOM"),
    (exceptions.ReadOnlyError, "READONLY"),
    (exceptions.NoPermissionError, "NOPERM"),
)
"""Refusals whose word redis-py takes away."""


_OF_ANOTHER_KEY = "KEY_VALUES_MISMATCH"
"""What OpenSSL says of a certificate and a key that do not belong together."""


def explained(error: exceptions.RedisError, client: redis.Redis) -> Exception:
    """Return the error a user can act on; a mistake of ours in a command stays as it is."""
    where = f"Redis at {address(client)}"
    if isinstance(error, TooLongError):
        return ResultError(f"{where} has sent {error}; what lies there is damaged, or not ours")
    if code := refusal_of(error):
        meaning, advice = _REFUSALS[code]
        command = (_FORBIDDEN if code == "NOPERM" else _UNKNOWN).search(str(error))
        about = command[1] if command else ""
        if code == "NOPERM" and command:
            about = f" (the command {about.upper()})"
        return RefusedByRedisError(f"{where} {meaning.format(about)}", advice, code=code)
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        reason = str(error).partition("certificate verify failed: ")[2].partition(" (_ssl")[0]
        return RedisError(
            f"{where} has a certificate that is not trusted here ({reason}); name a file with its signer's "
            "in LIKEWISE_REDIS_CA_FILE, and Redis as its certificate does"
        )
    if _OF_ANOTHER_KEY in str(error):
        return RedisError(
            "LIKEWISE_REDIS_KEY_FILE has not the key of the certificate in LIKEWISE_REDIS_CERT_FILE; "
            "name the two that belong together"
        )
    if isinstance(error, exceptions.ConnectionError) and _wants_a_certificate(error, client):
        return RedisError(
            f"{where} ends the connection under TLS: it wants a certificate of this process, or another one; "
            "name it and its key in LIKEWISE_REDIS_CERT_FILE and LIKEWISE_REDIS_KEY_FILE"
        )
    failure = next((meaning for kind, meaning in _MEANINGS if isinstance(error, kind)), None)
    if isinstance(error, exceptions.AuthenticationError) and not _password(client):
        failure = (
            "wants a password, and none is given; name a file with it in LIKEWISE_REDIS_PASSWORD_FILE, or "
            "write it in LIKEWISE_REDIS_URL"
        )
    if _TOO_MANY in str(error):
        failure = "takes no more connections (maxclients); end clients that are not needed, or raise it"
    return error if failure is None else RedisError(f"{where} {failure}")


def _wants_a_certificate(error: exceptions.ConnectionError, client: redis.Redis) -> bool:
    """Return whether a server has ended a connection that stood, as one does that is shown no certificate."""
    secure = issubclass(client.connection_pool.connection_class, redis.SSLConnection)
    if not secure or isinstance(error, exceptions.AuthenticationError):
        return False
    said = str(error)
    return "alert" in said.lower() or "connecting to" not in said


def refusal_of(error: exceptions.RedisError) -> str | None:
    """Return the word by which Redis refuses for now, such as `OOM`; None for any other error.

    The word comes first in a plain reply. Pipelines put the command before it, and scripts their own name and
    line, in words that differ between versions of Redis.
    """
    for kind, code in _BY_CLASS:
        if isinstance(error, kind):
            return code
    if not isinstance(error, exceptions.ResponseError):
        return None
    said = str(error).rpartition(_IN_A_PIPELINE)[2]
    if any(words in said for words in _FORBIDDEN_IN_A_SCRIPT):
        return "NOPERM"
    if _UNKNOWN.search(said):
        return "UNKNOWN"
    found = _REFUSAL.search(said)
    return found[1] if found else None


_NO_SCRIPT = "0" * 40
"""The hash of no script."""


def refusal(client: redis.Redis) -> RefusedByRedisError | None:
    """Return why Redis refuses changes just now, or None where it takes them.

    It is asked by a change that changes nothing, and by a script that is not there. A user who may do
    neither only reads, and cannot know: the answer is None. Raises RedisError where Redis cannot be reached.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.set(NOTHING, "", xx=True)
        pipe.evalsha(_NO_SCRIPT, 0)
        answers = pipe.execute(raise_on_error=False)
    errors = [explained(one, client) for one in answers if isinstance(one, exceptions.RedisError)]
    refused = [error for error in errors if isinstance(error, RefusedByRedisError)]
    only_reads = [error.code for error in refused] == ["NOPERM"] * len(answers)
    return refused[0] if refused and not only_reads else None


def _password(client: redis.Redis) -> str | None:
    return cast("str | None", client.connection_pool.connection_kwargs.get("password"))


def address(client: redis.Redis) -> str:
    """Return a Redis's host and port, or its socket: what may be shown of where it is."""
    arguments = client.connection_pool.connection_kwargs
    if "path" in arguments:
        return str(arguments["path"])
    return f"{arguments.get('host', 'localhost')}:{arguments.get('port', 6379)}"
