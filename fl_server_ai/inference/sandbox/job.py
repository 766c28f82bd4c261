"""What is asked of a sandboxed process, and what it answers, as the server holds it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fl_server_ai.inference.sandbox.channel import Array, Blob

MAX_ANSWER = 256 << 20
PREPROCESSING = "preprocessing"
"""The name of what makes the models' input of what is given."""


@dataclass(frozen=True)
class ModelSource:
    """A model that a job needs.

    name: its part in the job. key: the same for the same bytes, for ever: the name of a file that is never changed.
    read: its bytes, asked only where the process does not have the model; may raise ModelRunError to refuse it.
    """

    name: str
    key: str
    read: Callable[[], Blob]

    def named(self, name: str) -> ModelSource:
        """The same model in another part."""
        return replace(self, name=name)


@dataclass(frozen=True)
class Job:
    """A task's name with what it needs, and how many bytes its answer may have."""

    task: str
    models: Sequence[ModelSource] = ()
    arrays: Mapping[str, Array] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    max_answer: int = MAX_ANSWER


@dataclass(frozen=True)
class Answer:
    """result: JSON that a model may have had a hand in. arrays: views of the answer's bytes."""

    result: dict[str, Any]
    arrays: dict[str, Array]
