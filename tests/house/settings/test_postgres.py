"""What the server asks of its connections to PostgreSQL."""

from __future__ import annotations

import socket

import pytest
from django.db import connection


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite is not reached over a network.")
@pytest.mark.django_db
def test_a_machine_that_vanished_is_given_up_after_half_a_minute() -> None:
    connection.ensure_connection()
    assert connection.connection is not None
    with socket.socket(fileno=socket.dup(connection.connection.fileno())) as link:
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
