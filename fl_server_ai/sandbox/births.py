"""How a sandboxed process is forked: in namespaces of its own, where the kernel has them.

A new namespace of processes holds a process's next child, not itself. So a process in between makes the namespaces,
forks the one that stays, and ends; the zygote then becomes its parent. Within its namespace that process is number 1,
and sees no other.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import struct
from collections.abc import Callable, Collection
from typing import NoReturn

from fl_server_ai.sandbox import kernel, namespaces
from fl_server_ai.sandbox.walls import Birth

_PID = struct.Struct("!q")
_WORD = b"."
_SECONDS = 30
# What the kernel does not end a namespace's first process with, unless it has said what these signals shall do.
EXIT_STATUS_SIGNALS = (signal.SIGXCPU, signal.SIGABRT)


def become_reaper() -> None:
    """Make this process the parent of those whose parent has ended."""
    if kernel.IS_LINUX:
        kernel.call("prctl", kernel.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def fork_apart(run: Callable[[Birth], NoReturn], without: Collection[str] = ()) -> int:
    """The id of a new process that calls `run`, which tells when it is adopted. After `become_reaper`.

    Raises:
        OSError: the system has no room for another process, or it ended early.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            between = os.fork()
            if between == 0:
                ours.close()
                _be_between(theirs, run, without)
        ours.settimeout(_SECONDS)
        content = ours.recv(_PID.size)
        pid = _PID.unpack(content)[0] if content else None
        if pid != between:
            os.waitpid(between, 0)
        if pid is None:
            raise BlockingIOError("There is no room for another process.")
        try:
            ours.sendall(_WORD)
            ours.recv(1)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
    return int(pid)


def _be_between(parent: socket.socket, run: Callable[[Birth], NoReturn], without: Collection[str]) -> NoReturn:
    try:
        missing = namespaces.leave(without)
        if {namespaces.PIDS} & {*missing, *without}:
            parent.sendall(_PID.pack(os.getpid()))
            _be_born(parent, run, missing)
        pid = os.fork()
        if pid == 0:
            _end_by_signals()
            _be_born(parent, run, missing)
        parent.sendall(_PID.pack(pid))
    finally:
        os._exit(0)


def _be_born(parent: socket.socket, run: Callable[[Birth], NoReturn], missing: dict[str, str]) -> NoReturn:
    def adopted() -> None:
        parent.sendall(_WORD)  # fails if the parent has ended: the kernel would not tell
        parent.close()

    # Before, the process in between is the parent, and it is about to end.
    if not parent.recv(1):
        os._exit(1)
    run(Birth(missing, adopted))


def _end_by_signals() -> None:
    # The number of the signal becomes the exit status: `void (*)(int)` is what both functions are.
    handler = ctypes.cast(ctypes.CDLL(None)._exit, ctypes.c_void_p)
    for number in EXIT_STATUS_SIGNALS:
        ctypes.CDLL(None).signal(int(number), handler)
