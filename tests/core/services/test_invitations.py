from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone
from pytest_django import Settings

from fl_server_core.exceptions import InvalidRequest, InvalidValue, NotAllowed
from fl_server_core.models import Event, EventKind, Invitation, User
from fl_server_core.services.invitations import EXPIRED, UNKNOWN, USED, invite, withdraw_invitations
from fl_server_core.services.registration import NOBODY, UNINVITED, register_oneself
from tests.builders.clients import make_operator, staff_with
from tests.builders.rows import make_user
from tests.builders.threads import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def _invited(settings: Settings) -> None:
    settings.FL_REGISTRATION = "invite"


def register(name: str, **more: str) -> User:
    return register_oneself(username=name, password="a long password", **more)


def test_an_open_server_reads_no_invitation() -> None:
    _invitation, code = invite(author=None)
    register("anna", invitation=code)
    assert Invitation.objects.get().used_at is None


@pytest.mark.usefixtures("_invited")
def test_an_invitation_registers_one_person_once() -> None:
    _invitation, code = invite(author=None)
    anna = register("anna", invitation=code)
    row = Invitation.objects.get()
    assert (row.used_by, row.used_at is not None) == (anna, True)
    with pytest.raises(NotAllowed, match=USED):
        register("ben", invitation=code)
    assert list(User.objects.all()) == [anna]


@pytest.mark.usefixtures("_invited")
def test_without_an_invitation_with_an_unknown_one_or_an_expired_one_nobody_registers() -> None:
    _invitation, code = invite(author=None)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    for given, sentence in (
        ("", UNINVITED),
        ("x" * 40, UNKNOWN),
        ("\0", UNKNOWN),
        ("\ud800", UNKNOWN),
        (code, EXPIRED),
    ):
        with pytest.raises(NotAllowed) as refused:
            register("anna", invitation=given)
        assert refused.value.message == sentence
    assert not User.objects.exists()


@pytest.mark.usefixtures("_invited")
def test_a_refused_registration_leaves_the_invitation_for_the_next_try() -> None:
    make_user("anna")
    _invitation, code = invite(author=None)
    with pytest.raises(InvalidValue):
        register("anna", invitation=code)
    assert Invitation.objects.get().used_at is None
    assert register("ben", invitation=code).username == "ben"


@pytest.mark.usefixtures("_invited")
@pytest.mark.django_db(transaction=True)
def test_of_two_who_use_an_invitation_at_the_same_moment_one_registers() -> None:
    _invitation, code = invite(author=None)

    def attempt(name: str) -> None:
        with suppress(NotAllowed):
            register(name, invitation=code)

    at_once(partial(attempt, "anna"), partial(attempt, "ben"))
    assert User.objects.count() == 1


def test_a_closed_server_registers_nobody(settings: Settings) -> None:
    settings.FL_REGISTRATION = "closed"
    _invitation, code = invite(author=None)
    with pytest.raises(NotAllowed, match=NOBODY):
        register("anna", invitation=code)


def test_the_code_is_not_stored() -> None:
    _invitation, code = invite(author=None, note="for Anna")
    assert code not in str(Invitation.objects.values().get())
    assert code not in str(list(Event.objects.values()))


def test_those_with_the_permission_invite_and_withdraw() -> None:
    chief, clerk, anna = make_operator(), staff_with("add_invitation"), make_user("anna")
    for author in (chief, clerk):
        invite(author=author)
    with pytest.raises(NotAllowed):
        invite(author=anna)
    for author in (clerk, anna):
        with pytest.raises(NotAllowed):
            withdraw_invitations(invitations=Invitation.objects.all(), author=author)
    withdraw_invitations(invitations=Invitation.objects.all(), author=chief)
    assert not Invitation.objects.exists()
    kinds = [EventKind.INVITED, EventKind.INVITED, EventKind.INVITATION_WITHDRAWN]
    assert list(Event.objects.order_by("id").values_list("kind", flat=True)) == kinds


@pytest.mark.parametrize("days", [0, -1, 366])
def test_an_invitation_is_valid_for_a_day_to_a_year(days: int) -> None:
    with pytest.raises(InvalidRequest, match="1 to 365"):
        invite(author=None, days=days)
