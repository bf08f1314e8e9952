"""Keeps messages that are not ours away from Celery, which dies of some of them.

Kombu parses what it pops before anything of ours can look at it, and an envelope of the wrong shape
raises in Celery's event loop. So the raw bytes are checked where they arrive, in the Redis client that
kombu's channel reads with: only a run id is taken from a message, and Celery is given a fresh envelope
around it. Anything else goes to a capped stream of dead letters, with the reason.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import redis
from kombu.transport import redis as kombu_redis
from kombu.transport import virtual

from likewise.shared.connection import explained
from likewise.shared.errors import RedisError
from likewise.shared.names import DEAD_LETTERS, PREFIX, TRAIN_TASK, messages_key
from likewise.shared.replies import KEPT_BYTES, CutText, bounded_parser
from likewise.worker.service.intake import Intake

log = logging.getLogger(__name__)

KEPT_LETTERS = 1_000
LARGEST_BYTES = 64 * 1024
"""A message is so long at most, unless LIKEWISE_MAX_MESSAGE_KB says otherwise."""

_RUN_ID = re.compile(r"[a-z0-9-]{8,64}")


class NotOursError(ValueError):
    """Says why a message is none that a producer of ours sends."""


def run_id_of(raw: bytes, *, largest_bytes: int = LARGEST_BYTES) -> str:
    """Return the run id that a raw message carries.

    Raises NotOursError with the reason.
    """
    length = _length(raw)
    if length > largest_bytes:
        raise NotOursError(f"it has {length:,} bytes, which is more than LIKEWISE_MAX_MESSAGE_KB")
    envelope = _mapping(_json(raw, "message"), "message")
    headers = _mapping(envelope.get("headers"), "headers")
    properties = _mapping(envelope.get("properties"), "properties")
    if headers.get("task") != TRAIN_TASK:
        raise NotOursError(f"task is {_short(headers.get('task'))}")
    if envelope.get("content-type") != "application/json":
        raise NotOursError(f"content-type is {_short(envelope.get('content-type'))}")
    if properties.get("body_encoding") != "base64" or not isinstance(envelope.get("body"), str):
        raise NotOursError("the body is not base64 text")
    try:
        body = base64.b64decode(envelope["body"], validate=True)
    except (binascii.Error, ValueError):
        raise NotOursError("the body is not base64 text") from None
    content = _json(body, "body")
    if not isinstance(content, list) or len(content) != 3:
        raise NotOursError("the body is not [args, kwargs, options]")
    args, kwargs, _ = content
    if not isinstance(args, list) or len(args) != 1 or kwargs != {}:
        raise NotOursError("the arguments are not [run id]")
    run_id = args[0]
    if not isinstance(run_id, str) or not _RUN_ID.fullmatch(run_id):
        raise NotOursError(f"{_short(run_id)} is not a run id")
    if headers.get("id") != run_id:
        raise NotOursError("the task's id is not the run's")
    return run_id


def envelope_for(run_id: str, queue: str) -> bytes:
    """Return a message for the run with nothing in it that another process chose."""
    body = base64.b64encode(json.dumps([[run_id], {}, {}]).encode()).decode()
    return json.dumps(
        {
            "body": body,
            "content-type": "application/json",
            "content-encoding": "utf-8",
            "headers": {
                "lang": "py",
                "task": TRAIN_TASK,
                "id": run_id,
                "root_id": run_id,
                "parent_id": None,
                "group": None,
                "eta": None,
                "expires": None,
                "retries": 0,
                "timelimit": [None, None],
                "argsrepr": "",
                "kwargsrepr": "",
                "origin": "",
                "ignore_result": True,
            },
            "properties": {
                "correlation_id": run_id,
                "reply_to": "",
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": queue},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": uuid4().hex,
            },
        }
    ).encode()


def send_to_the_front(client: redis.Redis, run_id: str, queue: str) -> None:
    """Send a message that is the next one of its queue: for a run that has lost its worker."""
    client.rpush(messages_key(queue), envelope_for(run_id, queue))


def send_to_the_back(client: redis.Redis, run_id: str, lane: str) -> None:
    """Send a message that comes after all others of its lane."""
    client.lpush(messages_key(lane), envelope_for(run_id, lane))


def set_aside(client: redis.Redis, *, queue: str, raw: bytes, reason: str) -> None:
    """Put a message into the dead letters, or at least into the log."""
    log.warning("a message on %s is not ours and was set aside: %s", queue, reason)
    try:
        client.xadd(
            DEAD_LETTERS,
            {"queue": queue, "reason": reason, "bytes": _length(raw), "message": raw[:KEPT_BYTES]},
            maxlen=KEPT_LETTERS,
            approximate=True,
        )
    except RedisError:
        log.warning("the dead letters cannot be written; the message began %r", raw[:200])


def guarded_transport(
    client: redis.Redis, intake: Intake, *, largest_bytes: int
) -> type[kombu_redis.Transport]:
    """Return Kombu's Redis transport with the check in front of it, which takes what the intake allows."""
    parser = bounded_parser(largest_bytes, cuts=True)

    class Reader(kombu_redis.PrefixedStrictRedis):
        """Is what kombu reads with; the reply to BRPOP is (queue, message)."""

        def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
            try:
                reply = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
            except redis.ResponseError as error:
                if command_name != "BRPOP":
                    raise
                intake.refused(str(explained(error, client)))
                connection.disconnect()  # its name may stand for another server by now
                return None  # to kombu, as if the wait had ended without a message
            if command_name == "BRPOP":
                intake.answered()
            if command_name != "BRPOP" or not reply:
                return reply
            queue = reply[0].decode(errors="replace")
            try:
                return [reply[0], envelope_for(run_id_of(reply[1], largest_bytes=largest_bytes), queue)]
            except NotOursError as reason:
                set_aside(client, queue=queue, raw=reply[1], reason=str(reason))
                return None  # to kombu, as if the wait had ended without a message

    class Credit(virtual.QoS):
        """Whether a message may be taken."""

        def can_consume(self) -> bool:
            return intake.may_take() and bool(super().can_consume())  # type: ignore[no-untyped-call]

    class Channel(kombu_redis.Channel):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
            self.QoS = Credit  # type: ignore[assignment]

        def _get_client(self) -> Callable[..., redis.Redis]:
            super()._get_client()  # type: ignore[no-untyped-call]  # checks redis-py's version
            return partial(Reader, global_keyprefix=PREFIX)

        def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
            return {**super()._connparams(asynchronous), "parser_class": parser}  # type: ignore[no-untyped-call]

    class Transport(kombu_redis.Transport):
        pass

    Transport.Channel = Channel
    return Transport


def _length(raw: bytes) -> int:
    """Return how many bytes a message has, also where only its beginning was read."""
    return raw.length if isinstance(raw, CutText) else len(raw)


def _json(data: bytes, what: str) -> Any:
    try:
        return json.loads(data)
    except RecursionError:
        raise NotOursError(f"the {what} is nested too deeply") from None
    except ValueError:  # JSONDecodeError and UnicodeDecodeError
        raise NotOursError(f"the {what} is not JSON") from None


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise NotOursError(f"{what} is {_short(value)}, not an object")
    return value


def _short(value: Any) -> str:
    """Return a value in a few words; a container is only named, since its text may be endless."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
