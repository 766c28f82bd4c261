from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fl_server_core.models.audit import AuditEntry, Credential, Outcome
from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.model import GlobalModel, Model
from fl_server_core.models.training import Training
from fl_server_core.trail import current_act, note, note_model, note_training, people_of


def record(
    *,
    training: Training | None,
    kind: EventKind,
    number: int | None = None,
    model: Model | None = None,
    user_id: UUID | None = None,
    author_id: UUID | None = None,
    message: str = "",
    **figures: Any,
) -> None:
    """Write down what happened to a training, a model or a user: in round `number`, about a user, done by an author."""
    Event.objects.create(
        training=training,
        model_id=model.pk if model else None,
        kind=kind,
        round=number,
        user_id=user_id,
        author_id=author_id,
        message=message,
        figures=figures,
    )
    user_ids = [] if user_id is None or user_id == author_id else [user_id]
    _tell_trail(training=training, kind=kind, number=number, model=model, user_ids=user_ids, author_id=author_id)


def record_each(
    *,
    training: Training,
    kind: EventKind,
    number: int,
    user_ids: Sequence[UUID],
    author_id: UUID | None,
    message: str = "",
    **figures: Any,
) -> None:
    """Write down the same of several users, in one statement."""
    Event.objects.bulk_create(
        [
            Event(
                training=training,
                kind=kind,
                round=number,
                user_id=user_id,
                author_id=author_id,
                message=message,
                figures=figures,
            )
            for user_id in user_ids
        ]
    )
    if user_ids:
        people = list(user_ids)
        _tell_trail(training=training, kind=kind, number=number, model=None, user_ids=people, author_id=author_id)


def _tell_trail(
    *,
    training: Training | None,
    kind: EventKind,
    number: int | None,
    model: Model | None,
    user_ids: list[UUID],
    author_id: UUID | None,
) -> None:
    """Of an event in an act, the act's entry is told. Else the server itself did it: an entry in this transaction."""
    note_training(training)
    note_model(model)
    note(round=number, accounts=user_ids or None)
    if current_act() is not None:
        return
    about: dict[str, Any] = {}
    if training is not None:
        about = {"object_kind": "training", "object_id": str(training.pk), "training_id": training.pk}
    elif model is not None:
        name = model.name if isinstance(model, GlobalModel) else ""
        about = {"object_kind": "model", "object_id": str(model.pk), "object_name": name[:200]}
    elif user_ids:
        about = {"object_kind": "account", "object_id": str(user_ids[0])}
    AuditEntry.objects.create(
        account_id=author_id,
        credential=Credential.SERVER,
        verb=kind.value.replace("_", " "),
        round=number,
        outcome=Outcome.FAILED if kind in (EventKind.FAILED, EventKind.DELIVERY_FAILED) else Outcome.DONE,
        details=people_of(user_ids),
        **about,
    )
