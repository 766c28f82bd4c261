"""What Python itself, which can ask for anything, gets behind the walls. A model gets no further."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fl_server_ai.sandbox import sandbox_support, seccomp
from tests.ai.sandbox.sandboxes import needs_every_wall

_LOCKED = """
import ctypes, mmap, os, resource, socket, subprocess, sys, threading, signal
from fl_server_ai.sandbox.walls import raise_walls
stream, _ = socket.socketpair()
raise_walls(2048)
try:
    {attempt}
except OSError as error:
    os.write(1, b"refused")
except MemoryError:
    os.write(1, b"no memory")
else:
    os.write(1, b"done")
os._exit(0)
"""


# As in the sandbox: walls are a thread's.
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def attempt(code: str) -> str:
    """The outcome of one line of Python in a locked process."""
    return run_locked(code).stdout


def run_locked(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _LOCKED.format(attempt=code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=150, check=False, env=ONE_THREAD)


@needs_every_wall
@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd')",
        "open('/tmp/x', 'w')",
        "os.listdir('/')",
        "os.stat('/etc/passwd')",
        "os.readlink('/proc/self/exe')",
        "os.unlink('/tmp/x')",
        "os.mkdir('/tmp/y')",
        "socket.socket()",
        "socket.socketpair()",
        "stream.connect('/run/x')",
        "os.fork()",
        "os.posix_spawn('/bin/true', ['true'], {})",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), 0)",
        "os.kill(os.getpid(), 0)",
        "signal.pidfd_send_signal(0, 0)",
        "os.memfd_create('x')",
        "os.pipe()",
        "os.dup(1)",
        "os.setuid(0)",
        "os.chroot('/')",
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
        "resource.prlimit(0, resource.RLIMIT_CPU)",
        "os.sched_setaffinity(0, [0])",
        "os.getxattr('/etc/passwd', 'user.x')",
    ],
)
def test_what_reaches_outside_is_refused(code: str) -> None:
    assert attempt(code) == "refused"


@needs_every_wall
@pytest.mark.parametrize(("operation", "outcome"), [(4, -1), (15, 0), (22, -1), (38, -1)])
def test_of_the_operations_on_a_process_only_names_are_allowed(operation: int, outcome: int) -> None:
    code = f"os.write(1, str(ctypes.CDLL(None).prctl({operation}, b'x', 0, 0, 0)).encode() + b' ')"
    assert attempt(code) == f"{outcome} done"


@needs_every_wall
def test_a_process_is_not_to_be_had_by_a_call_of_clone_either() -> None:
    # SIGCHLD, no stack: what fork does.
    number = 56 if platform.machine() == "x86_64" else 220
    code = f"os.write(1, str(ctypes.CDLL(None).syscall({number}, 17, 0, 0, 0, 0)).encode())"
    assert attempt(code) == "-1done"


def test_computing_threads_and_the_open_stream_stay() -> None:
    code = "t = threading.Thread(target=print); t.start(); t.join(); bytearray(1 << 20); stream.send(b'x')"
    assert attempt(code).strip() == "done"


def test_memory_ends_where_it_was_said_to() -> None:
    assert attempt("bytearray(3 << 30)") == "no memory"


@needs_every_wall
def test_abort_ends_the_process_by_its_own_signal() -> None:
    assert run_locked("os.abort()").returncode == -6


def test_walls_are_not_raised_where_a_thread_would_stay_outside_of_them() -> None:
    code = _LOCKED.replace(
        "raise_walls(2048)", "threading.Thread(target=signal.pause, daemon=True).start(); raise_walls(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code.format(attempt="0")], capture_output=True, text=True, timeout=150, check=False
    )
    assert "RuntimeError: A thread was started before the walls" in done.stderr


@needs_every_wall
def test_the_process_gets_no_more_rights_and_its_memory_is_its_own() -> None:
    # PR_GET_DUMPABLE is refused afterwards: the kernel tells by the owner of the process's files.
    code = "print(os.getpid(), flush=True); stream.recv(1)"
    command = [sys.executable, "-c", _LOCKED.replace("stream, _ =", "stream, other =").format(attempt=code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ONE_THREAD) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        owner = Path(f"/proc/{pid}/environ").stat().st_uid
        process.kill()
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]
    assert {int(status[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert owner == 0
    if os.geteuid() == 0:
        assert status["Uid"] == status["Gid"] == ["65534"] * 4
        assert status["Groups"] == []


def test_what_is_missing_is_told_in_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    monkeypatch.delattr(resource, "prlimit")
    missing = sandbox_support()
    assert len(missing) >= 2
    assert all(sentence.endswith(".") for sentence in missing)
