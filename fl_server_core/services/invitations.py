from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet
from django.utils import timezone

from fl_server_core import policies
from fl_server_core.exceptions import InvalidRequest, NotAllowed
from fl_server_core.models.event import EventKind
from fl_server_core.models.invitation import Invitation
from fl_server_core.models.user import User
from fl_server_core.services.digests import digest_of, make_secret
from fl_server_core.services.history import record

DEFAULT_DAYS = 7
MAX_DAYS = 365
UNKNOWN = "This invitation is unknown. Check that you copied all of its code."
USED = "This invitation has been used. Ask the operator for another one."
EXPIRED = "This invitation has expired. Ask the operator for another one."


def invite(*, author: User | None, days: int = DEFAULT_DAYS, note: str = "") -> tuple[Invitation, str]:
    """Make an invitation. Returns it and its code, which nobody can read again.

    author: None where an operator invites from the command line.

    Raises:
        NotAllowed: the author may not invite.
        InvalidRequest: the number of days is out of range.
    """
    if author is not None and not policies.may_invite(author):
        raise NotAllowed
    if not 1 <= days <= MAX_DAYS:
        raise InvalidRequest(f"An invitation is valid for 1 to {MAX_DAYS} days.")
    code = make_secret()
    invitation = Invitation.objects.create(
        digest=digest_of(code), author=author, note=note, expires_at=timezone.now() + timedelta(days=days)
    )
    record(training=None, kind=EventKind.INVITED, author_id=author.pk if author else None, message=note)
    return invitation, code


def check_invitation(code: str) -> None:
    """Raise NotAllowed, with a sentence, if nobody can register with this code any more."""
    invitation = Invitation.objects.filter(digest=digest_of(code)).first()
    if invitation is None:
        raise NotAllowed(UNKNOWN)
    if invitation.used_at is not None:
        raise NotAllowed(USED)
    if invitation.expires_at <= timezone.now():
        raise NotAllowed(EXPIRED)


def use_invitation(code: str, user: User) -> None:
    """Take an invitation for a new user, within the transaction that makes the user.

    Raises:
        NotAllowed: somebody else has used it in the meantime.
    """
    now = timezone.now()
    unused = Invitation.objects.filter(digest=digest_of(code), used_at=None, expires_at__gt=now)
    if not unused.update(used_at=now, used_by=user):
        raise NotAllowed(USED)


def withdraw_invitations(*, invitations: QuerySet[Invitation], author: User) -> None:
    """Delete invitations. What they were used for stays.

    Raises:
        NotAllowed: the author may not withdraw any.
    """
    if not policies.may_withdraw_invitations(author):
        raise NotAllowed
    count, _ = invitations.delete()
    record(training=None, kind=EventKind.INVITATION_WITHDRAWN, author_id=author.pk, invitations=count)
