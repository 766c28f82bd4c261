"""Whatever is changed in the admin leaves one event, which names who did it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from fl_server_core.models import Event, EventKind, GlobalModel, LocalModel, Metric, Training, User
from tests.api.admin.pages import act, edit, page_url
from tests.builders.rounds import mark_failed
from tests.builders.rows import (
    make_delivery,
    make_metric,
    make_model,
    make_running,
    make_submission,
    make_training,
    make_update,
    make_user,
)

pytestmark = pytest.mark.django_db


def only_event() -> Event:
    """The one event there is; its author is the operator."""
    (event,) = Event.objects.all()
    assert event.author == User.objects.get(username="operator")
    return event


def delete(client: Client, row: Any) -> None:
    assert client.post(page_url(row, "delete"), {"post": "yes"}).status_code == 302


# --- Trainings -------------------------------------------------------------------------------------------------------


def test_an_edited_training(operator: Client, actor: User) -> None:
    training = make_training(actor)
    assert edit(operator, training, target_num_updates=9).status_code == 302
    event = only_event()
    assert (event.kind, event.training, event.figures) == (
        EventKind.EDITED,
        training,
        {"values": {"target_num_updates": 9}},
    )


def test_a_training_that_is_saved_as_it_is_leaves_none(operator: Client, actor: User) -> None:
    assert edit(operator, make_training(actor)).status_code == 302
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("field", "kind"),
    [("add_participants", EventKind.PARTICIPANT_ADDED), ("remove_participants", EventKind.PARTICIPANT_REMOVED)],
)
def test_a_participant_who_comes_or_goes(
    operator: Client, actor: User, anna: User, ben: User, field: str, kind: EventKind
) -> None:
    training = make_training(actor, [anna])
    person = ben if field == "add_participants" else anna
    assert edit(operator, training, **{field: [str(person.pk)]}).status_code == 302
    event = only_event()
    assert (event.kind, event.training, event.user) == (kind, training, person)


@pytest.mark.parametrize(
    ("action", "kind"),
    [("start", EventKind.STARTED), ("stop", EventKind.STOPPED), ("resume", EventKind.RESUMED)],
)
def test_a_training_that_is_steered(operator: Client, actor: User, anna: User, action: str, kind: EventKind) -> None:
    training = make_training(actor, [anna]) if action == "start" else make_running(actor, [anna])
    if action == "resume":
        mark_failed(training)
    act(operator, Training, action, training)
    assert (only_event().kind, only_event().training) == (kind, training)


def test_a_deleted_training_is_an_event_of_its_model(operator: Client, actor: User) -> None:
    training = make_training(actor)
    delete(operator, training)
    event = only_event()
    assert (event.kind, event.training, event.model) == (EventKind.DELETED, None, GlobalModel.objects.get())
    assert event.message == f"Training {training.pk} was deleted."


def test_deliveries_that_are_sent_again(operator: Client, actor: User, anna: User) -> None:
    training = make_running(actor, [anna])
    make_delivery(training, anna, status="failed")
    act(operator, Training, "retry_deliveries", training)
    event = only_event()
    assert (event.kind, event.training) == (EventKind.DELIVERIES_RETRIED, training)


def test_deliveries_of_a_deleted_training_that_are_sent_again(operator: Client, actor: User, anna: User) -> None:
    training = make_training(actor, [anna])
    delivery = make_delivery(training, anna, "CLIENT_REMOVED", status="failed")
    type(delivery).objects.update(training=None)
    Training.objects.all().delete()
    assert act(operator, type(delivery), "retry", delivery) == ["Notifications queued again: 1 of 1."]
    event = only_event()
    assert (event.kind, event.training, event.round) == (EventKind.DELIVERIES_RETRIED, None, None)
    assert str(training.pk) in event.message


# --- Models and metrics ----------------------------------------------------------------------------------------------


def test_an_edited_model(operator: Client, actor: User) -> None:
    model = make_model(actor)
    fields = {"name": "numbers", "description": model.description, "input_shape": json.dumps(model.input_shape)}
    assert operator.post(page_url(model), fields).status_code == 302
    event = only_event()
    assert (event.kind, event.model, event.figures) == (EventKind.EDITED, model, {"values": {"name": "numbers"}})


@pytest.mark.parametrize("is_trained", [False, True])
def test_a_deleted_model(operator: Client, actor: User, is_trained: bool) -> None:
    model = make_model(actor, name="digits")
    if is_trained:
        make_training(actor, model=model)
    delete(operator, model)
    event = only_event()
    assert (event.kind, event.model, event.message) == (
        EventKind.DELETED,
        None,
        f"Model digits ({model.pk}) was deleted.",
    )


@pytest.mark.parametrize("is_submitted", [False, True])
def test_a_deleted_update(operator: Client, actor: User, anna: User, is_submitted: bool) -> None:
    training = make_running(actor, [anna])
    update = make_update(GlobalModel.objects.get(), anna)
    if is_submitted:
        make_submission(training, anna, update=update)
    delete(operator, update)
    event = only_event()
    kind = EventKind.UPDATE_DELETED if is_submitted else EventKind.DELETED
    assert (event.kind, event.training, event.user) == (kind, training, anna)
    assert not LocalModel.objects.exists()


def test_an_update_deleted_after_its_training(operator: Client, actor: User, anna: User) -> None:
    model = make_model(actor)
    delete(operator, make_update(model, anna))
    event = only_event()
    assert (event.kind, event.training, event.model) == (EventKind.DELETED, None, model)


def test_deleted_metrics_of_one_model(operator: Client, actor: User) -> None:
    model = make_model(actor)
    training = make_training(actor, model=model)
    metrics = [make_metric(model, "loss"), make_metric(model, "accuracy")]
    act(operator, Metric, "delete_selected", *metrics, post="yes")
    event = only_event()
    assert (event.kind, event.training, event.model) == (EventKind.METRICS_DELETED, training, model)
    assert event.figures == {"keys": ["loss", "accuracy"]}
    assert not Metric.objects.exists()


def test_a_deleted_metric_of_an_update_is_an_event_of_the_global_model(
    operator: Client, actor: User, anna: User
) -> None:
    model = make_model(actor)
    delete(operator, make_metric(make_update(model, anna)))
    assert (only_event().kind, only_event().model) == (EventKind.METRICS_DELETED, model)


# --- Users -----------------------------------------------------------------------------------------------------------


def test_a_new_user(operator: Client) -> None:
    passwords = {"usable_password": "true", "password1": "a long password", "password2": "a long password"}
    assert operator.post("/admin/fl_server_core/user/add/", {"username": "anna", **passwords}).status_code == 302
    event = only_event()
    assert (event.kind, event.user) == (EventKind.CREATED, User.objects.get(username="anna"))


def test_a_user_who_got_another_password(operator: Client, anna: User) -> None:
    fields = {"usable_password": "true", "password1": "another password", "password2": "another password"}
    assert operator.post(f"/admin/fl_server_core/user/{anna.pk}/password/", fields).status_code == 302
    event = only_event()
    assert (event.kind, event.user, event.figures) == (EventKind.PASSWORD_CHANGED, anna, {})
    anna.refresh_from_db()
    assert anna.password not in event.message


def test_a_user_with_a_renewed_token(operator: Client, anna: User) -> None:
    act(operator, User, "renew_tokens", anna)
    assert (only_event().kind, only_event().user) == (EventKind.TOKEN_RENEWED, anna)


def test_a_deleted_user(operator: Client, anna: User) -> None:
    delete(operator, anna)
    event = only_event()
    assert (event.kind, event.user, event.message) == (EventKind.DELETED, None, "The account anna was deleted.")


def test_with_a_deleted_user_the_trainings_of_others_that_it_left(operator: Client, actor: User, anna: User) -> None:
    training = make_running(actor, [anna, make_user("ben")])
    delete(operator, anna)
    by_author = Event.objects.order_by("id").values_list("kind", "training", "author__username")
    assert list(by_author) == [
        (EventKind.PARTICIPANT_REMOVED, training.pk, "operator"),
        (EventKind.DELETED, None, "operator"),
    ]


def test_an_operator_who_deletes_their_own_account(operator: Client) -> None:
    delete(operator, User.objects.get())
    event = Event.objects.get()
    assert (event.author, event.message) == (None, "The account operator was deleted.")
