"""What Python itself, which can ask for anything, gets behind the walls. A model gets no further."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys

import pytest

from fl_server_ai.sandbox import sandbox_support, seccomp
from tests.ai.sandbox.sandboxes import needs_every_wall

_LOCKED = """
import ctypes, mmap, os, resource, socket, subprocess, sys, threading, signal
from fl_server_ai.sandbox import limits
stream, _ = socket.socketpair()
limits.lock_down(2048)
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


def attempt(code: str) -> str:
    """The outcome of one line of Python in a locked process."""
    # One thread, as in the sandbox: the C library passes setuid on to all threads by signals, and ends the process when
    # these are refused.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _LOCKED.format(attempt=code)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)
    return done.stdout


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
    done = subprocess.run(
        [sys.executable, "-c", _LOCKED.format(attempt="os.abort()")], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -6


def test_what_is_missing_is_told_in_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seccomp, "is_available", lambda: False)
    monkeypatch.delattr(resource, "prlimit")
    missing = sandbox_support()
    assert len(missing) >= 2
    assert all(sentence.endswith(".") for sentence in missing)
