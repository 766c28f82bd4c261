"""The life of a sandboxed process: locked down, it answers requests until the server's end of its stream closes.

A request is a message {task, options, models: [[name, key], …], arrays}. The answer's first part says which models are
not loaded here ({missing: [positions]}); each of these follows as a message with the file as its blob, or {cancel}. The
second part is {result, arrays} or {error: kind, message}.
"""

from __future__ import annotations

import re
import socket
import warnings
from typing import Any

from fl_server_ai.inference.exceptions import InputShapeMismatch, InvalidInput, ModelRunError
from fl_server_ai.inference.sandbox import limits, warm_up
from fl_server_ai.inference.sandbox.channel import Channel, ChannelClosed, Message, pack_arrays, unpack_arrays
from fl_server_ai.inference.sandbox.loading import ModelCache, load_module
from fl_server_ai.inference.sandbox.tasks import TASKS
from fl_server_ai.inference.sandbox.zygote import ChildLimits

MODEL, INPUT, SHAPE = "model", "input", "shape"
_KINDS: dict[type[Exception], str] = {InputShapeMismatch: SHAPE, InvalidInput: INPUT}
_LONGEST_MESSAGE = 500
_NO_MEMORY = ("std::bad_alloc", "can't allocate memory")
_ERROR_LINE = re.compile(r"(?:[\w.]*(?:Error|Exception)): (.+)")


def prepare(given: ChildLimits) -> None:
    """In the zygote: import everything that a request may need, since a locked process can open no file."""
    warnings.simplefilter("ignore")
    warm_up.import_trusted(given.trusted)
    warm_up.run_every_task()


def serve(stream: socket.socket, given: ChildLimits) -> None:
    """In the forked process: give up everything, then answer."""
    import torch

    torch.set_num_threads(given.threads)
    torch.set_num_interop_threads(1)
    torch.seed()  # or every process would draw the zygote's random numbers
    worker = Worker(Channel(stream), given)
    limits.lock_down(given.memory_mb)
    try:
        while True:
            worker.answer()
    except ChannelClosed:
        return


class Worker:
    """Answers one request at a time."""

    def __init__(self, channel: Channel, given: ChildLimits) -> None:
        self._channel = channel
        self._trusted = given.trusted
        self._cache = ModelCache(given.cache_mb << 20)

    def answer(self) -> None:
        """Read a request and answer it. Raises ChannelClosed where the server is gone."""
        request = self._channel.receive()
        named: list[list[str]] = request.header["models"]
        # Held from here on: loading one model of the request may push another of it out of the cache.
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
                loaded[key] = load_module(content, self._trusted)
                self._cache.put(key, loaded[key], len(content))
            models = {name: loaded[key] for name, key in named}
            header, blobs = _run(request, models)
        # The edge to code that anyone may have written: it can raise anything, and all of it is the model's failure.
        except Exception as error:  # noqa: BLE001
            header, blobs = {"error": _KINDS.get(type(error), MODEL), "message": _sentence(error)}, []
        self._channel.send(header, blobs)


def _run(request: Message, models: dict[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    arrays = unpack_arrays(request.header["arrays"], request.blobs)
    result, answer = TASKS[request.header["task"]](models, arrays, request.header["options"])
    description, blobs = pack_arrays(answer)
    return {"result": result, "arrays": description}, blobs


def _sentence(error: Exception) -> str:
    """The model's own message: its first line; of a traceback that TorchScript put into one, the last error in it."""
    text = str(error).strip()
    if isinstance(error, ModelRunError):
        return text
    if isinstance(error, ModuleNotFoundError):
        return f"The model needs the package {error.name}, which this server does not have."
    errors = _ERROR_LINE.findall(text)
    line = errors[-1] if errors else text.partition("\n")[0]
    if isinstance(error, MemoryError) or any(words in line for words in _NO_MEMORY):
        return "The model could not allocate memory: it asked for more than the operator allows (FL_SANDBOX_MEMORY_MB)."
    line = "".join(character for character in line if character.isprintable())[:_LONGEST_MESSAGE].strip()
    return line or type(error).__name__
