"""Each wall is taken away, and each attack meets another one; and each wall alone stops what it is there to stop."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fl_server_ai.inference.server_sandbox import close_sandbox, get_sandbox
from fl_server_ai.sandbox import ChildSetup, child, landlock, walls
from fl_server_ai.sandbox.identity import NOBODY
from fl_server_ai.sandbox.namespaces import FLAGS
from tests.ai.sandbox import attacks
from tests.ai.sandbox.attacks import Prey

Break = Callable[[str, list[str]], str]

_FILES = ["system_calls", "landlock", "mounts", "descriptors"]
_TRACING = ["system_calls", "landlock", "pids", "uid", "capabilities"]
# The walls that each stop an attack alone. With a plus: only together. With a number: from that version of Landlock on.
STOPPED_BY = {
    "reads_a_file": _FILES,
    "reads_a_file_of_the_server": [*_FILES, "uid"],
    "writes_a_file": _FILES,
    "connects_by_tcp": ["system_calls", "landlock 4", "network", "descriptors"],
    "sends_by_udp": ["system_calls", "network", "descriptors"],
    "connects_to_an_abstract_socket": ["system_calls", "landlock 6", "network", "descriptors"],
    "connects_to_a_socket_in_a_folder": ["system_calls", "mounts", "descriptors"],
    "signals_the_server": ["system_calls", "landlock 6", "pids", "uid"],
    "signals_another_tenant": ["system_calls", "landlock 6", "pids"],
    "traces_the_server": _TRACING,
    "traces_another_tenant": ["system_calls", "landlock", "pids"],
    "opens_the_memory_of_the_server": [*_FILES, "uid", "capabilities"],
    "attaches_shared_memory_of_another_tenant": ["system_calls", "ipc"],
    "learns_the_name_of_the_machine": ["hostname"],
    "becomes_root": ["system_calls", "uid"],
    "changes_its_root": ["system_calls", "capabilities", "uid"],
    "allocates_16_gigabytes": ["memory"],
    "starts_processes_without_end": ["system_calls", "processes+user+uid+capabilities"],
}
# They succeed for root only, so for others nothing is there to be stopped.
FOR_ROOT = {"becomes_root", "changes_its_root"}
IS_ROOT = os.geteuid() == 0
CASES = [(attack, stop) for attack, stops in STOPPED_BY.items() for stop in stops]


def needed(stop: str) -> tuple[set[str], int]:
    """The walls of an entry, and the version of Landlock."""
    names, _, version = stop.partition(" ")
    together = set(names.split("+"))
    if not IS_ROOT and together & FLAGS.keys():
        together |= {"user"}  # only in a namespace of users may others make the other namespaces
    if not IS_ROOT and len(together) > 1:
        together -= {"uid"}  # nobody but root is bound by more than its uid to begin with
    return together, int(version or 0)


def why_absent(stop: str) -> str:
    """Why the system does not offer these walls; empty where it does."""
    names, version = needed(stop)
    reasons = [f"{wall.name}: {wall.why_not}" for wall in walls.standing() if wall.name in names and not wall.stands]
    if names == {"capabilities"} and not IS_ROOT:
        reasons.append("The server isn't root, so it has no capabilities to give up.")
    if landlock.version() < version:
        reasons.append(f"This kernel has version {landlock.version()} of Landlock. It takes {version}.")
    return " ".join(reasons)


@pytest.fixture(scope="module")
def prey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prey]:
    """A server that listens, a process of its user and one of nobody's, files, and a segment of shared memory."""
    if not sys.platform.startswith("linux"):
        pytest.skip("The walls are Linux's.")
    library = ctypes.CDLL(None)
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("prey")
        for parent in (folder, *folder.parents[:3]):
            if parent.stat().st_mode & 0o777 == 0o700:
                parent.chmod(0o711)
        folder.chmod(0o777)
        secret = folder / "secret"
        secret.write_text("x")
        secret.chmod(0o600)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
        abstract, path = f"\0prey-{os.getpid()}", str(folder / "socket")
        for address in (abstract, path):
            stream = stack.enter_context(socket.socket(socket.AF_UNIX))
            stream.bind(address)
            stream.listen(100)
        os.chmod(path, 0o777)
        processes = [
            stack.enter_context(
                subprocess.Popen(["sleep", "600"], user=user, group=user, extra_groups=None if user is None else [])
            )
            for user in (None, NOBODY if IS_ROOT else None)
        ]
        for process in processes:
            stack.callback(process.kill)
        segment = library.shmget(0, 4096, 0o1666)
        stack.callback(library.shmctl, segment, 0, None)
        yield Prey(
            secret=str(secret),
            folder=str(folder),
            port=tcp.getsockname()[1],
            abstract=abstract,
            path=path,
            server=processes[0].pid,
            tenant=processes[1].pid,
            segment=segment,
            hostname=os.uname().nodename,
        )


