"""A network between a worker and its Redis that can be made worse."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest


class Proxy:
    """Passes bytes between its callers and one Redis, all of them or not."""

    def __init__(self, redis_url: str) -> None:
        parts = urlsplit(redis_url)
        self._redis = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = redis_url.replace(f":{parts.port}", f":{self._listener.getsockname()[1]}")
        self.swallows: bytes | None = None
        """A connection on which a caller sends this gets no answer any more."""
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=[caller], daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with suppress(OSError), caller, socket.create_connection(self._redis) as redis:
            mute = threading.Event()
            threading.Thread(target=self._answer, args=[redis, caller, mute], daemon=True).start()
            while data := caller.recv(65_536):
                if self.swallows is not None and self.swallows in data:
                    mute.set()
                if not mute.is_set():
                    redis.sendall(data)

    def _answer(self, redis: socket.socket, caller: socket.socket, mute: threading.Event) -> None:
        with suppress(OSError):
            while data := redis.recv(65_536):
                if not mute.is_set():
                    caller.sendall(data)
            caller.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy_to() -> Iterator[Callable[[Any], Proxy]]:
    """Proxies to a Redis that end with the test."""
    proxies: list[Proxy] = []

    def start(server: Any) -> Proxy:
        proxies.append(Proxy(server.url))
        return proxies[-1]

    yield start
    for one in proxies:
        one.close()
