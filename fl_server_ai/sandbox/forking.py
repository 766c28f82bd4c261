"""The way to the zygote: processes are forked, limited and ended through it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading

from fl_server_ai.sandbox.channel import blocking_pair
from fl_server_ai.sandbox.configuration import ChildSetup
from fl_server_ai.sandbox.errors import SandboxBusy, SandboxFailed
from fl_server_ai.sandbox.interpreter import command, environment
from fl_server_ai.sandbox.relay import relayed_stderr
from fl_server_ai.sandbox.zygote import COMMAND, END, FORK, LIMIT, REFUSED, REPLY

_START_SECONDS = 120
_COMMAND_SECONDS = 30


class Zygote:
    """Starts the program that processes are forked from, when first needed and whenever it has ended. Thread-safe."""

    def __init__(self, setup: ChildSetup) -> None:
        self._setup = setup
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def fork(self, stream: socket.socket) -> int:
        """The id of a new process that serves the stream. Raises SandboxFailed, SandboxBusy."""
        with self._lock:
            for _ in range(2):  # an old zygote may have died unnoticed
                try:
                    control = self._running()
                    socket.send_fds(control, [COMMAND.pack(FORK, 0, 0, 0)], [stream.fileno()])
                    reply = _read_reply(control)
                except OSError as error:
                    self._stop()
                    cause = error
                else:
                    if reply == REFUSED:
                        raise SandboxBusy("The system has no room for another process.")
                    return reply
            raise SandboxFailed from cause

    def end(self, pid: int) -> int:
        """Kill a process and return its wait status: its own, if it was dead already."""
        with self._lock:
            if self._control is None:
                return signal.SIGKILL  # the zygote went, and its processes with it
            try:
                self._control.sendall(COMMAND.pack(END, pid, 0, 0))
                return _read_reply(self._control)
            except OSError:
                self._stop()
                return signal.SIGKILL

    def limit(self, pid: int, soft: int, hard: int) -> None:
        """Limit the CPU time of a process, see `limits.limit_cpu`. One that has ended is left as it is."""
        with self._lock:
            if self._control is not None:
                try:
                    self._control.sendall(COMMAND.pack(LIMIT, pid, soft, hard))
                    _read_reply(self._control)
                except OSError:
                    self._stop()

    def close(self) -> None:
        """End it, and with it every process."""
        with self._lock:
            self._stop()

    def abandon(self) -> None:
        """After a fork: let go of what belongs to the parent process."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.returncode = 0  # the parent waits for it

    def _running(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = blocking_pair()
            with theirs:
                self._process = _spawn(theirs.fileno(), self._setup)
            self._control.settimeout(_START_SECONDS)
            _read_reply(self._control)
            self._control.settimeout(_COMMAND_SECONDS)
        return self._control

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(_COMMAND_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _spawn(descriptor: int, setup: ChildSetup) -> subprocess.Popen[bytes]:
    stderr = relayed_stderr()
    try:
        return subprocess.Popen(  # noqa: S603 - our own program and no shell
            [*command("fl_server_ai.sandbox"), str(descriptor), setup.to_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environment(),
            pass_fds=[descriptor],
        )
    finally:
        os.close(stderr)


def _read_reply(control: socket.socket) -> int:
    content = b""
    while len(content) < REPLY.size:
        piece = control.recv(REPLY.size - len(content))
        if not piece:
            raise ConnectionResetError("The zygote has ended.")
        content += piece
    (reply,) = REPLY.unpack(content)
    return int(reply)
