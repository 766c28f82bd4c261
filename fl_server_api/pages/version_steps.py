"""The buttons beside a version: what each asks, and the service that it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from fl_server_core.exceptions import InvalidRequest
from fl_server_core.models import User
from fl_server_core.services.versions import describe_version, restore_version

Form = Mapping[str, str]
NAME_LENGTH = 256


@dataclass(frozen=True)
class VersionStep:
    """take: does it, and returns what to tell. describes: whether a name and a pin are asked for."""

    name: str
    title: str
    question: str
    take: Callable[[UUID, int, User, Form], str]
    describes: bool = False


def _restore(model_id: UUID, number: int, user: User, _form: Form) -> str:
    restored = restore_version(model_id=model_id, number=number, user=user)
    return f"Version {number} restored as version {restored}."


def _describe(model_id: UUID, number: int, user: User, form: Form) -> str:
    name = form.get("name", "").replace("\0", "").strip()
    if len(name) > NAME_LENGTH:
        raise InvalidRequest(f"A name has at most {NAME_LENGTH} characters.")
    describe_version(model_id=model_id, number=number, user=user, name=name, pinned="pinned" in form)
    return f"Version {number} changed."


_ALL = (
    VersionStep("restore", "Restore",
                "The file of this version becomes a new version, the current one. Nothing is deleted. If the model's "
                "training has failed, its open round asks for new submissions.", _restore),
    VersionStep("describe", "Name and pin", "The file of a version with a name or a pin is kept.", _describe,
                describes=True),
)  # fmt: skip
STEPS = {step.name: step for step in _ALL}
