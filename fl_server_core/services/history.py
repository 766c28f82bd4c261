from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fl_server_core.models.event import Event, EventKind
from fl_server_core.models.model import Model
from fl_server_core.models.training import Training


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
