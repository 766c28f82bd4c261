"""A device besides the CPU for models to run on, such as a GPU: whether it is there, and which walls it costs.

Its driver opens files, maps huge ranges of addresses and makes system calls of its own while a model runs. So some
walls can't stand around a process that uses it. Such a process runs no TorchScript, which could open files there.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass

from fl_server_ai.sandbox.interpreter import command, environment
from fl_server_ai.sandbox.limits import MEMORY, SYSTEM_CALLS
from fl_server_ai.sandbox.namespaces import MOUNTS
from fl_server_ai.sandbox.walls import DESCRIPTORS, LANDLOCK

CPU, AUTO = "cpu", "auto"
WALLS_IN_THE_WAY = (SYSTEM_CALLS, LANDLOCK, MOUNTS, DESCRIPTORS, MEMORY)
_LOOK_SECONDS = 120
_LONGEST = 300


@dataclass(frozen=True)
class Device:
    """name: as torch calls it, never `auto`. problem: why it can't be used, a sentence; empty if it can."""

    name: str
    problem: str = ""

    @property
    def is_cpu(self) -> bool:
        return self.name == CPU


@functools.cache
def find_device(wanted: str) -> Device:
    """The device that a setting means on this machine. Tried once, in another process: this one never imports torch."""
    if wanted == CPU:
        return Device(CPU)
    try:
        done = subprocess.run(  # noqa: S603 - our own program and no shell
            [*command(__name__), wanted],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(),
            timeout=_LOOK_SECONDS,
            check=True,
        )
        return Device(**json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return Device(wanted, "It could not be looked at: torch failed, or took too long.")


_current = CPU


def current_device() -> str:
    """The device on which this process runs models."""
    return _current


def use_device(name: str, memory_mb: int) -> str:
    """In a sandboxed process: start the device and limit its memory. Returns: what went wrong, or ""."""
    import torch

    global _current
    try:
        if torch.device(name).type == "cuda":
            total = torch.cuda.get_device_properties(name).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, (memory_mb << 20) / total), torch.device(name))
        torch.ones(2, device=name).sum().item()
        _current = name
    except Exception as error:  # noqa: BLE001 - drivers raise anything
        return str(error).strip().partition("\n")[0][:_LONGEST] or type(error).__name__
    return ""


def _look(wanted: str) -> Device:
    import torch

    if wanted == AUTO:
        wanted = "cuda" if torch.cuda.is_available() else CPU
    return Device(wanted, use_device(wanted, 1 << 40))


if __name__ == "__main__":
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # drivers print
    found = _look(sys.argv[1])
    report.write(json.dumps({"name": found.name, "problem": found.problem}))
    report.flush()
    os._exit(0)
