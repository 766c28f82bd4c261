"""The program that sandboxed processes are forked from: torch imported, nothing else ever done.

Importing torch takes seconds, forking from a process that has imported it milliseconds. So a fresh process, for another
tenant or in place of one that was killed, costs next to nothing. The zygote has one thread (a fork is safe), reads no
model, and runs only this file. It ends, and ends its processes, when the other end of its socket closes.

Commands on the socket: `F` with one end of a stream attached forks a process that serves that stream, and its id is
the reply, or -1 if the system has no room for another process;
`E` and an id kills and reaps that process, and its wait status is the reply. Only the zygote reaps, so
an id is never that of another process;
`L` and an id with two numbers of seconds sets that process's limits of CPU time; the reply is -1 if it has ended.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable, Collection
from typing import NoReturn

from fl_server_ai.sandbox.births import become_reaper, fork_apart
from fl_server_ai.sandbox.configuration import ChildSetup
from fl_server_ai.sandbox.identity import real_nobody
from fl_server_ai.sandbox.interpreter import count_threads
from fl_server_ai.sandbox.limits import limit_cpu
from fl_server_ai.sandbox.probe import missing_walls
from fl_server_ai.sandbox.walls import Birth, WallsDown

COMMAND = struct.Struct("!cIII")
REPLY = struct.Struct("!q")
FORK, END, LIMIT = b"F", b"E", b"L"
READY = 0
REFUSED = -1
WALLS_DOWN = 70  # the exit status of a process that could not raise its walls


def main() -> None:
    """Arguments: the number of the inherited socket, the setup as JSON."""
    # Imported here: the server imports this module for its structs, and never imports torch.
    from fl_server_ai.sandbox import child

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server decides
    setup = ChildSetup.from_json(sys.argv[2])
    prepared = child.prepare(setup)
    if count_threads() != 1:
        raise RuntimeError("A module starts a thread when it is imported: forking would not be safe.")
    gc.freeze()  # the collector leaves what is imported alone, so its pages stay shared
    become_reaper()
    # What stands around one process stands around all: one that cannot raise it is not to run a model.
    missing = missing_walls(setup.without).keys()
    control = socket.socket(fileno=int(sys.argv[1]))
    obey(control, lambda stream, birth: child.serve(stream, prepared, birth, missing), setup.without)


Serve = Callable[[socket.socket, Birth], None]


def obey(control: socket.socket, serve: Serve, without: Collection[str] = ()) -> None:
    """Obey commands until the other end closes, then end every process that is left. After `become_reaper`."""
    children: set[int] = set()
    control.sendall(REPLY.pack(READY))
    while True:
        content, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 1)
        if len(content) < COMMAND.size:
            break
        command, pid, soft, hard = COMMAND.unpack(content)
        if command == FORK:
            reply = _fork(control, descriptors[0], serve, without)
            if reply != REFUSED:
                children.add(reply)
        elif command == LIMIT:
            reply = _limit(pid, soft, hard) if pid in children else REFUSED
        else:
            # An id from an earlier zygote may belong to any process by now.
            reply = _end(pid) if pid in children else signal.SIGKILL
            children.discard(pid)
        control.sendall(REPLY.pack(reply))
    for pid in children:
        _end(pid)


def _fork(control: socket.socket, descriptor: int, serve: Serve, without: Collection[str]) -> int:
    def run(birth: Birth) -> NoReturn:
        control.close()
        _be_child(descriptor, serve, birth)

    try:
        return fork_apart(run, without)
    except OSError:  # too many processes, or too little memory: those that run go on
        return REFUSED
    finally:
        os.close(descriptor)


def _be_child(descriptor: int, serve: Serve, birth: Birth) -> NoReturn:
    # Never return: what follows in the zygote kills its processes.
    status = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):  # models print
            os.dup2(null, standard)
        os.close(null)
        serve(socket.socket(fileno=descriptor), birth)
        status = 0
    except WallsDown:
        status = WALLS_DOWN
    finally:
        os._exit(status)


def _limit(pid: int, soft: int, hard: int) -> int:
    try:
        limit_cpu(pid, soft, hard)
    except ProcessLookupError:
        return REFUSED
    return READY


def _end(pid: int) -> int:
    # One that has died already keeps its own status until it is waited for.
    try:
        os.kill(pid, signal.SIGKILL)
    except PermissionError:  # a root without CAP_KILL
        with real_nobody():
            os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]
