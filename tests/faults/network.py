"""A network between workers and their Redis that can be made worse."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from urllib.parse import urlsplit


class Proxy:
    """Passes bytes between its callers and one Redis, all of them, late, or not."""

    def __init__(self, redis_url: str) -> None:
        parts = urlsplit(redis_url)
        self._redis = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = redis_url.replace(f":{parts.port}", f":{self._listener.getsockname()[1]}")
        self.swallows: bytes | None = None
        """A connection on which a caller sends this gets no answer any more."""
        self.muted = 0
        """How many connections that has befallen."""
        self.delay_s = 0.0
        """Every answer comes so late."""
        self.halves = False
        """Of each answer the first half comes, and then the end of the connection."""
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def cut(self) -> int:
        """Break every connection; how many there were."""
        held = list(self._open)
        for one in held:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        return len(held)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=[caller], daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        self._open.add(caller)
        try:
            with suppress(OSError), caller, socket.create_connection(self._redis) as redis:
                mute = threading.Event()
                threading.Thread(target=self._answer, args=[redis, caller, mute], daemon=True).start()
                while data := caller.recv(65_536):
                    if self.swallows is not None and self.swallows in data and not mute.is_set():
                        mute.set()
                        self.muted += 1
                    if not mute.is_set():
                        redis.sendall(data)
        finally:
            self._open.discard(caller)

    def _answer(self, redis: socket.socket, caller: socket.socket, mute: threading.Event) -> None:
        with suppress(OSError):
            while data := redis.recv(65_536):
                if self.delay_s:
                    time.sleep(self.delay_s)
                if self.halves and len(data) > 1:
                    caller.sendall(data[: len(data) // 2])
                    break
                if not mute.is_set():
                    caller.sendall(data)
        with suppress(OSError):  # also where Redis has broken its end off
            caller.shutdown(socket.SHUT_RDWR)
