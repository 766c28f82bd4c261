"""The program that sandboxed processes are forked from, in this process."""

from __future__ import annotations

import errno
import os
import socket
import threading

import pytest

from fl_server_ai.sandbox import zygote
from fl_server_ai.sandbox.zygote import COMMAND, END, FORK, READY, REFUSED, REPLY


def test_a_system_without_room_for_a_process_is_told_so_and_the_program_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", refuse)
    ours, control = socket.socketpair()
    stream, theirs = socket.socketpair()
    program = threading.Thread(target=zygote.obey, args=(control, lambda _stream, _birth: None), daemon=True)
    program.start()
    with ours, stream, theirs:
        ours.settimeout(30)
        assert REPLY.unpack(ours.recv(REPLY.size)) == (READY,)
        for _ in range(2):
            socket.send_fds(ours, [COMMAND.pack(FORK, 0, 0, 0)], [theirs.fileno()])
            assert REPLY.unpack(ours.recv(REPLY.size)) == (REFUSED,)
        ours.sendall(COMMAND.pack(END, 1, 0, 0))  # no process of its own: nothing is ended
        assert REPLY.unpack(ours.recv(REPLY.size)) != (REFUSED,)
    program.join(30)
    assert not program.is_alive()
    control.close()
