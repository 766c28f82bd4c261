"""The life of a sandboxed process: locked down, it does jobs until the other end of its stream closes.

A job is a message {task, options, models: [[name, key], …], arrays}. The first part of the reply says which models are
not loaded here ({missing: [positions]}). Each of these follows as a message with the file as its blob, or {cancel}. The
second part is {result, arrays} or {error: kind, message}.
"""

from __future__ import annotations

import re
import socket
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from fl_server_ai.sandbox import loading
from fl_server_ai.sandbox.channel import Blob, Channel, ChannelClosed, Message, pack_arrays, unpack_arrays
from fl_server_ai.sandbox.configuration import ChildSetup
from fl_server_ai.sandbox.devices import CPU, use_device
from fl_server_ai.sandbox.errors import InvalidInput, ModelNotTrusted, ModelRunError, NeedsAllWalls, WrongShape
from fl_server_ai.sandbox.limits import limit_files
from fl_server_ai.sandbox.loading import ModelCache, load_module
from fl_server_ai.sandbox.tasks import Task, load_tasks
from fl_server_ai.sandbox.trusted import import_trusted
from fl_server_ai.sandbox.walls import Birth, WallsDown, raise_walls

MODEL, TRUST, INPUT, SHAPE, WALLS, DEVICE = "model", "trust", "input", "shape", "walls", "device"
_KINDS: dict[type[Exception], str] = {
    InvalidInput: INPUT,
    WrongShape: SHAPE,
    ModelNotTrusted: TRUST,
    NeedsAllWalls: WALLS,
}
_LONGEST_MESSAGE = 500
_NO_MEMORY = ("std::bad_alloc", "can't allocate memory")
_ERROR_LINE = re.compile(r"(?:[\w.]*(?:Error|Exception)): (.+)")


@dataclass(frozen=True)
class Prepared:
    """What a child is born with: its setup, its tasks, and the trusted modules that could not be imported."""

    setup: ChildSetup
    tasks: Mapping[str, Task]
    failed: Collection[str]


def prepare(setup: ChildSetup) -> Prepared:
    """In the zygote: import everything that a job may need, since a locked process can open no file."""
    warnings.simplefilter("ignore")
    loading.warm_up()
    failed = import_trusted(setup.trusted)
    return Prepared(setup, load_tasks(setup.tasks), failed)


def serve(stream: socket.socket, prepared: Prepared, birth: Birth, missing: Collection[str]) -> None:
    """In the forked process: give up everything, then do jobs.

    missing: walls that this system does not offer. Raises WallsDown where others could not be raised.
    """
    import torch

    torch.seed()  # or every process would draw the zygote's random numbers
    setup = prepared.setup
    found = raise_walls(setup.memory_mb, threads=setup.threads, birth=birth, without=setup.without)
    if not found.keys() <= set(missing):
        raise WallsDown
    # It starts threads: before the walls they would stay outside of them.
    torch.set_num_threads(setup.threads)
    torch.set_num_interop_threads(1)
    problem = ""
    if setup.device != CPU:  # a driver starts threads, too
        limit_files()
        problem = use_device(setup.device, setup.memory_mb)
    worker = Worker(Channel(stream), prepared, problem)
    try:
        while True:
            worker.do_next()
    except ChannelClosed:
        return


class Worker:
    """Does one job at a time."""

    def __init__(self, channel: Channel, prepared: Prepared, problem: str = "") -> None:
        """problem: why the device can't be used; every job then fails with it."""
        self._channel = channel
        self._prepared = prepared
        self._problem = problem
        self._cache = ModelCache(prepared.setup.cache_mb << 20)

    def do_next(self) -> None:
        """Read a job, do it, reply. Raises ChannelClosed where the other end is gone."""
        job = self._channel.receive()
        if self._problem:
            self._channel.send({"missing": []})
            self._channel.send({"error": DEVICE, "message": self._problem})
            return
        named: list[list[str]] = job.header["models"]
        # Held from here on: loading one model of the job may push another of it out of the cache.
        loaded = {key: model for _, key in named if (model := self._cache.get(key)) is not None}
        missing = [position for position, (_, key) in enumerate(named) if key not in loaded]
        self._channel.send({"missing": missing})
        files: dict[str, bytearray] = {}
        for position in missing:
            message = self._channel.receive()
            if message.header.get("cancel"):
                return
            files[named[position][1]] = message.blobs[0]
        try:
            for key, content in files.items():
                loaded[key] = self._load(content)
                self._cache.put(key, loaded[key], len(content))
            header, blobs = self._run(job, {name: loaded[key] for name, key in named})
        # The edge to code that anyone may have written: it can raise anything, and all of it is the model's failure.
        except Exception as error:  # noqa: BLE001  see above
            header, blobs = {"error": _KINDS.get(type(error), MODEL), "message": _sentence(error)}, []
        self._channel.send(header, blobs)

    def _load(self, content: bytearray) -> Any:
        setup = self._prepared.setup
        return load_module(content, setup.trusted, self._prepared.failed, may_script=setup.device == CPU)

    def _run(self, job: Message, models: dict[str, Any]) -> tuple[dict[str, Any], list[Blob]]:
        arrays = unpack_arrays(job.header["arrays"], job.blobs)
        result, found = self._prepared.tasks[job.header["task"]](models, arrays, job.header["options"])
        description, blobs = pack_arrays(found)
        return {"result": result, "arrays": description}, blobs


def _sentence(error: Exception) -> str:
    """The model's own message: its first line; of a traceback that TorchScript put into one, the last error in it."""
    text = str(error).strip()
    if type(error) in _KINDS or isinstance(error, ModelRunError):
        return text
    if isinstance(error, ModuleNotFoundError):
        return f"The model needs the package {error.name}, which this server does not have."
    errors = _ERROR_LINE.findall(text)
    line = errors[-1] if errors else text.partition("\n")[0]
    if isinstance(error, MemoryError) or any(words in line for words in _NO_MEMORY):
        return "The model could not allocate memory: it asked for more than the operator allows (FL_SANDBOX_MEMORY_MB)."
    line = "".join(character for character in line if character.isprintable())[:_LONGEST_MESSAGE].strip()
    return f"The model failed: {line or type(error).__name__}"
