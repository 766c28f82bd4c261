"""One sandboxed process, as the server sees it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from typing import Any, TypeGuard

from fl_server_ai.sandbox.births import EXIT_STATUS_SIGNALS
from fl_server_ai.sandbox.channel import (
    Channel,
    ChannelClosed,
    ChannelTimeout,
    Message,
    ProtocolError,
    blocking_pair,
    pack_arrays,
    unpack_arrays,
)
from fl_server_ai.sandbox.configuration import RequestLimits
from fl_server_ai.sandbox.errors import (
    DeviceFailed,
    InvalidInput,
    ModelNotTrusted,
    ModelRunError,
    ModelStopped,
    NeedsAllWalls,
    SandboxError,
    SandboxFailed,
    WrongShape,
)
from fl_server_ai.sandbox.forking import Zygote
from fl_server_ai.sandbox.job import Job, Reply
from fl_server_ai.sandbox.limits import cpu_seconds
from fl_server_ai.sandbox.zygote import WALLS_DOWN

logger = logging.getLogger(__name__)

# Between jobs there is nothing to compute. Threads that a model left behind have this much until they are ended.
_IDLE_CPU_SECONDS = 1
# The hard limit of a process: the CPU time of so many jobs that use all they may. Then a new process takes its place.
_JOBS_IN_A_LIFE = 10
_MAX_MESSAGE = 1000
_ERRORS: dict[str, type[ModelRunError | InvalidInput]] = {
    "input": InvalidInput,
    "shape": WrongShape,
    "trust": ModelNotTrusted,
    "walls": NeedsAllWalls,
}


class Child:
    """One sandboxed process. Not thread-safe: it belongs to one job at a time."""

    def __init__(self, zygote: Zygote, limits: RequestLimits) -> None:
        ours, theirs = blocking_pair()
        with theirs:
            try:
                self._pid = zygote.fork(theirs)
            except SandboxError:
                ours.close()
                raise
        self._zygote = zygote
        self._limits = limits
        self._life = limits.cpu_seconds * _JOBS_IN_A_LIFE
        self._stream = ours
        self._channel = Channel(ours)
        self._status: int | None = None
        self.is_free = True

    def is_alive(self) -> bool:
        """An idle process sends nothing. If there is something to read, it has ended, or talks out of turn."""
        self._stream.setblocking(False)
        try:
            self._stream.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def run(self, job: Job) -> Reply:
        """Have the job done. Whatever is raised, `is_free` says whether the process can do another one.

        Raises:
            ModelStopped: the process is lost.
            ModelRunError, InvalidInput: the task failed. What reading a model raises goes through.
        """
        self.is_free = False
        try:
            self._allow_cpu(self._limits.cpu_seconds)
            message = self._exchange(job)
            self._allow_cpu(_IDLE_CPU_SECONDS)
            reply = _reply(message)
            is_free = self._has_time_left() and not isinstance(reply, DeviceFailed)  # it may work again
        except ChannelTimeout:
            raise ModelStopped(
                f"The model did not answer within {self._limits.seconds:g} seconds and was stopped."
            ) from None
        except ChannelClosed:
            raise self._cause_of_death() from None
        except ProtocolError as error:
            raise ModelStopped(f"The model's answer was refused. {error}") from None
        self.is_free = is_free
        if isinstance(reply, Exception):
            raise reply
        return reply

    def end(self) -> int:
        """Kill the process. Returns its wait status."""
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
            raise ProtocolError("It asks for models that are not part of the job.")
        for position in wanted:
            try:
                content = job.models[position].read()
            except Exception:
                self._channel.send({"cancel": True}, (), self._deadline())
                self.is_free = True
                raise
            self._channel.send({}, [content], self._deadline())
        return self._channel.receive(job.max_reply, self._deadline())

    def _allow_cpu(self, seconds: float) -> None:
        """Let the process use so much CPU time from now on."""
        hard = int(self._life) + 1
        self._zygote.limit(self._pid, min(int(self._cpu_seconds() + seconds) + 1, hard), hard)

    def _has_time_left(self) -> bool:
        """Can another job use all the CPU time that it may, before the process meets its hard limit?"""
        return self._cpu_seconds() + self._limits.cpu_seconds < self._life

    def _cpu_seconds(self) -> float:
        try:
            return cpu_seconds(self._pid)
        except OSError as error:
            raise ChannelClosed from error

    def _deadline(self) -> float:
        # Anew for each step: a slow storage is not the model's fault.
        return time.monotonic() + self._limits.seconds

    def _cause_of_death(self) -> SandboxError:
        status = self.end()
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else code if code in EXIT_STATUS_SIGNALS else 0
        if code == WALLS_DOWN:
            logger.error("A sandboxed process could not raise the walls that stood at the start.")
            return SandboxFailed()
        if number == signal.SIGXCPU:
            limit = f"{self._limits.cpu_seconds:g} seconds of CPU time"
            return ModelStopped(f"The model used more than {limit} and was stopped.")
        name = signal.Signals(number).name if number else "its process ended"
        return ModelStopped(f"The model crashed ({name}).")


def _is_list_of_positions(value: object, count: int) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and all(type(position) is int and 0 <= position < count for position in value)
        and len(set(value)) == len(value)
    )


def _reply(message: Message) -> Reply | ModelRunError | InvalidInput | DeviceFailed:
    """What a process says, which may be hostile. Raises ProtocolError where it makes no sense."""
    header: dict[str, Any] = message.header
    if "error" in header:
        if header["error"] == "device":
            logger.error("The device for models can't be used: %r", str(header.get("message"))[:_MAX_MESSAGE])
            return DeviceFailed()
        kind = _ERRORS.get(str(header["error"]), ModelRunError)
        return kind(str(header.get("message"))[:_MAX_MESSAGE])
    result = header.get("result")
    if not isinstance(result, dict):
        raise ProtocolError("It has no result.")
    return Reply(result, unpack_arrays(header.get("arrays"), message.blobs))
