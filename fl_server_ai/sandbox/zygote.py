"""The program that sandboxed processes are forked from: torch imported, nothing else ever done.

Importing torch takes seconds, forking from a process that has imported it milliseconds. So a fresh process, for another
tenant or in place of one that was killed, costs next to nothing. The zygote has one thread (a fork is safe), reads no
model, and runs only this file. It ends, and ends its processes, when the other end of its socket closes.

Commands on the socket: `F` with one end of a stream attached forks a process that serves that stream, and its id is
the reply, or -1 if the system has no room for another process;
`E` and an id kills and reaps that process, and its wait status is the reply. Only the zygote reaps, so
an id is never that of another process.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from typing import NoReturn

from fl_server_ai.sandbox.configuration import ChildSetup
from fl_server_ai.sandbox.interpreter import count_threads

COMMAND = struct.Struct("!cI")
REPLY = struct.Struct("!q")
FORK, END = b"F", b"E"
READY = 0
REFUSED = -1


def main() -> None:
    """Arguments: the number of the inherited socket, the setup as JSON."""
    # Imported here: the server imports this module for its structs, and never imports torch.
    from fl_server_ai.sandbox import child

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server decides
    prepared = child.prepare(ChildSetup.from_json(sys.argv[2]))
    if count_threads() != 1:
        raise RuntimeError("A module starts a thread when it is imported: forking would not be safe.")
    gc.freeze()  # the collector leaves what is imported alone, so its pages stay shared
    obey(socket.socket(fileno=int(sys.argv[1])), lambda stream: child.serve(stream, prepared))


def obey(control: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    """Obey commands until the other end closes, then end every process that is left."""
    children: set[int] = set()
    control.sendall(REPLY.pack(READY))
    while True:
        content, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 1)
        if len(content) < COMMAND.size:
            break
        command, pid = COMMAND.unpack(content)
        if command == FORK:
            reply = _fork(control, descriptors[0], serve)
            if reply != REFUSED:
                children.add(reply)
        else:
            # An id from an earlier zygote may belong to any process by now.
            reply = _end(pid) if pid in children else signal.SIGKILL
            children.discard(pid)
        control.sendall(REPLY.pack(reply))
    for pid in children:
        _end(pid)


def _fork(control: socket.socket, descriptor: int, serve: Callable[[socket.socket], None]) -> int:
    try:
        pid = os.fork()
    except OSError:  # too many processes, or too little memory: those that run go on
        pid = REFUSED
    if pid == 0:
        control.close()
        _be_child(descriptor, serve)
    os.close(descriptor)
    return pid


def _be_child(descriptor: int, serve: Callable[[socket.socket], None]) -> NoReturn:
    # Never return: what follows in the zygote kills its processes.
    status = 1
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):  # models print
            os.dup2(null, standard)
        os.close(null)
        serve(socket.socket(fileno=descriptor))
        status = 0
    finally:
        os._exit(status)


def _end(pid: int) -> int:
    # One that has died already keeps its own status until it is waited for.
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]
