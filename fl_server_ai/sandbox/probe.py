"""`python -m fl_server_ai.sandbox.probe`: raises the walls in a process of its own and prints which are missing."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Collection
from typing import NoReturn

from fl_server_ai.sandbox.births import become_reaper, fork_apart
from fl_server_ai.sandbox.walls import Birth, raise_walls

_MEMORY_MB = 512
_LONGEST = 1 << 16


def missing_walls(without: Collection[str] = ()) -> dict[str, str]:
    """The walls that don't stand around a process that is forked here, and why. After `become_reaper`.

    Raises:
        OSError, ValueError: the process failed.
    """
    ours, theirs = socket.socketpair()

    def report(birth: Birth) -> NoReturn:
        try:
            missing = raise_walls(_MEMORY_MB, birth=birth, without=without)
            theirs.sendall(json.dumps(missing).encode())
        finally:
            os._exit(0)

    with ours:
        with theirs:
            pid = fork_apart(report, without)
        content = b""
        while piece := ours.recv(_LONGEST):
            content += piece
    os.waitpid(pid, 0)
    missing: dict[str, str] = json.loads(content)
    return missing


if __name__ == "__main__":
    become_reaper()
    sys.stdout.write(json.dumps(missing_walls()))
