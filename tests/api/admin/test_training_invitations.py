"""The admin shows invitations, and invites and withdraws through the services."""

from __future__ import annotations

import pytest
from django.test import Client

from fl_server_core.models import Event, TrainingInvitation, User
from fl_server_core.services.training_invitations import decline_invitation
from tests.api.admin.pages import act, edit, page_url
from tests.builders.clients import browser_of, staff_with
from tests.builders.deliveries import sent_to
from tests.builders.rows import make_training, make_training_invitation

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("consent")]


def test_who_is_added_on_the_page_is_invited_and_shown_there(operator: Client, actor: User, anna: User) -> None:
    training = make_training(actor)
    edit(operator, training, add_participants=[str(anna.pk)])
    invitation = TrainingInvitation.objects.get()
    assert (invitation.user, invitation.invited_by) == (anna, User.objects.get(username="operator"))
    assert training.participants.count() == 0
    assert sent_to(anna) == ["TRAINING_INVITATION"]
    page = operator.get(page_url(training)).content.decode()
    assert page.count("anna") >= 2  # among the invited, and in the choice of those to remove
    assert Event.objects.get().author == invitation.invited_by


def test_an_invitation_is_withdrawn_on_the_page(operator: Client, actor: User, anna: User) -> None:
    training = make_training(actor)
    make_training_invitation(training, anna)
    edit(operator, training, remove_participants=[str(anna.pk)])
    assert TrainingInvitation.objects.get().state == "withdrawn"


def test_selected_invitations_are_withdrawn_where_they_are_open(operator: Client, actor: User, anna: User) -> None:
    training = make_training(actor)
    declined = make_training_invitation(training, anna)
    decline_invitation(training_id=training.pk, user=anna)
    open_one = make_training_invitation(training, anna)
    assert act(operator, TrainingInvitation, "withdraw", declined, open_one) == ["Invitations withdrawn: 1."]
    assert list(TrainingInvitation.objects.values_list("state", flat=True)) == ["declined", "withdrawn"]
    assert Event.objects.latest("pk").author == User.objects.get(username="operator")


def test_staff_who_may_only_look_withdraw_nothing(actor: User, anna: User) -> None:
    invitation = make_training_invitation(make_training(actor), anna)
    client = browser_of(staff_with("view_traininginvitation"))
    assert client.get(page_url(invitation)).status_code == 200
    act(client, TrainingInvitation, "withdraw", invitation)
    assert TrainingInvitation.objects.get().state == "open"
