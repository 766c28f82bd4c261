"""Invitations: made, told, settled; each step in the history with its author."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from fl_server_core.exceptions import EntityNotFound, NotAllowed
from fl_server_core.models import Delivery, EventKind, InvitationState, Training, TrainingInvitation, User
from fl_server_core.services.accounts import delete_user
from fl_server_core.services.delivery_attempts import claim_delivery, leave_unanswered, reject_delivery
from fl_server_core.services.delivery_retries import retry_deliveries
from fl_server_core.services.participants import accept_invitation, add_participants, remove_participants
from fl_server_core.services.training_invitations import decline_invitation, withdraw_invitation
from fl_server_core.services.trainings import delete_training, stop_training
from tests.builders.clients import make_operator, staff_with
from tests.builders.deliveries import sent_to
from tests.builders.rounds import event_of, events_of
from tests.builders.rows import make_running, make_training, make_training_invitation, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("consent")]


@pytest.fixture
def training(actor: User) -> Training:
    return make_training(actor)


def invite(training: Training, *users: User) -> None:
    add_participants(training_id=training.pk, user=training.actor, user_ids=[user.pk for user in users])


def states(user: User) -> list[str]:
    return list(user.training_invitations.values_list("state", flat=True))


def test_an_invitation_is_a_row_a_notification_and_an_event(training: Training, anna: User) -> None:
    invite(training, anna)
    invitation = TrainingInvitation.objects.get()
    assert (invitation.training, invitation.user, invitation.invited_by) == (training, anna, training.actor)
    assert (invitation.state, invitation.settled_at) == (InvitationState.OPEN, None)
    delivery = Delivery.objects.get()
    assert (delivery.receiver, delivery.notification_type, delivery.round) == (anna, "TRAINING_INVITATION", None)
    assert delivery.body == {"actor": str(training.actor_id), "global_model_uuid": str(training.model_id)}
    event = event_of(training, EventKind.PARTICIPANT_INVITED)
    assert (event.user, event.author) == (anna, training.actor)
    assert training.participants.count() == 0


def test_who_is_invited_is_not_invited_again_until_the_invitation_is_settled(training: Training, anna: User) -> None:
    invite(training, anna)
    invite(training, anna)
    assert (states(anna), sent_to(anna)) == (["open"], ["TRAINING_INVITATION"])
    decline_invitation(training_id=training.pk, user=anna)
    invite(training, anna)
    assert states(anna) == ["declined", "open"]
    assert sent_to(anna) == ["TRAINING_INVITATION"] * 2
    event = event_of(training, EventKind.PARTICIPANT_DECLINED)
    assert (event.user, event.author) == (anna, anna)
    with pytest.raises(IntegrityError), transaction.atomic():
        make_training_invitation(training, anna)


def test_a_declined_invitation_is_neither_accepted_nor_declined_again(training: Training, anna: User) -> None:
    invite(training, anna)
    decline_invitation(training_id=training.pk, user=anna)
    for answer in (accept_invitation, decline_invitation):
        with pytest.raises(NotAllowed, match=f"You are not invited to training {training.pk}!"):
            answer(training_id=training.pk, user=anna)
    assert training.participants.count() == 0


def test_the_actor_withdraws_an_invitation_and_what_was_not_delivered_of_it(training: Training, anna: User) -> None:
    invite(training, anna)
    remove_participants(training_id=training.pk, user=training.actor, user_ids=[anna.pk])
    assert states(anna) == ["withdrawn"]
    assert Delivery.objects.get().status == "superseded"
    event = event_of(training, EventKind.PARTICIPANT_UNINVITED)
    assert (event.user, event.author) == (anna, training.actor)
    assert events_of(training, EventKind.PARTICIPANT_REMOVED) == []


def test_one_invitation_is_withdrawn_by_who_steers_the_training(training: Training, anna: User) -> None:
    invitation = make_training_invitation(training, anna)
    for user in (anna, make_user("outsider"), make_user("staff", is_staff=True)):
        with pytest.raises(NotAllowed):
            withdraw_invitation(invitation_id=invitation.pk, user=user)
    clerk = staff_with("change_training")
    withdraw_invitation(invitation_id=invitation.pk, user=clerk)
    withdraw_invitation(invitation_id=invitation.pk, user=clerk)
    assert states(anna) == ["withdrawn"]
    assert event_of(training, EventKind.PARTICIPANT_UNINVITED).author == clerk
    with pytest.raises(EntityNotFound):
        withdraw_invitation(invitation_id=0, user=clerk)


@pytest.mark.parametrize("outcome", ["rejected", "silent"])
def test_how_the_endpoint_answers_has_no_consequence(training: Training, anna: User, outcome: str) -> None:
    User.objects.filter(pk=anna.pk).update(message_endpoint="http://client-01:8101/")
    invite(training, anna)
    delivery = claim_delivery(delivery_id=Delivery.objects.get().pk)
    assert delivery is not None
    if outcome == "rejected":
        reject_delivery(delivery=delivery, reason="Status 500.")
    else:
        leave_unanswered(delivery=delivery, error="gone", is_permanent=True)
    assert states(anna) == ["open"]
    assert Training.objects.get(pk=training.pk).state == "I"
    accept_invitation(training_id=training.pk, user=anna)
    assert list(training.participants.all()) == [anna]


def test_a_given_up_invitation_is_not_sent_again_once_it_is_withdrawn(training: Training, anna: User) -> None:
    invite(training, anna)
    Delivery.objects.update(status="failed")
    remove_participants(training_id=training.pk, user=training.actor, user_ids=[anna.pk])
    assert retry_deliveries(deliveries=Delivery.objects.all(), user=make_operator()) == 0


def test_the_training_s_end_drops_invitations_that_have_not_arrived_and_keeps_the_rows(anna: User) -> None:
    training = make_running(make_user("actor"), [make_user("p0")])
    invite(training, anna)
    stop_training(training_id=training.pk, user=training.actor)
    assert Delivery.objects.get(receiver=anna).status == "superseded"
    assert states(anna) == ["open"]


def test_a_deleted_training_and_a_deleted_account_take_their_invitations_along(training: Training, anna: User) -> None:
    other = make_training(training.actor)
    invite(training, anna)
    invite(other, anna)
    delete_training(training_id=training.pk, user=training.actor)
    assert [row.training for row in TrainingInvitation.objects.all()] == [other]
    delete_user(user=anna, author=make_operator())
    assert not TrainingInvitation.objects.exists()


def test_the_account_of_who_invited_leaves_the_invitation(training: Training, anna: User) -> None:
    clerk = staff_with("change_training")
    add_participants(training_id=training.pk, user=clerk, user_ids=[anna.pk])
    assert TrainingInvitation.objects.get().invited_by == clerk
    delete_user(user=clerk, author=make_operator())
    assert TrainingInvitation.objects.get().invited_by is None


def test_unknown_trainings_are_not_found(anna: User) -> None:
    for answer in (accept_invitation, decline_invitation):
        with pytest.raises(EntityNotFound, match="Training"):
            answer(training_id=anna.pk, user=anna)
