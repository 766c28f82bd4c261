from __future__ import annotations

from typing import Any
from uuid import UUID

from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind, TrainingEvent


def record(
    *, training: Training, kind: EventKind, round: int, user_id: UUID | None = None, message: str = "", **figures: Any
) -> None:
    """Write down what happened to a training."""
    TrainingEvent.objects.create(
        training=training, kind=kind, round=round, user_id=user_id, message=message, figures=figures
    )