@pytest.fixture(scope="module")
def broken(prey: Prey) -> Iterator[Break]:
    """Runs an attack in a new process without some of the walls."""
    program = subprocess.Popen(
        [sys.executable, "-m", "tests.ai.sandbox.attacks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert program.stdin is not None
    assert program.stdout is not None
    ask, answers = program.stdin, program.stdout

    def run(attack: str, without: list[str]) -> str:
        ask.write(attacks.as_line(attack, prey, without))
        ask.flush()
        return answers.readline().strip().strip('"')

    with program:
        yield run
        ask.close()


def test_every_attack_is_known_to_be_stopped_by_something() -> None:
    assert STOPPED_BY.keys() == attacks.ALL.keys()
    assert {name for stops in STOPPED_BY.values() for stop in stops for name in needed(stop)[0]} <= walls.STOPS.keys()


@pytest.mark.parametrize("attack", STOPPED_BY)
def test_without_any_wall_the_attack_succeeds(broken: Break, attack: str) -> None:
    if attack in FOR_ROOT and not IS_ROOT:
        pytest.skip("Only root can do it at all.")
    assert broken(attack, list(walls.STOPS)) == "done"


@pytest.mark.parametrize(("attack", "stop"), CASES)
def test_a_wall_stops_the_attack_alone(broken: Break, attack: str, stop: str) -> None:
    if reason := why_absent(stop) or ("Only root can do it at all." if attack in FOR_ROOT and not IS_ROOT else ""):
        pytest.skip(reason)
    assert broken(attack, sorted(walls.STOPS.keys() - needed(stop)[0])) == "refused"


@pytest.mark.parametrize("wall", walls.STOPS)
def test_with_one_wall_taken_away_the_others_stop_every_attack_that_they_know(broken: Break, wall: str) -> None:
    got_through = set()
    for attack, stops in STOPPED_BY.items():
        others = [stop for stop in stops if wall not in needed(stop)[0] and not why_absent(stop)]
        if others and broken(attack, [wall]) != "refused":
            got_through.add(attack)
    assert got_through == set()


def test_the_summary_counts_the_walls_and_says_which_are_missing_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [walls.Wall(name, "", name != "mounts", "It is not offered." * (name == "mounts")) for name in walls.STOPS]
    monkeypatch.setattr(walls, "standing", lambda: tuple(found))
    assert walls.summary() == "Models run behind 13 of 14 walls. Without mounts: It is not offered."


def test_walls_that_cannot_be_looked_at_do_not_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walls, "command", lambda _module: [sys.executable, "-c", "raise SystemExit(1)"])
    walls.standing.cache_clear()
    try:
        assert {wall.stands for wall in walls.standing()} == {False}
        assert all(wall.why_not for wall in walls.standing())
    finally:
        walls.standing.cache_clear()


def test_settings_of_the_server_leave_out_no_wall() -> None:
    with ExitStack() as stack:
        stack.callback(close_sandbox)
        assert get_sandbox()._zygote._setup.without == ()


def test_a_process_that_cannot_raise_a_wall_that_stands_elsewhere_runs_no_model() -> None:
    stream, theirs = socket.socketpair()
    with stream, theirs:
        prepared = child.Prepared(ChildSetup("x"), {}, ())
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                # As where the kernel has no more namespaces to give.
                setattr(child, "raise_walls", lambda *_, **__: {"mounts": "No space left on device."})  # noqa: B010
                child.serve(theirs, prepared, walls.Birth({}, lambda: None), missing=["uid"])
            except walls.WallsDown:
                status = 0
            finally:
                os._exit(status)
        assert os.waitpid(pid, 0)[1] == 0
