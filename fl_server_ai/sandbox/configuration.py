"""How a sandbox is set up."""

from __future__ import annotations

import dataclasses
import json


@dataclasses.dataclass(frozen=True)
class RequestLimits:
    """Seconds of wall-clock time, and of CPU time, that one job may take."""

    seconds: float = 30
    cpu_seconds: float = 30


@dataclasses.dataclass(frozen=True)
class ChildSetup:
    """What a sandboxed process can do and what it may use.

    tasks: the module that holds the tasks, see `tasks.py`. memory_mb: address space beyond what torch maps. cache_mb:
    files of the models kept loaded. threads: of one operation. trusted: names outside torch's own that a pickled model
    may use, as `module.Class`, `module:Class.Inner` or `package.*`. device: where tasks run models,
    see `devices.py`; memory_mb is of its memory then. without: walls to leave out, since a device needs it, or so that
    a test sees whether the others hold.
    """

    tasks: str
    memory_mb: int = 4096
    cache_mb: int = 512
    threads: int = 1
    trusted: tuple[str, ...] = ()
    device: str = "cpu"
    without: tuple[str, ...] = ()

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> ChildSetup:
        values = json.loads(text)
        return cls(**{**values, "trusted": tuple(values["trusted"]), "without": tuple(values["without"])})
