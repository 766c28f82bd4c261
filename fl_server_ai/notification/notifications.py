"""What a receiver reads: the JSON of a notification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fl_server_core.models.delivery import NotificationType


@dataclass(frozen=True)
class Notification:
    """One thing that a training tells somebody. body: plain JSON."""

    notification_type: str
    training_uuid: UUID
    body: Mapping[str, Any] = field(default_factory=dict)

    def payload(self) -> dict[str, Any]:
        """The JSON object that is sent."""
        return {
            "notification_type": str(self.notification_type),
            "training_uuid": str(self.training_uuid),
            "body": dict(self.body),
        }


class TrainingRoundStartNotification(Notification):
    """A round has started from the model named: of updates, or of another of the three kinds."""

    def __init__(
        self,
        training_uuid: UUID,
        round: int,  # noqa: A002  a public name
        global_model_uuid: UUID,
        notification_type: NotificationType = NotificationType.UPDATE_ROUND_START,
    ) -> None:
        super().__init__(
            notification_type, training_uuid, {"round": round, "global_model_uuid": str(global_model_uuid)}
        )


class TrainingFinishedNotification(Notification):
    """A training is over; the model named is its result."""

    def __init__(self, training_uuid: UUID, global_model_uuid: UUID) -> None:
        super().__init__(
            NotificationType.TRAINING_FINISHED, training_uuid, {"global_model_uuid": str(global_model_uuid)}
        )
