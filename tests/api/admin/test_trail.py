"""The trail in the admin: what its pages leave there, and the page that shows it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from fl_server_api.admin import deeds
from fl_server_core.models import AuditEntry, GlobalModel, ModelVersion, Training, User
from fl_server_core.services.trail_sealing import seal_trail
from tests.api.admin.pages import act, list_url, page_url
from tests.builders.clients import browser_of, staff_with
from tests.builders.rows import make_metric, make_model, make_running, make_training, make_user
from tests.builders.trail import make_entries

pytestmark = pytest.mark.django_db
FIELDS = ("account_name", "credential", "verb", "object_kind", "object_id", "outcome")


def trail(*fields: str) -> list[Any]:
    rows = AuditEntry.objects.exclude(credential="server").order_by("pk")
    return list(rows.values_list(*fields, flat=len(fields) == 1))


def test_a_change_and_a_deletion_name_the_operator_and_the_row(operator: Client, anna: User) -> None:
    model = make_model(anna)
    operator.post(page_url(model), {"name": "digits", "description": "new", "input_shape": "null"})
    operator.post(page_url(model, "delete"), {"post": "yes"})
    assert trail(*FIELDS) == [
        ("operator", "session", "change", "model", str(model.pk), "done"),
        ("operator", "session", "delete", "model", str(model.pk), "done"),
    ]
    assert trail("object_name") == ["digits", "digits"]


def test_a_form_that_is_shown_once_more_and_a_page_that_is_read_leave_nothing(operator: Client, anna: User) -> None:
    model = make_model(anna)
    assert operator.post(page_url(model), {"name": "", "description": ""}).status_code == 200
    assert operator.get(page_url(model)).status_code == 200
    assert operator.get(list_url(GlobalModel)).status_code == 200
    assert trail("verb") == []


def test_an_action_has_an_entry_for_each_row_with_its_own_outcome(operator: Client, anna: User, ben: User) -> None:
    started, lonely = make_training(anna, [ben]), make_training(anna)
    act(operator, Training, "start", started, lonely)
    assert set(trail("verb", "object_id", "training_id", "outcome")) == {
        ("start", str(started.pk), started.pk, "done"),
        ("start", str(lonely.pk), lonely.pk, "refused"),
    }


def test_a_pin_that_is_refused_is_a_refusal(operator: Client, anna: User) -> None:
    version = make_model(anna).current_version
    ModelVersion.objects.filter(pk=version.pk).update(weights_file="")
    act(operator, ModelVersion, "pin", version)
    assert trail("verb", "object_kind", "object_id", "outcome") == [("pin", "version", str(version.pk), "refused")]


def test_what_is_deleted_from_a_list_has_an_entry_each_and_beyond_a_bound_one_together(
    operator: Client, anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deeds, "MOST_ENTRIES", 2)
    model = make_model(anna)
    metrics = [make_metric(model) for _ in range(5)]
    act(operator, type(metrics[0]), "delete_selected", *metrics, post="yes")
    assert trail("verb", "object_kind", "count") == [
        ("delete", "metric", 1),
        ("delete", "metric", 1),
        ("delete", "metric", 3),
    ]


def test_people_who_are_added_on_a_training_s_page_are_named(operator: Client, anna: User, ben: User) -> None:
    training = make_running(anna, [anna])
    form = {"target_num_updates": "2", "options": "{}", "metric_names": "[]", "add_participants": str(ben.pk)}
    operator.post(page_url(training), form)
    assert trail("verb", "training_id", "details") == [("change", training.pk, {"accounts": [str(ben.pk)]})]


def test_pages_of_django_s_own_leave_entries_too(operator: Client) -> None:
    group = Group.objects.create(name="ward")
    operator.post(reverse("admin:auth_group_change", args=[group.pk]), {"name": "radiology"})
    assert trail(*FIELDS) == [("operator", "session", "change", "group", str(group.pk), "done")]


def test_a_password_that_is_set_for_somebody_is_a_change_and_is_not_in_the_trail(operator: Client, anna: User) -> None:
    page = reverse("admin:auth_user_password_change", args=[anna.pk])
    secret = "a-Long-password-1"
    answer = operator.post(page, {"password1": secret, "password2": secret, "usable_password": "true"})
    assert answer.status_code == 302
    assert trail("verb", "object_kind", "object_id", "object_name") == [("change", "account", str(anna.pk), "anna")]
    assert secret not in str(list(AuditEntry.objects.values()))


def test_staff_who_may_not_are_refused_by_name(anna: User) -> None:
    model = make_model(anna)
    browser_of(staff_with("view_globalmodel")).post(page_url(model, "delete"), {"post": "yes"})
    assert trail("account_name", "verb", "object_kind", "object_id", "outcome") == [
        ("clerk", "delete", "model", str(model.pk), "refused")
    ]


def test_an_operator_who_deletes_its_own_account_is_still_named(operator: Client) -> None:
    me = User.objects.get()
    operator.post(page_url(me, "delete"), {"post": "yes"})
    assert not User.objects.exists()
    assert trail("account_id", "account_name", "verb", "object_id") == [(me.pk, "operator", "delete", str(me.pk))]


def test_the_page_is_for_those_who_may_view_it_and_nobody_changes_it(operator: Client, anna: User) -> None:
    (entry,) = make_entries("start", account_name="anna")
    assert browser_of(staff_with("view_user")).get(list_url(AuditEntry)).status_code == 403
    assert browser_of(anna).get(list_url(AuditEntry)).status_code == 302
    User.objects.get(username="clerk").delete()
    reader = browser_of(staff_with("view_auditentry"))
    assert reader.get(list_url(AuditEntry)).status_code == 200
    for client in (reader, operator):
        page = client.get(page_url(entry)).content.decode()
        assert 'name="_save"' not in page
        assert client.post(page_url(entry), {"verb": "nothing"}).status_code == 403
        assert client.post(page_url(entry, "delete"), {"post": "yes"}).status_code == 403


def found(client: Client, **query: str) -> list[str]:
    response = client.get(list_url(AuditEntry), query)
    assert response.status_code == 200
    return sorted(row.verb for row in response.context["cl"].result_list)


def test_the_list_is_filtered_and_searched(operator: Client, anna: User) -> None:
    training = make_training(anna)
    AuditEntry.objects.bulk_create(
        [
            AuditEntry(verb="start", account_id=anna.pk, account_name="anna", training_id=training.pk),
            AuditEntry(verb="delete", object_kind="account", object_id=str(anna.pk), outcome="refused", status=403),
            AuditEntry(verb="download", address="192.0.2.7", credential="token", token_name="night job"),
        ]
    )
    assert found(operator, verb="start") == ["start"]
    assert found(operator, outcome="refused") == ["delete"]
    assert found(operator, object_kind="account") == ["delete"]
    assert found(operator, credential="token") == ["download"]
    assert found(operator, q="192.0.2") == ["download"]
    assert found(operator, q="night") == ["download"]
    assert found(operator, q=str(anna.pk)) == ["delete", "start"]
    assert found(operator, q=str(training.pk)) == ["start"]


def test_pages_of_accounts_models_and_trainings_lead_to_their_trail(operator: Client, anna: User) -> None:
    training = make_training(anna)
    for row in (anna, training.model, training):
        assert f"{list_url(AuditEntry)}?q={row.pk}" in operator.get(page_url(row)).content.decode()


def test_an_entry_shows_its_place_in_the_chain(operator: Client) -> None:
    entry = AuditEntry.objects.create(verb="start")
    assert "not sealed yet" in operator.get(page_url(entry)).content.decode()
    seal_trail()
    assert "1, hash " in operator.get(page_url(entry)).content.decode()


def test_an_outsider_of_the_staff_sees_nothing_over_the_admin() -> None:
    assert browser_of(make_user("outsider")).get(list_url(AuditEntry)).status_code == 302


def test_an_address_that_no_row_has_leaves_nothing(operator: Client) -> None:
    for key in ("%00", "abc", "1%00"):
        assert operator.post(f"/admin/auth/group/{key}/change/", {"name": "radiology"}).status_code in (302, 404)
    assert trail("verb") == []
