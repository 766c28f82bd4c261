"""Sandboxes, jobs and model files for tests."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from fl_server_ai.sandbox import (
    ChildSetup,
    Job,
    ModelSource,
    RequestLimits,
    Sandbox,
    Watch,
    sandbox_support,
    watch_nothing,
)

needs_every_wall = pytest.mark.skipif(bool(sandbox_support()), reason="; ".join(sandbox_support()))


def new_sandbox(
    *,
    processes: int = 1,
    queue: int = 100,
    seconds: float = 20,
    cpu_seconds: float = 20,
    memory_mb: int = 4096,
    cache_mb: int = 64,
    tasks: str = "fl_server_ai.inference.sandboxed",
    trusted: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    threads: int = 1,
    watch: Watch = watch_nothing,
    device: str = "cpu",
) -> Sandbox:
    return Sandbox(
        ChildSetup(tasks, memory_mb, cache_mb, threads=threads, trusted=trusted, device=device, without=without),
        processes=processes,
        queue=queue,
        request=RequestLimits(seconds, cpu_seconds),
        watch=watch,
    )


def scripted_class(of: type) -> Any:
    """A class that TorchScript knows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.* is deprecated")
        return torch.jit.script(of)


def loaded(content: bytes) -> torch.nn.Module:
    """A TorchScript archive, in this process: for tests that know what is in it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.* is deprecated")
        module: torch.nn.Module = torch.jit.load(io.BytesIO(content))  # type: ignore[no-untyped-call]
        return module


def zygote_of(sandbox: Sandbox) -> psutil.Process:
    """The process that a sandbox, which has run something, forks its processes from."""
    process = sandbox._zygote._process
    assert process is not None
    return psutil.Process(process.pid)


def children_of(sandbox: Sandbox) -> set[int]:
    return {child.pid for child in zygote_of(sandbox).children(recursive=True)}


def prediction(*files: bytes, array: Any = None, key: str = "", image: bytes | None = None, **options: Any) -> Job:
    """A job that asks the models in `files`; the default input is two rows of three ones."""
    sources = [_source(str(number), key or str(hash(file)), file) for number, file in enumerate(files)]
    wanted = {"method": "ENSEMBLE", "uncertainty": {}, "input_shape": None, **options}
    if image is not None:
        return Job("predict", sources, {"image": np.frombuffer(image, np.uint8)}, wanted)
    rows = np.ones((2, 3), np.float32) if array is None else np.asarray(array, np.float32)
    return Job("predict", sources, {"input": rows}, wanted)


def _source(name: str, key: str, content: bytes) -> ModelSource:
    return ModelSource(name, f"{key}/{name}", lambda: content)
