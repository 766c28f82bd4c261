"""Invitations to trainings on the pages at `/`: accepted, declined, and not needed by those who are trusted."""

from __future__ import annotations

import pytest
from django.test import Client

from fl_server_api.pages.own import ROWS
from fl_server_core.models import Event, EventKind, Training, TrainingInvitation, User
from fl_server_core.models.training_invitation import InvitationState
from tests.builders.clients import browser_of
from tests.builders.rows import make_training, make_training_invitation, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(db: None) -> Training:
    return make_training(make_user("actor"), [make_user("participant")], name="lungs")


@pytest.fixture
def invited(training: Training) -> User:
    return make_training_invitation(training, make_user("invited")).user


def answer(client: Client, training: Training, word: str) -> tuple[int, list[str]]:
    found = client.post(f"/invitations/{training.pk}/{word}/", follow=True)
    messages = found.context["messages"] if found.context and "messages" in found.context else ()
    return found.status_code, [f"{one.level_tag}: {one}" for one in messages]


def test_an_invitation_is_accepted(training: Training, invited: User) -> None:
    client = browser_of(invited)
    assert [row.training_id for row in client.get("/invitations/").context["page"]] == [training.pk]
    assert answer(client, training, "accept") == (200, ["success: You take part."])
    assert invited in training.participants.all()
    assert Event.objects.get(kind=EventKind.PARTICIPANT_ACCEPTED).author == invited
    assert len(client.get("/invitations/").context["page"]) == 0


def test_an_invitation_is_declined(training: Training, invited: User) -> None:
    status, messages = answer(browser_of(invited), training, "decline")
    assert (status, messages) == (200, ["success: You have declined. The actor may invite you again."])
    assert TrainingInvitation.objects.get(user=invited).state == InvitationState.DECLINED
    assert invited not in training.participants.all()


def test_others_can_neither_see_nor_answer_it(training: Training, invited: User) -> None:
    outsider, owner = make_user("outsider"), training.actor
    for person in (outsider, owner, training.participants.get()):
        client = browser_of(person)
        assert len(client.get("/invitations/").context["page"]) == 0
        answer(client, training, "decline")
    status, messages = answer(browser_of(outsider), training, "accept")
    assert (status, messages[0].startswith("error: You are not invited")) == (200, True)
    assert Client().post(f"/invitations/{training.pk}/accept/")["Location"].startswith("/sign-in/")
    assert TrainingInvitation.objects.get(user=invited).state == InvitationState.OPEN
    assert set(training.participants.values_list("username", flat=True)) == {"participant"}


def test_a_link_changes_nothing_and_another_word_is_not_found(training: Training, invited: User) -> None:
    client = browser_of(invited)
    assert client.get(f"/invitations/{training.pk}/accept/").status_code == 405
    assert client.post(f"/invitations/{training.pk}/perhaps/").status_code == 404
    assert TrainingInvitation.objects.get(user=invited).state == InvitationState.OPEN


def test_the_page_does_not_name_the_model_before_one_takes_part(training: Training, invited: User) -> None:
    assert "lungs" not in browser_of(invited).get("/invitations/").content.decode()
    assert browser_of(invited).get(f"/trainings/{training.pk}/").status_code == 403


def test_actors_are_trusted_by_name_or_all_at_once(training: Training) -> None:
    user = make_user("careful")
    client = browser_of(user)
    client.post("/invitations/trust/", {"actors": "actor\r\n\r\n participant \r\nactor"})
    user.refresh_from_db()
    assert (set(user.trusted_actors.values_list("username", flat=True)), user.trusts_everyone) == (
        {"actor", "participant"},
        False,
    )
    assert Event.objects.filter(kind=EventKind.TRUST_CHANGED, author=user).count() == 1
    client.post("/invitations/trust/", {"everyone": "on", "actors": ""})
    user.refresh_from_db()
    assert user.trusts_everyone
    client.post("/invitations/trust/", {"actors": ""})
    user.refresh_from_db()
    assert (user.trusts_everyone, user.trusted_actors.count()) == (False, 0)


def test_an_unknown_name_is_told_and_nothing_is_saved(training: Training) -> None:
    user = make_user("careful")
    user.trusted_actors.set([training.actor])
    found = browser_of(user).post("/invitations/trust/", {"actors": "participant\nno\0body"}, follow=True)
    assert [str(one) for one in found.context["messages"]] == ["There is no user 'nobody'. Enter one user name a line."]
    assert list(user.trusted_actors.all()) == [training.actor]


def test_invitations_come_in_pages_the_latest_first(invited: User) -> None:
    for number in range(ROWS):
        make_training_invitation(make_training(make_user(f"actor-{number}")), invited)
    client = browser_of(invited)
    first, second = (client.get(f"/invitations/?page={number}") for number in (1, 2))
    assert (len(first.context["page"]), len(second.context["page"])) == (ROWS, 1)
    assert first.context["page"][0].training.actor.username == f"actor-{ROWS - 1}"
    assert 'href="?page=2">Older</a>' in first.content.decode()
