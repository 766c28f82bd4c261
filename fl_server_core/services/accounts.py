from __future__ import annotations

from django.db import transaction
from django.db.models import Q
from rest_framework.authtoken.models import Token

from fl_server_core.models.model import LocalModel
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind
from fl_server_core.models.user import User
from fl_server_core.services.rounds import lock_training
from fl_server_core.services.trainings import discard_training, drop_participants


def delete_user(*, user: User) -> None:
    """Remove an account with its models and the trainings that it runs or whose model is its own.

    The participants of these are told where they are running; from other trainings the user is taken out, as by
    removing it, so that no round waits for it.
    """
    own = Q(actor=user) | Q(model__owner=user)
    with transaction.atomic():
        for training_id in list(Training.objects.filter(own).order_by("id").values_list("id", flat=True)):
            discard_training(training_id)
        for training_id in list(Training.objects.filter(participants=user).order_by("id").values_list("id", flat=True)):
            training = lock_training(training_id)
            if training is not None:
                drop_participants(
                    training=training,
                    leaving=[user.pk],
                    kind=EventKind.PARTICIPANT_REMOVED,
                    message=f"The account {user.username} was deleted.",
                )
        # What the user trained and others were given to train on, is theirs now: they were told its id.
        for passed in LocalModel.objects.filter(owner=user).select_related("passed_to"):
            if passed.passed_to is not None:
                passed.owner = passed.passed_to
                passed.save(update_fields=["owner"])
        user.delete()


def renew_token(*, user: User) -> str:
    """Give a user another API token and say it; the old one is of no more use."""
    with transaction.atomic():
        Token.objects.filter(user=user).delete()
        return str(Token.objects.create(user=user).key)
