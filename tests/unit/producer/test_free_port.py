"""The port of a private Redis is one at which it can come back."""

from __future__ import annotations

import socket

from likewise.producer.local.private_redis import HOST, PORTS, free_port


def test_a_free_port_is_one_that_clients_are_not_lent():
    lent = []
    for _ in range(50):
        with (
            socket.create_server((HOST, 0)) as server,
            socket.create_connection(server.getsockname()) as client,
        ):
            lent.append(client.getsockname()[1])
    assert PORTS.stop <= min(lent)


def test_a_port_that_somebody_listens_at_is_not_free(monkeypatch):
    with socket.create_server((HOST, free_port())) as taken:
        taken_port = taken.getsockname()[1]
        free = free_port()
        drawn = iter([taken_port, free])
        monkeypatch.setattr("likewise.producer.local.private_redis.secrets.choice", lambda _: next(drawn))
        assert free_port() == free
