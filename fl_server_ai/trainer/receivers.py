"""What may make a round complete nudges the trainer, once it is committed."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.signals import m2m_changed, post_save
from django.dispatch import receiver
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from fl_server_ai.trainer.tasks import close_round, process_trainer_task
from fl_server_core.models import Submission, Training
from fl_server_core.registry import needs_computing
from fl_server_core.rounds.due import due_rounds
from fl_server_core.signals import round_handed_over, training_resumed

logger = logging.getLogger(__name__)


@receiver(post_save, sender=Submission)
def nudge_after_submission(instance: Submission, raw: bool = False, **_kwargs: Any) -> None:
    if not raw:
        transaction.on_commit(partial(nudge, instance.round.training_id), robust=True)


@receiver(m2m_changed, sender=Training.participants.through)
def nudge_after_change_of_participants(instance: object, action: str, **_kwargs: Any) -> None:
    if isinstance(instance, Training) and action in ("post_add", "post_remove", "post_clear"):
        transaction.on_commit(partial(nudge, instance.id), robust=True)


@receiver(round_handed_over)
@receiver(training_resumed)
def nudge_what_is_due(training_id: UUID, **_kwargs: Any) -> None:
    transaction.on_commit(partial(nudge, training_id), robust=True)


def nudge(training_id: UUID) -> None:
    """Queue a look at the training if something is due.

    A broker that is away costs a line in the log: the sweep looks later.
    """
    kind = due_rounds().filter(training_id=training_id).values_list("kind", flat=True).first()
    if kind is None:
        return
    try:
        (close_round if needs_computing(kind) else process_trainer_task).delay(str(training_id))
    except (OperationalError, RedisError) as error:
        logger.warning("No nudge for training %s, the sweep will find it: %s", training_id, error)
