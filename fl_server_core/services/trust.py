from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from fl_server_core.models.event import EventKind
from fl_server_core.models.user import User
from fl_server_core.selectors.training_invitations import EVERYONE, trusted_actors_of
from fl_server_core.selectors.users import find_users, lock_users
from fl_server_core.services.history import record


def set_trusted_actors(*, user: User, actors: Sequence[UUID] | str) -> None:
    """Say whose trainings the user takes part in without being asked: actors' ids, or EVERYONE.

    It counts from now on: an invitation that is open stays open.

    Raises:
        InvalidRequest: an id is unknown or given twice.
    """
    trusts_everyone = actors == EVERYONE
    trusted = [] if isinstance(actors, str) else find_users(actors)
    with transaction.atomic():
        # As whoever invites the user does: it reads the old trust or the new one, not a part of it.
        lock_users(sorted({user.pk, *(actor.pk for actor in trusted)}))
        now = EVERYONE if trusts_everyone else [actor.pk for actor in trusted]
        before = trusted_actors_of(User.objects.get(pk=user.pk))
        if set(now) == set(before) and isinstance(now, str) == isinstance(before, str):
            return
        user.trusts_everyone = trusts_everyone
        user.save(update_fields=["trusts_everyone"])
        user.trusted_actors.set(trusted)
        record(
            training=None,
            kind=EventKind.TRUST_CHANGED,
            user_id=user.pk,
            author_id=user.pk,
            trusted_actors=EVERYONE if trusts_everyone else sorted(str(actor.pk) for actor in trusted),
        )
