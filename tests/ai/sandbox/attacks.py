"""What code does that has broken out of a model: anything that Python can ask of the kernel.

An attack raises OSError where it is refused. `python -m tests.ai.sandbox.attacks` runs them behind chosen walls, for
`test_walls.py`: a line of JSON for each, as in the sandbox forked from a program that has one thread.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NoReturn

from fl_server_ai.sandbox import kernel
from fl_server_ai.sandbox.births import become_reaper, fork_apart
from fl_server_ai.sandbox.walls import Birth, raise_walls

_MEMORY_MB = 512
_PTRACE_ATTACH = 16
_MANY = 100


@dataclass(frozen=True)
class Prey:
    """What there is outside to reach. server, tenant: ids of processes of the server's user and of nobody."""

    secret: str
    folder: str
    port: int
    abstract: str
    path: str
    server: int
    tenant: int
    segment: int
    hostname: str


def reads_a_file(_prey: Prey) -> None:
    with open("/etc/passwd") as file:
        file.read()


def reads_a_file_of_the_server(prey: Prey) -> None:
    with open(prey.secret) as file:
        file.read()


def writes_a_file(prey: Prey) -> None:
    with open(f"{prey.folder}/written-{os.getpid()}", "w") as file:
        file.write("x")


def connects_by_tcp(prey: Prey) -> None:
    with socket.socket() as stream:
        stream.connect(("127.0.0.1", prey.port))


def sends_by_udp(prey: Prey) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as stream:
        stream.sendto(b"x", ("127.0.0.1", prey.port))


def connects_to_an_abstract_socket(prey: Prey) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(prey.abstract)


def connects_to_a_socket_in_a_folder(prey: Prey) -> None:
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(prey.path)


def signals_the_server(prey: Prey) -> None:
    # A signal that a process ignores unless it asks for it; and not SIGCONT, which a whole session may send.
    os.kill(prey.server, signal.SIGWINCH)


def signals_another_tenant(prey: Prey) -> None:
    os.kill(prey.tenant, signal.SIGWINCH)


def traces_the_server(prey: Prey) -> None:
    kernel.call("ptrace", _PTRACE_ATTACH, prey.server, None, None)


def traces_another_tenant(prey: Prey) -> None:
    kernel.call("ptrace", _PTRACE_ATTACH, prey.tenant, None, None)


def opens_the_memory_of_the_server(prey: Prey) -> None:
    with open(f"/proc/{prey.server}/mem", "rb"):
        pass


def attaches_shared_memory_of_another_tenant(prey: Prey) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    library.shmat.restype = ctypes.c_ssize_t
    if library.shmat(prey.segment, None, 0) == -1:
        raise OSError(ctypes.get_errno(), "shmat")


def learns_the_name_of_the_machine(prey: Prey) -> None:
    if os.uname().nodename != prey.hostname:
        raise OSError("It has another name.")


def becomes_root(_prey: Prey) -> None:
    os.setresuid(0, 0, 0)


def changes_its_root(_prey: Prey) -> None:
    os.chroot("/")


def allocates_16_gigabytes(_prey: Prey) -> None:
    no_reserve = 0x4000  # MAP_NORESERVE: machines with less memory give it too
    mmap.mmap(-1, 16 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve).close()


def starts_processes_without_end(_prey: Prey) -> None:
    """By clone, without the C library: what would be SIGCHLD alone is what fork asks for."""
    number = 56 if kernel.machine() == "x86_64" else 220
    children: list[int] = []
    try:
        while len(children) < _MANY:
            pid = kernel.call("syscall", number, int(signal.SIGCHLD), 0, 0, 0, 0)
            if pid == 0:
                signal.pause()
            children.append(pid)
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


ALL: dict[str, Callable[[Prey], None]] = {
    attack.__name__: attack
    for attack in (
        reads_a_file,
        reads_a_file_of_the_server,
        writes_a_file,
        connects_by_tcp,
        sends_by_udp,
        connects_to_an_abstract_socket,
        connects_to_a_socket_in_a_folder,
        signals_the_server,
        signals_another_tenant,
        traces_the_server,
        traces_another_tenant,
        opens_the_memory_of_the_server,
        attaches_shared_memory_of_another_tenant,
        learns_the_name_of_the_machine,
        becomes_root,
        changes_its_root,
        allocates_16_gigabytes,
        starts_processes_without_end,
    )
}


def run(attack: str, prey: Prey, without: list[str]) -> str:
    """`done`, `refused`, or what went wrong."""
    ours, theirs = socket.socketpair()

    def locked(birth: Birth) -> NoReturn:
        # What is said reaches the other end although nothing more can be opened.
        try:
            ours.close()
            raise_walls(_MEMORY_MB, birth=birth, without=without)
            theirs.sendall(_outcome(attack, prey).encode())
        except BaseException as error:  # noqa: BLE001 - the last word of this process
            theirs.sendall(f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)

    with ours:
        with theirs:
            pid = fork_apart(locked, without)
        outcome = b""
        while piece := ours.recv(1024):
            outcome += piece
    os.waitpid(pid, 0)
    return outcome.decode()


def _outcome(attack: str, prey: Prey) -> str:
    try:
        ALL[attack](prey)
    except OSError:
        return "refused"
    return "done"


def main() -> None:
    become_reaper()
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            asked = json.loads(line)
            outcome = run(asked["attack"], Prey(**asked["prey"]), asked["without"])
            sys.stdout.write(json.dumps(outcome) + "\n")
            sys.stdout.flush()


def as_line(attack: str, prey: Prey, without: list[str]) -> str:
    return json.dumps({"attack": attack, "prey": asdict(prey), "without": without}) + "\n"


if __name__ == "__main__":
    main()
