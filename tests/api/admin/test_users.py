"""The pages of users: who may change whom, tokens, and accounts that go away."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from fl_server_core.models import (
    AccessToken,
    AuditEntry,
    Delivery,
    Event,
    EventKind,
    GlobalModel,
    Invitation,
    Training,
    User,
)
from fl_server_core.services.tokens import find_token
from tests.api.admin.pages import KINDS, act, fill, kinds_left, list_url, page_url
from tests.builders.clients import browser_of, staff_with, token_of
from tests.builders.rounds import events_of, submissions
from tests.builders.rows import make_running, make_submission, make_training, make_user

pytestmark = pytest.mark.django_db


def form_of(client: Client, user: User) -> dict[str, Any]:
    """The fields of a user's page, as a browser would send them back."""
    form = client.get(page_url(user)).context["adminform"].form
    values = {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
    return {name: value for name, value in values.items() if value not in (None, False, "")}


def edit(client: Client, user: User, **changes: Any) -> Any:
    return client.post(page_url(user), {**form_of(client, user), **changes})


def test_a_user_is_created_with_flags_endpoint_and_token(operator: Client) -> None:
    fields = {
        "username": "anna",
        "usable_password": "true",
        "password1": "a long password",
        "password2": "a long password",
        "client": "on",
        "message_endpoint": "http://client-01:8101/",
    }
    assert operator.post("/admin/fl_server_core/user/add/", fields).status_code == 302
    anna = User.objects.get(username="anna")
    assert (anna.actor, anna.client, anna.message_endpoint) == (False, True, "http://client-01:8101/")
    assert anna.check_password("a long password")
    assert anna.tokens.get().is_api_token


@pytest.mark.parametrize("endpoint", ["ftp://x/", "nowhere", "http://", "http://a b/", "http://u:p@host/"])
def test_an_endpoint_that_is_not_a_url_is_refused(operator: Client, endpoint: str) -> None:
    anna = make_user("anna", message_endpoint="http://a/")
    response = edit(operator, anna, message_endpoint=endpoint)
    assert list(response.context["adminform"].form.errors) == ["message_endpoint"]
    anna.refresh_from_db()
    assert anna.message_endpoint == "http://a/"


def test_nobody_sees_the_api_token_of_another_on_its_page(operator: Client) -> None:
    anna = make_user("anna")
    assert token_of(anna) not in operator.get(page_url(anna)).content.decode()


def test_renewed_api_tokens_end_the_old_ones(operator: Client) -> None:
    anna, ben = make_user("anna"), make_user("ben")
    old = {user: token_of(user) for user in (anna, ben)}
    (message,) = act(operator, User, "renew_tokens", anna)
    assert (find_token(old[anna]), find_token(old[ben]) is not None) == (None, True)
    anna.refresh_from_db()
    assert token_of(anna) != old[anna]
    assert token_of(anna) not in message


def test_staff_who_are_not_superusers_do_not_renew_tokens(db: None) -> None:
    anna = make_user("anna")
    key = token_of(anna)
    act(browser_of(staff_with("view_user", "change_user")), User, "renew_tokens", anna)
    assert find_token(key) is not None


def test_staff_who_are_not_superusers_do_not_give_privileges(db: None) -> None:
    clerk = staff_with("view_user", "change_user")
    anna = make_user("anna")
    for user in (anna, clerk):
        response = edit(browser_of(clerk), user, is_superuser="on", is_staff="on", first_name="New")
        assert response.status_code == 302
        user.refresh_from_db()
        assert (user.is_superuser, user.first_name) == (False, "New")
    assert not anna.is_staff


def test_staff_who_are_not_superusers_leave_superusers_alone(operator: Client) -> None:
    chief = User.objects.get(username="operator")
    client = browser_of(staff_with("view_user", "change_user", "delete_user"))
    assert client.get(page_url(chief)).status_code == 200
    assert client.post(page_url(chief), {"username": "x"}).status_code == 403
    assert client.get(f"/admin/fl_server_core/user/{chief.pk}/password/").status_code == 403
    assert client.post(page_url(chief, "delete"), {"post": "yes"}).status_code == 403
    act(client, User, "delete_selected", chief)
    response = client.post(
        list_url(User), {"action": "delete_selected", "_selected_action": [str(chief.pk)], "post": "yes"}
    )
    assert response.status_code == 403
    assert User.objects.filter(pk=chief.pk).exists()


def test_groups_and_flags_are_edited_and_leave_one_event(operator: Client) -> None:
    anna, group = make_user("anna"), Group.objects.create(name="ward")
    assert edit(operator, anna, groups=[str(group.pk)], actor="on", last_name="Smith").status_code == 302
    anna.refresh_from_db()
    assert (list(anna.groups.all()), anna.actor, anna.last_name) == ([group], True, "Smith")
    (event,) = Event.objects.all()
    assert (event.kind, event.user, event.author) == (EventKind.EDITED, anna, User.objects.get(username="operator"))
    assert event.figures == {"edited": ["actor", "groups", "last_name"]}


def test_a_user_without_a_password_is_created(operator: Client) -> None:
    fields = {"username": "anna", "usable_password": "false"}
    assert operator.post("/admin/fl_server_core/user/add/", fields).status_code == 302
    assert not User.objects.get(username="anna").has_usable_password()


def test_a_password_is_set_on_its_own_page(operator: Client) -> None:
    anna = make_user("anna")
    url = f"/admin/fl_server_core/user/{anna.pk}/password/"
    assert operator.get(url).status_code == 200
    fields = {"usable_password": "true", "password1": "another password", "password2": "another password"}
    assert operator.post(url, fields).status_code == 302
    anna.refresh_from_db()
    assert anna.check_password("another password")


@pytest.mark.parametrize("flag", ["is_staff", "is_superuser"])
def test_only_superusers_set_the_passwords_of_staff(operator: Client, flag: str) -> None:
    colleague = make_user("colleague", password="the colleague's own", **{flag: True})
    url = f"/admin/fl_server_core/user/{colleague.pk}/password/"
    fields = {"usable_password": "true", "password1": "another password", "password2": "another password"}
    clerk = browser_of(staff_with("view_user", "change_user"))
    assert (clerk.get(url).status_code, clerk.post(url, fields).status_code) == (403, 403)
    colleague.refresh_from_db()
    assert colleague.check_password("the colleague's own")
    assert operator.post(url, fields).status_code == 302
    colleague.refresh_from_db()
    assert colleague.check_password("another password")


def test_staff_set_the_passwords_of_others_and_change_their_own_with_the_present_one(db: None) -> None:
    clerk, anna = staff_with("view_user", "change_user"), make_user("anna")
    clerk.set_password("the clerk's own")
    clerk.save()
    client, fields = browser_of(clerk), {"password1": "another password", "password2": "another password"}
    url = f"/admin/fl_server_core/user/{anna.pk}/password/"
    assert client.post(url, {"usable_password": "true", **fields}).status_code == 302
    anna.refresh_from_db()
    assert anna.check_password("another password")
    key = token_of(clerk)
    own = {"old_password": "the clerk's own", "new_password1": "another password", "new_password2": "another password"}
    assert client.post("/admin/password_change/", own).status_code == 302
    clerk.refresh_from_db()
    assert clerk.check_password("another password")
    assert find_token(key) is None


def test_with_an_actor_its_running_trainings_go_and_their_participants_are_told(operator: Client) -> None:
    actor, anna = make_user("actor"), make_user("anna")
    make_running(actor, [anna])
    make_training(actor, [anna])
    page = operator.get(page_url(actor, "delete"))
    assert dict(page.context["model_count"]) == {"users": 1, "models": 2, "trainings": 2}
    assert operator.post(page_url(actor, "delete"), {"post": "yes"}).status_code == 302
    assert kinds_left(Training, GlobalModel) == []
    assert list(Delivery.objects.values_list("receiver", "notification_type")) == [(anna.pk, "CLIENT_REMOVED")]


def test_a_participant_whose_account_goes_is_taken_out_of_its_trainings(operator: Client) -> None:
    actor, anna, ben = make_user("actor"), make_user("anna"), make_user("ben")
    training = make_running(actor, [anna, ben])
    make_submission(training, anna)
    assert act(operator, User, "delete_selected", anna, post="yes") == ["Successfully deleted 1 user."]
    assert list(training.participants.all()) == [ben]
    assert submissions() == []
    (event,) = events_of(training)
    assert (event.kind, event.user) == (EventKind.PARTICIPANT_REMOVED, None)
    assert event.author == User.objects.get(username="operator")
    assert event.message == "The account anna was deleted."


def test_the_last_participant_whose_account_goes_leaves_a_failed_training(operator: Client) -> None:
    training = make_running(make_user("actor"), [anna := make_user("anna")])
    assert operator.post(page_url(anna, "delete"), {"post": "yes"}).status_code == 302
    training.refresh_from_db()
    assert training.state == "E"


def test_all_users_with_rows_of_every_kind_can_be_deleted_at_once(operator: Client) -> None:
    users = fill(2)[User]
    assert act(operator, User, "delete_selected", *users, post="yes") == ["Successfully deleted 4 users."]
    assert kinds_left(*KINDS) == [User, Event, AccessToken, Invitation, AuditEntry]
    assert [token.user.username for token in AccessToken.objects.all()] == ["operator"]
    assert set(Event.objects.values_list("kind", flat=True)) == {EventKind.DELETED}
    assert list(User.objects.values_list("username", flat=True)) == ["operator"]


def test_deleting_a_user_needs_the_permission_to_delete_what_is_its(db: None) -> None:
    actor = make_user("actor")
    make_training(actor)
    client = browser_of(staff_with("view_user", "delete_user"))
    assert client.get(page_url(actor, "delete")).context["perms_lacking"] == {"model", "training"}
    assert client.post(page_url(actor, "delete"), {"post": "yes"}).status_code == 403
    assert User.objects.filter(pk=actor.pk).exists()
