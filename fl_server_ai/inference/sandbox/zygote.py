"""The program that sandboxed processes are forked from: torch imported, nothing else ever done.

Importing torch takes seconds, forking from a process that has imported it milliseconds. So a fresh process, for another
tenant or in place of one that was killed, costs next to nothing. The zygote has one thread (a fork is safe), reads no
model, and runs nothing but this file. It ends, and ends its processes, when the server's end of its socket closes.

Commands on the socket: `F` with one end of a stream attached forks a process that serves that stream, answered with its
id; `E` and an id kills and reaps that process, answered with its wait status. Since nobody else reaps, an id is never
that of another process.
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

COMMAND = struct.Struct("!cI")
ANSWER = struct.Struct("!q")
FORK, END = b"F", b"E"
READY = 0


@dataclasses.dataclass(frozen=True)
class ChildLimits:
    """What a child may use.

    memory_mb: address space beyond what torch maps. cache_mb: files of the models kept loaded. threads: of one
    operation. trusted: names outside torch's own that a pickled model may use.
    """

    memory_mb: int
    cache_mb: int
    threads: int
    trusted: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ChildLimits:
        values = json.loads(text)
        return cls(**{**values, "trusted": tuple(values["trusted"])})


def main() -> None:
    """Arguments: the number of the inherited socket, the limits as JSON."""
    # Imported here: the server imports this module for its structs, and never imports torch.
    from fl_server_ai.inference.sandbox import child

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server decides
    limits = ChildLimits.from_json(sys.argv[2])
    child.prepare(limits)
    tasks = Path("/proc/self/task")
    if tasks.is_dir() and len(list(tasks.iterdir())) != 1:
        raise RuntimeError("A module starts a thread when it is imported: forking would not be safe.")
    gc.freeze()  # the collector leaves alone what is imported: its pages stay shared
    obey(socket.socket(fileno=int(sys.argv[1])), lambda stream: child.serve(stream, limits))


def obey(control: socket.socket, serve: Callable[[socket.socket], None]) -> None:
    """Answer commands until the server's end closes, then end every process that is left."""
    children: set[int] = set()
    control.sendall(ANSWER.pack(READY))
    while True:
        content, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 1)
        if len(content) < COMMAND.size:
            break
        command, pid = COMMAND.unpack(content)
        if command == FORK:
            answer = _fork(control, descriptors[0], serve)
            children.add(answer)
        else:
            # An id from the days of an earlier zygote may by now be anybody's.
            answer = _end(pid) if pid in children else signal.SIGKILL
            children.discard(pid)
        control.sendall(ANSWER.pack(answer))
    for pid in children:
        _end(pid)


def _fork(control: socket.socket, descriptor: int, serve: Callable[[socket.socket], None]) -> int:
    pid = os.fork()
    if pid == 0:
        control.close()
        _be_child(descriptor, serve)
    os.close(descriptor)
    return pid


def _be_child(descriptor: int, serve: Callable[[socket.socket], None]) -> NoReturn:
    # Nothing may come back from here: what follows in the zygote kills its processes.
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
