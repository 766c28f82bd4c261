"""Who may register: over the API, from the admin's invitations and the command line."""

from __future__ import annotations

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from fl_server_core.models import Event, Invitation, User
from fl_server_core.services.invitations import invite
from tests.builders.clients import client_of, operator_browser
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db
NEW = {"username": "new", "password": "a long enough Passw0rd"}


def test_a_server_for_invited_people_takes_a_code_and_says_what_is_missing(settings: Settings) -> None:
    settings.FL_REGISTRATION = "invite"
    refused = client_of().post("/api/users/", NEW, format="json")
    assert (refused.status_code, "invitation" in refused.json()["detail"]) == (403, True)
    _row, code = invite(author=None)
    accepted = client_of().post("/api/users/", {**NEW, "invitation": code}, format="json")
    assert (accepted.status_code, "token" in accepted.json(), "invitation" in accepted.json()) == (201, True, False)
    again = client_of().post("/api/users/", {**NEW, "username": "other", "invitation": code}, format="json")
    assert (again.status_code, "has been used" in again.json()["detail"]) == (403, True)


def test_who_registers_leaves_an_event(settings: Settings) -> None:
    settings.FL_REGISTRATION = "open"
    answer = client_of().post("/api/users/", NEW, format="json")
    event = Event.objects.get()
    assert (event.kind, str(event.user_id), event.author_id) == ("created", answer.json()["id"], event.user_id)


def test_a_closed_server_says_so(settings: Settings) -> None:
    settings.FL_REGISTRATION = "closed"
    refused = client_of().post("/api/users/", NEW, format="json")
    assert (refused.status_code, refused.json()) == (
        403,
        {"detail": "Registration is closed. Ask the operator for an account."},
    )


@pytest.mark.parametrize("mode", ["invite", "closed"])
@pytest.mark.parametrize("code", [{}, {"invitation": ""}, {"invitation": "unknown"}])
def test_who_may_not_register_does_not_learn_which_names_there_are(
    settings: Settings, mode: str, code: dict[str, str]
) -> None:
    settings.FL_REGISTRATION = mode
    make_user("taken")
    taken, free = (
        client_of().post("/api/users/", {**NEW, "username": name, **code}, format="json") for name in ("taken", "free")
    )
    assert (taken.status_code, taken.json()) == (free.status_code, free.json())
    assert taken.status_code == 403


@pytest.mark.parametrize(
    ("mode", "sentence", "has_form"),
    [("open", "Everyone may register", True), ("invite", "works once", True), ("closed", "is closed", False)],
)
def test_the_page_of_an_invitation_shows_how_to_register(
    settings: Settings, mode: str, sentence: str, has_form: bool
) -> None:
    settings.FL_REGISTRATION = mode
    page = Client().get("/invitation/")
    text = page.content.decode()
    assert (page.status_code, sentence in text, "<form" in text) == (200, True, has_form)
    assert ('name="invitation"' in text) == (mode == "invite")


def test_the_form_of_that_page_registers(settings: Settings) -> None:
    settings.FL_REGISTRATION = "invite"
    _row, code = invite(author=None)
    answer = Client(enforce_csrf_checks=True).post("/api/users/", {**NEW, "invitation": code}, HTTP_ACCEPT="text/html")
    assert answer.status_code == 201
    assert User.objects.get().check_password(NEW["password"])


def test_staff_make_an_invitation_in_the_admin_and_see_its_code_once(settings: Settings) -> None:
    settings.FL_REGISTRATION = "invite"
    browser = operator_browser()
    made = browser.post("/admin/fl_server_core/invitation/add/", {"note": "for Anna", "days": "3"})
    assert (made.status_code, "no-store" in made["Cache-Control"]) == (200, True)
    (code,) = re.findall(r'<code id="secret">([\w-]{40})</code>', made.content.decode())
    assert f"http://testserver/invitation/#{code}" in made.content.decode()
    row = Invitation.objects.get()
    assert (row.note, row.author) == ("for Anna", User.objects.get())
    assert round((row.expires_at - row.created_at) / timedelta(days=1), 3) == 3
    page = browser.get(f"/admin/fl_server_core/invitation/{row.pk}/change/")
    assert (page.status_code, code in page.content.decode()) == (200, False)
    assert client_of().post("/api/users/", {**NEW, "invitation": code}, format="json").status_code == 201


def test_an_invitation_that_was_withdrawn_is_unknown(settings: Settings) -> None:
    settings.FL_REGISTRATION = "invite"
    row, code = invite(author=None)
    done = operator_browser().post(f"/admin/fl_server_core/invitation/{row.pk}/delete/", {"post": "yes"})
    assert done.status_code == 302
    refused = client_of().post("/api/users/", {**NEW, "invitation": code}, format="json")
    assert (refused.status_code, "unknown" in refused.json()["detail"]) == (403, True)


def test_the_command_line_prints_codes_that_register(settings: Settings) -> None:
    settings.FL_REGISTRATION = "invite"
    out = StringIO()
    call_command("invite", "--count", "2", "--note", "clinic", stdout=out, stderr=StringIO())
    codes = out.getvalue().split()
    assert len(set(codes)) == Invitation.objects.filter(note="clinic", author=None).count() == 2
    for number, code in enumerate(codes):
        body = {**NEW, "username": f"new-{number}", "invitation": code}
        assert client_of().post("/api/users/", body, format="json").status_code == 201


@pytest.mark.parametrize("arguments", [["--count", "0"], ["--days", "0"], ["--days", "9999"]])
def test_the_command_line_refuses_what_makes_no_sense(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("invite", *arguments)


def test_participants_do_not_invite(settings: Settings) -> None:
    browser = Client()
    browser.force_login(make_user("anna"))
    assert browser.get("/admin/fl_server_core/invitation/add/").status_code == 302
