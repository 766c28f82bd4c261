"""What may make a round complete nudges the trainer, once it is committed."""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.signals import m2m_changed, post_save
from django.dispatch import receiver
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from fl_server_ai.trainer.due import what_is_due
from fl_server_ai.trainer.tasks import process_trainer_task
from fl_server_core.models import Answer, EventKind, Training, TrainingEvent

logger = logging.getLogger(__name__)


@receiver(post_save, sender=Answer)
def nudge_after_answer(instance: Answer, raw: bool = False, **_kwargs: Any) -> None:
    if not raw:
        _nudge_on_commit(instance.training_id)


@receiver(m2m_changed, sender=Training.participants.through)
def nudge_after_change_of_participants(instance: object, action: str, **_kwargs: Any) -> None:
    if isinstance(instance, Training) and action in ("post_add", "post_remove", "post_clear"):
        _nudge_on_commit(instance.id)


@receiver(post_save, sender=TrainingEvent)
def nudge_after_resume(instance: TrainingEvent, **_kwargs: Any) -> None:
    if instance.kind == EventKind.RESUMED:
        _nudge_on_commit(instance.training_id)


def _nudge_on_commit(training_id: UUID) -> None:
    transaction.on_commit(lambda: nudge(training_id), robust=True)


def nudge(training_id: UUID) -> None:
    """Queue a look at the training if something is due.

    A broker that is away costs a line in the log: the sweep looks later.
    """
    training = Training.objects.filter(pk=training_id).first()
    if training is None or what_is_due(training) is None:
        return
    try:
        process_trainer_task.delay(str(training_id))
    except (OperationalError, RedisError) as error:
        logger.warning("No nudge for training %s, the sweep will find it: %s", training_id, error)
