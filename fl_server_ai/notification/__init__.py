"""Tells people what happens in their trainings: each delivery is posted by a task of its own."""

from fl_server_ai.notification.notifications import (
    Notification,
    TrainingFinishedNotification,
    TrainingRoundStartNotification,
)
from fl_server_core.models.delivery import NotificationType

__all__ = ["Notification", "NotificationType", "TrainingFinishedNotification", "TrainingRoundStartNotification"]
