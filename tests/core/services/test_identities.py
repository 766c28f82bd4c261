from __future__ import annotations

import pytest

from fl_server_core.exceptions import Conflict, NotAllowed
from fl_server_core.models import Event, EventKind, Identity, User
from fl_server_core.services.identities import link_identity, register_identity, unlink_identity, user_of_identity
from tests.builders.clients import make_operator
from tests.builders.rows import make_identity, make_user

pytestmark = pytest.mark.django_db
ISSUER = "https://login.example.org"


def test_an_identity_is_of_one_issuer_and_of_an_active_account() -> None:
    anna = make_user("anna")
    make_identity(anna, "7", ISSUER)
    assert user_of_identity(issuer=ISSUER, subject="7") == anna
    assert user_of_identity(issuer="https://other.example.org", subject="7") is None
    assert user_of_identity(issuer=ISSUER, subject="8") is None
    User.objects.update(is_active=False)
    assert user_of_identity(issuer=ISSUER, subject="7") is None


def test_whoever_comes_for_the_first_time_gets_an_account_without_a_password() -> None:
    user = register_identity(issuer=ISSUER, subject="7", name="anna", first_name="Anna", email="anna@example.org")
    assert (user.username, user.first_name, user.has_usable_password()) == ("anna", "Anna", False)
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert user_of_identity(issuer=ISSUER, subject="7") == user
    assert {event.kind for event in Event.objects.all()} == {EventKind.CREATED, EventKind.IDENTITY_LINKED}


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("anna", "anna-3"),
        ("ben", "ben"),
        ("b e n!", "ben"),
        ("", "user"),
        ("///", "user"),
        ("x" * 500, "x" * 140),
        ("\0", "user"),
    ],
)
def test_a_name_is_made_to_fit_and_leads_to_no_other_account(wanted: str, name: str) -> None:
    for taken in ("anna", "Anna-2", "annabel"):
        make_user(taken)
    assert register_identity(issuer=ISSUER, subject="7", name=wanted).username == name


def test_an_account_that_was_switched_off_gets_no_second_one() -> None:
    register_identity(issuer=ISSUER, subject="7", name="anna")
    User.objects.update(is_active=False)
    with pytest.raises(Conflict):
        register_identity(issuer=ISSUER, subject="7", name="anna")
    assert User.objects.count() == 1


def test_superusers_link_and_unlink_and_nobody_else() -> None:
    chief, clerk, anna = make_operator(), make_user("clerk", is_staff=True), make_user("anna")
    for author in (clerk, anna):
        with pytest.raises(NotAllowed):
            link_identity(user=anna, issuer=ISSUER, subject="7", author=author)
    identity = link_identity(user=anna, issuer=ISSUER, subject="7", author=chief)
    with pytest.raises(Conflict):
        link_identity(user=clerk, issuer=ISSUER, subject="7", author=chief)
    with pytest.raises(NotAllowed):
        unlink_identity(identity=identity, author=clerk)
    unlink_identity(identity=identity, author=chief)
    assert not Identity.objects.exists()
    kinds = [EventKind.IDENTITY_LINKED, EventKind.IDENTITY_UNLINKED]
    assert list(Event.objects.order_by("id").values_list("kind", flat=True)) == kinds
