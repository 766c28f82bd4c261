"""What is asked of a sandboxed process, and what it replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fl_server_ai.sandbox.channel import Array, Blob

MAX_REPLY = 256 << 20


@dataclass(frozen=True)
class ModelSource:
    """A model that a job needs.

    name: its part in the job. key: tells files apart, such as the name of a file that never changes. read: its bytes,
    called only where the process does not have the model. What it raises goes through.
    """

    name: str
    key: str
    read: Callable[[], Blob]

    def named(self, name: str) -> ModelSource:
        """The same model in another part."""
        return replace(self, name=name)


@dataclass(frozen=True)
class Job:
    """A task's name with what it needs, and how many bytes of arrays its reply may have."""

    task: str
    models: Sequence[ModelSource] = ()
    arrays: Mapping[str, Array] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    max_reply: int = MAX_REPLY


@dataclass(frozen=True)
class Reply:
    """result: JSON, perhaps written by a hostile model. arrays: views of the reply's bytes."""

    result: dict[str, Any]
    arrays: dict[str, Array]
