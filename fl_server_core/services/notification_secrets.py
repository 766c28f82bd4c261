from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from fl_server_core import policies
from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models.event import EventKind
from fl_server_core.models.user import User
from fl_server_core.selectors.notification_secrets import valid_former_secrets
from fl_server_core.services.history import record

FORMER_SIGNS_FOR = timedelta(days=1)
MAX_FORMER = 4
"""Each one is a signature in every notification: of more rotations in a day, the oldest secrets end early."""


def rotate_notification_secret(*, user: User, author: User) -> User:
    """Sign notifications to the user with a new secret; the old one signs, too, for a day. Returns the user as it is.

    Raises:
        NotAllowed: the author may not manage the account.
        EntityNotFound: the account has just been deleted.
    """
    if author != user and not policies.may_manage_account(author, user):
        raise NotAllowed
    with transaction.atomic():
        changed = User.objects.select_for_update(no_key=True).filter(pk=user.pk).first()
        if changed is None:
            raise EntityNotFound("User", user.pk)
        until = timezone.now() + FORMER_SIGNS_FOR
        changed.former_secrets_until = [until.isoformat(), *valid_former_secrets(changed)][:MAX_FORMER]
        changed.secret_generation += 1
        changed.save(update_fields=["secret_generation", "former_secrets_until"])
        record(training=None, kind=EventKind.SECRET_ROTATED, user_id=user.pk, author_id=author.pk)
    return changed
