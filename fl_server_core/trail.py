"""What a request turns out to be about, for the entry that the trail gets of it. Costs no statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fl_server_core.models.audit import AuditEntry
from fl_server_core.models.model import GlobalModel, LocalModel, Model
from fl_server_core.models.training import Training

MOST_NAMED = 50
"""Accounts that one entry names. Of more, it has the number."""


@dataclass
class Act:
    """A request under way.

    facts: what is known by now of what it is about; the first to say something is right. entries: what is to be written
    besides the entry of the request itself. refused: the ids of those, of several objects, to which it was not done.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    entries: list[AuditEntry] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)


_act: ContextVar[Act | None] = ContextVar("act", default=None)


@contextmanager
def acting() -> Iterator[Act]:
    """What is noted in this block, by this thread, is noted of one act."""
    act = Act()
    token = _act.set(act)
    try:
        yield act
    finally:
        _act.reset(token)


def current_act() -> Act | None:
    return _act.get()


def note(**facts: Any) -> None:
    """Say what the act is about, if there is one: ids, names, numbers."""
    act = _act.get()
    if act is not None:
        for name, value in facts.items():
            if value is not None:
                act.facts.setdefault(name, value)


def note_model(model: Model | None) -> None:
    """The act is about this model, or, if it is an update, about its global model, too."""
    if isinstance(model, LocalModel):
        note(model_id=model.pk, base_id=model.base_model_id, round=model.round)
    elif isinstance(model, GlobalModel):
        note(model_id=model.pk, model_name=model.name)


def note_training(training: Training | None) -> None:
    if training is not None:
        note(training_id=training.pk, model_id=training.model_id)


def short(text: object, length: int) -> str:
    """A text as both databases take it, and no longer than its column."""
    return str(text).replace("\0", "").encode(errors="replace").decode()[:length]


def people_of(user_ids: list[UUID]) -> dict[str, Any]:
    """Details that name accounts, or, where they are many, the first of them and their number."""
    if not user_ids:
        return {}
    named = [str(user_id) for user_id in user_ids[:MOST_NAMED]]
    return {"accounts": named} if len(named) == len(user_ids) else {"accounts": named, "of": len(user_ids)}
