"""The server's handles on the zygote and on one sandboxed process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import fl_server_ai
from fl_server_ai.inference.exceptions import InputShapeMismatch, InvalidInput, ModelRunError, SandboxFailed
from fl_server_ai.inference.sandbox.channel import (
    Channel,
    ChannelClosed,
    ChannelTimeout,
    Message,
    ProtocolError,
    pack_arrays,
    unpack_arrays,
)
from fl_server_ai.inference.sandbox.job import Answer, Job
from fl_server_ai.inference.sandbox.limits import limit_cpu
from fl_server_ai.inference.sandbox.zygote import ANSWER, COMMAND, END, FORK, ChildLimits

START_SECONDS = 120
_COMMAND_SECONDS = 30
# Between requests there is nothing to compute: threads that a model left behind have this much until they are ended.
_IDLE_CPU_SECONDS = 1
_MAX_MESSAGE = 1000


class ChildLost(Exception):
    """The process is of no use any more; the text, a sentence, says why."""


class Zygote:
    """Starts the program that processes are forked from, when first needed and whenever it is gone. Thread-safe."""

    def __init__(self, limits: ChildLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def fork(self, stream: socket.socket) -> int:
        """The id of a new process that serves the stream. Raises SandboxFailed."""
        with self._lock:
            for _ in range(2):  # an old zygote may have died unnoticed
                try:
                    control = self._running()
                    socket.send_fds(control, [COMMAND.pack(FORK, 0)], [stream.fileno()])
                    return _read_answer(control)
                except OSError as error:
                    self._stop()
                    cause = error
            raise SandboxFailed from cause

    def end(self, pid: int) -> int:
        """Kill a process and return its wait status: its own, if it was dead already."""
        with self._lock:
            if self._control is None:
                return signal.SIGKILL  # the zygote went, and its processes with it
            try:
                self._control.sendall(COMMAND.pack(END, pid))
                return _read_answer(self._control)
            except OSError:
                self._stop()
                return signal.SIGKILL

    def close(self) -> None:
        """End it, and with it every process."""
        with self._lock:
            self._stop()

    def abandon(self) -> None:
        """After a fork: let go of what belongs to the parent process."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for

    def _running(self) -> socket.socket:
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                self._process = _spawn(theirs.fileno(), self._limits)
            self._control.settimeout(START_SECONDS)
            _read_answer(self._control)
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


def _spawn(descriptor: int, limits: ChildLimits) -> subprocess.Popen[bytes]:
    """A new interpreter that gets this descriptor, its standard streams and nothing of the server's environment."""
    root = str(Path(fl_server_ai.__file__).parent.parent)
    environment = {
        "PYTHONPATH": os.pathsep.join([root, *_added_paths(root)]),
        "LANG": "C.UTF-8",
        # A library with threads could not be forked; they are started after it.
        **dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "1"),
    }
    program = [sys.executable, "-P", "-s", "-m", "fl_server_ai.inference.sandbox"]
    return subprocess.Popen(  # noqa: S603 - our own program and no shell
        [*program, str(descriptor), limits.to_json()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environment,
        pass_fds=[descriptor],
    )


def _added_paths(root: str) -> list[str]:
    """Where the operator's own packages (FL_TRUSTED_GLOBALS) may lie."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != root]


def _read_answer(control: socket.socket) -> int:
    content = b""
    while len(content) < ANSWER.size:
        piece = control.recv(ANSWER.size - len(content))
        if not piece:
            raise ConnectionResetError("The zygote has ended.")
        content += piece
    (answer,) = ANSWER.unpack(content)
    return int(answer)


@dataclass(frozen=True)
class RequestLimits:
    """Seconds of wall-clock time, and of CPU time, that one request may take."""

    seconds: float
    cpu_seconds: float


class Child:
    """One sandboxed process. Not thread-safe: it belongs to one request at a time."""

    def __init__(self, zygote: Zygote, limits: RequestLimits) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._pid = zygote.fork(theirs)
            except SandboxFailed:
                ours.close()
                raise
        self._zygote = zygote
        self._limits = limits
        self._stream = ours
        self._channel = Channel(ours)
        self._status: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    def is_alive(self) -> bool:
        """Nothing is to be read from an idle process; if there is, it has ended, or talks out of turn."""
        self._stream.setblocking(False)
        try:
            self._stream.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def ask(self, job: Job) -> Answer:
        """Have the job done.

        Raises:
            ModelRunError, InvalidInput, InputShapeMismatch: it failed, and the process can do the next one.
            ChildLost: it failed, and the process must be ended.
        """
        try:
            self._allow_cpu(self._limits.cpu_seconds)
            message = self._exchange(job)
            self._allow_cpu(_IDLE_CPU_SECONDS)
        except ChannelTimeout:
            raise ChildLost(
                f"The model did not answer within {self._limits.seconds:g} seconds and was stopped."
            ) from None
        except ChannelClosed:
            raise ChildLost(self._cause_of_death()) from None
        except ProtocolError as error:
            raise ChildLost(f"The model's answer was refused. {error}") from None
        return _answer(message)

    def end(self) -> int:
        """Kill the process; its wait status."""
        if self._status is None:
            self._channel.close()
            self._status = self._zygote.end(self._pid)
        return self._status

    def abandon(self) -> None:
        """After a fork: let go of the stream, leave the process alone."""
        self._channel.close()

    def _exchange(self, job: Job) -> Message:
        description, blobs = pack_arrays(job.arrays)
        header = {"task": job.task, "options": dict(job.options), "arrays": description}
        header["models"] = [[source.name, source.key] for source in job.models]
        self._channel.send(header, blobs, self._deadline())
        wanted = self._channel.receive(0, self._deadline()).header.get("missing")
        if not _is_list_of_positions(wanted, len(job.models)):
            raise ProtocolError("It asks for models that are none.")
        for position in wanted:
            try:
                content = job.models[position].read()
            except Exception:
                self._channel.send({"cancel": True}, (), self._deadline())
                raise
            self._channel.send({}, [content], self._deadline())
        return self._channel.receive(job.max_answer, self._deadline())

    def _allow_cpu(self, seconds: float) -> None:
        try:
            limit_cpu(self._pid, seconds)
        except (ProcessLookupError, FileNotFoundError) as error:
            raise ChannelClosed from error

    def _deadline(self) -> float:
        # Anew for each step: how long a storage takes to hand out a model is not the model's fault.
        return time.monotonic() + self._limits.seconds

    def _cause_of_death(self) -> str:
        status = self.end()
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        if number == signal.SIGXCPU:
            return f"The model used more than {self._limits.cpu_seconds:g} seconds of CPU time and was stopped."
        name = signal.Signals(number).name if number else "its process ended"
        return f"The model crashed ({name})."


def _is_list_of_positions(value: object, count: int) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and all(type(position) is int and 0 <= position < count for position in value)
        and len(set(value)) == len(value)
    )


def _answer(message: Message) -> Answer:
    header: dict[str, Any] = message.header
    if "error" in header:
        text = str(header.get("message"))[:_MAX_MESSAGE]
        match header["error"]:
            case "shape":
                raise InputShapeMismatch
            case "input":
                raise InvalidInput(text)
            case _:
                raise ModelRunError(text)
    result = header.get("result")
    if not isinstance(result, dict):
        raise ChildLost("The model's answer was refused. It has no result.")
    try:
        return Answer(result, unpack_arrays(header.get("arrays"), message.blobs))
    except ProtocolError as error:
        raise ChildLost(f"The model's answer was refused. {error}") from None
