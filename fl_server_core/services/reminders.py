from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db import transaction

from fl_server_core.exceptions import InvalidRequest
from fl_server_core.models.event import EventKind
from fl_server_core.models.user import User
from fl_server_core.rounds.opening import announce
from fl_server_core.selectors import rounds
from fl_server_core.selectors.trainings import lock_steerable
from fl_server_core.services.history import record_each


def remind_participants(*, training_id: UUID, user: User, user_ids: Collection[UUID] | None = None) -> list[UUID]:
    """Announce the open round again to those who are awaited: all of them, or these. Returns: who they are.

    Raises:
        EntityNotFound, NotAllowed: no such training, or the user may not steer it.
        InvalidRequest: nobody of them is awaited.
    """
    with transaction.atomic():
        training = lock_steerable(training_id, user)
        row = rounds.open_round_of(training)
        if row is None or not training.is_running or training.locked:
            raise InvalidRequest(f"Training {training.id} doesn't wait for participants.")
        submitted = rounds.submitted_ids(row)
        awaited = [person for person in rounds.participant_ids(training) if person not in submitted]
        told = [person for person in awaited if user_ids is None or person in user_ids]
        if not told:
            raise InvalidRequest("Nobody of them is awaited.")
        announce(training, row, told)
        kind = EventKind.PARTICIPANT_REMINDED
        record_each(training=training, kind=kind, number=row.number, user_ids=told, author_id=user.pk)
    return told
