from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from fl_server_core import policies
from fl_server_core.exceptions import Conflict, NotAllowed
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import LocalModel
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.selectors.trainings import lock_training
from fl_server_core.services.history import record
from fl_server_core.services.participants import drop_participants
from fl_server_core.services.trainings import discard_training


def delete_user(*, user: User, author: User) -> None:
    """Remove an account with its models and the trainings that it runs or whose model is its own.

    The participants of these are told where they are running; from other trainings the user is taken out, as by
    removing it, so that no round waits for it.

    Raises:
        NotAllowed: the author may not delete this account.
        Conflict: somebody has just added the user to a training.
    """
    if not policies.may_delete_account(author, user):
        raise NotAllowed
    with transaction.atomic():
        known = set(_concerned(user).values_list("id", flat=True))
        _leave(user, known, author)
        if not User.objects.select_for_update().filter(pk=user.pk).exists():
            return
        if not known.issuperset(_concerned(user).values_list("id", flat=True)):
            raise Conflict(f"{user.username} was added to a training at the same moment. Try again.")
        _pass_on(user)
        record(
            training=None,
            kind=EventKind.DELETED,
            author_id=author.pk,  # of those who delete their own account, only the message is left
            message=f"The account {user.username} was deleted.",
        )
        user.delete()


def _leave(user: User, training_ids: Iterable[UUID], author: User) -> None:
    # In one order, whatever the user is in them: two accounts may be deleted at the same time.
    for training_id in sorted(training_ids):
        training = lock_training(training_id)
        if training is None:
            continue
        if user.pk in (training.actor_id, training.model.owner_id):
            discard_training(training_id, author_id=author.pk)
            continue
        drop_participants(
            training=training,
            leaving=[user.pk],
            kind=EventKind.PARTICIPANT_REMOVED,
            author_id=author.pk,
            message=f"The account {user.username} was deleted.",
        )


def _pass_on(user: User) -> None:
    """What the user trained and others were given to train on, is theirs now: they were told its id."""
    for passed in LocalModel.objects.filter(owner=user).select_related("passed_to"):
        if passed.passed_to is not None:
            passed.owner = passed.passed_to
            passed.save(update_fields=["owner"])


def _concerned(user: User) -> QuerySet[Training]:
    """The trainings whose rows go with the account, or change with it.

    Also those that the user has left, if a round that is being closed counts what it submitted, or others train on.
    """
    taking_part = Training.participants.through.objects.filter(user=user).values("training")
    counted = Submission.objects.filter(participant=user, round__closed_at=None).values("round__training")
    passed_on = LocalModel.objects.filter(owner=user, passed_to__isnull=False).values("base_model")
    is_left_behind = Q(pk__in=counted) | Q(model__in=passed_on)
    return Training.objects.filter(Q(actor=user) | Q(model__owner=user) | Q(pk__in=taking_part) | is_left_behind)
