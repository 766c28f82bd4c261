"""Steering trainings: the actions of the list, the fields of the page, and what neither of them may break."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from fl_server_core.models import EventKind, GlobalModel, Training, User
from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.training import TrainingState
from fl_server_core.registry import aggregation_methods
from fl_server_core.selectors.status import training_status
from tests.api.admin.pages import act, edit, list_url, page_url
from tests.builders.clients import browser_of, staff_with
from tests.builders.deliveries import sent_to
from tests.builders.rounds import events_of, mark_claimed, mark_failed, phase_of, set_round
from tests.builders.rows import make_delivery, make_event, make_running, make_submission, make_training

pytestmark = pytest.mark.django_db


def test_start_opens_the_first_round_and_says_so(operator: Client, actor: User, anna: User) -> None:
    training = make_training(actor, [anna])
    assert act(operator, Training, "start", training) == ["1 training started."]
    training.refresh_from_db()
    assert (training.state, phase_of(training)) == (TrainingState.ONGOING, "update")
    assert sent_to(anna) == ["TRAINING_START", "UPDATE_ROUND_START"]


def test_of_several_trainings_those_that_can_start_do_and_the_others_are_named(
    operator: Client, actor: User, anna: User
) -> None:
    empty, ready = make_training(actor), make_training(actor, [anna])
    messages = act(operator, Training, "start", empty, ready)
    assert sorted(messages) == ["1 of 2 trainings started.", "At least one participant must be registered!"]
    states = dict(Training.objects.values_list("pk", "state"))
    assert states == {empty.pk: TrainingState.INITIAL, ready.pk: TrainingState.ONGOING}


def test_resume_takes_a_failed_training_back_to_its_phase_and_tells_who_is_missing(
    operator: Client, actor: User, anna: User, ben: User
) -> None:
    training = make_running(actor, [anna, ben], kind="test")
    mark_failed(training)
    make_submission(training, ben, kind="test")
    assert act(operator, Training, "resume", training) == ["1 training resumed."]
    training.refresh_from_db()
    assert (training.state, phase_of(training)) == (TrainingState.ONGOING, "test")
    assert (sent_to(anna), sent_to(ben)) == (["MODEL_TEST_ROUND"], [])
    (event,) = events_of(training)
    assert (event.kind, event.user) == (EventKind.RESUMED, User.objects.get(username="operator"))


def test_stop_ends_a_running_training_and_tells_everybody(operator: Client, actor: User, anna: User) -> None:
    training = make_running(actor, [anna])
    assert act(operator, Training, "stop", training) == ["1 training stopped."]
    training.refresh_from_db()
    assert training.state == TrainingState.ERROR  # no round was closed
    assert (sent_to(anna), sent_to(actor)) == (["TRAINING_FINISHED"], ["TRAINING_FINISHED"])


@pytest.mark.parametrize(("action", "words"), [("resume", "only a failed one"), ("stop", "is not running")])
def test_what_a_training_cannot_do_is_a_message(operator: Client, actor: User, action: str, words: str) -> None:
    training = make_training(actor)
    (message,) = act(operator, Training, action, training)
    assert words in message


def test_a_retry_counts_what_goes_out(operator: Client, actor: User, anna: User) -> None:
    training = make_running(actor, [anna])
    given_up = make_delivery(training, anna, status="failed", attempts=6)
    make_delivery(training, anna, status="accepted")
    assert act(operator, Training, "retry_deliveries", training) == ["Notifications queued again: 1."]
    given_up.refresh_from_db()
    assert (given_up.status, given_up.attempts) == ("pending", 0)


def test_staff_who_may_only_look_are_offered_no_action_and_cannot_run_one(actor: User, anna: User) -> None:
    training = make_training(actor, [anna])
    client = browser_of(staff_with("view_training"))
    page = client.get(list_url(Training))
    assert "retry_deliveries" not in page.content.decode()
    act(client, Training, "start", training)
    training.refresh_from_db()
    assert training.state == TrainingState.INITIAL
    assert client.get(page_url(training)).status_code == 200
    assert edit(client, training, target_num_updates=9).status_code == 403


def test_the_page_shows_who_is_awaited_and_why(operator: Client, actor: User, anna: User, ben: User) -> None:
    training = make_running(actor, [anna, ben])
    make_submission(training, ben)
    make_delivery(training, anna, status="failed", attempts=6, last_error="<b>Connection refused</b>")
    page = operator.get(page_url(training)).content.decode()
    row = page[page.index(">anna</a>") :]
    row = row[: row.index("</tr>")]
    assert "awaited" in row
    assert "gave up" in row
    assert "&lt;b&gt;Connection refused" in row
    assert "awaited" not in page[page.index(">ben</a>") :]
    assert "1 of 2" in page


def test_nobody_is_awaited_in_a_training_that_has_failed(operator: Client, actor: User, anna: User) -> None:
    training = make_running(actor, [anna])
    assert "awaited" in operator.get(page_url(training)).content.decode()
    mark_failed(training)
    assert training_status(Training.objects.get())["participants"][0]["awaited"] is False
    assert "awaited" not in operator.get(page_url(training)).content.decode()
    row = operator.get(list_url(Training)).content.decode()
    assert ">update round<" not in row


def test_the_filter_offers_the_methods_that_the_server_has(
    operator: Client, monkeypatch: pytest.MonkeyPatch, actor: User
) -> None:
    method: Any = type("Median", (), {"name": "Median", "title": "Median of the updates"})
    monkeypatch.setitem(aggregation_methods, "Median", method)
    make_training(actor, aggregation_method="Median")
    page = operator.get(list_url(Training), {"aggregation_method__exact": "Median"})
    assert page.context["cl"].result_count == 1
    assert page.content.decode().count("Median of the updates") == 2  # in the filter and in the row


def test_the_tables_of_a_page_are_bounded(operator: Client, actor: User) -> None:
    users = User.objects.bulk_create([User(username=f"p-{index:03}") for index in range(150)])
    training = make_running(actor, users)
    for index in range(30):
        make_event(training, EventKind.AGGREGATED, round=index)
    page = operator.get(page_url(training)).content.decode()
    assert ">p-099</a>" in page
    assert ">p-100</a>" not in page
    assert page.count("<td>aggregated</td>") == 20
    assert "All 30</a>" in page
    full = operator.get(f"/admin/fl_server_core/event/?training__id__exact={training.pk}")
    assert full.context["cl"].result_count == 30


def test_the_list_says_what_each_training_waits_for(operator: Client, actor: User, anna: User, ben: User) -> None:
    make_training(actor, [anna], name="resting", target_num_updates=5)
    waiting = make_running(actor, [anna, ben], name="waiting", target_num_updates=5)
    set_round(waiting, 2)
    make_submission(waiting, ben, round=1)
    make_submission(waiting, ben, round=2)
    closing = make_running(actor, [anna], name="closing", target_num_updates=5)
    mark_claimed(closing)
    page = operator.get(list_url(Training)).content.decode()
    cells = {name: page[page.index(f">{name} <code") :].split("</tr>")[0] for name in ("resting", "waiting", "closing")}
    for name, words in {
        "resting": ("initial", "0 of 5", "1 registered"),
        "waiting": (">update round<", "2 of 5", "1 of 2"),
        "closing": ("update round: is being closed", "0 of 5", "0 of 1"),
    }.items():
        assert [word for word in words if word not in cells[name]] == []


def test_deleting_a_running_training_tells_its_participants_and_keeps_the_model(
    operator: Client, actor: User, anna: User
) -> None:
    training = make_running(actor, [anna])
    page = operator.get(page_url(training, "delete")).content.decode()
    assert "Are you sure" in page
    assert operator.post(page_url(training, "delete"), {"post": "yes"}).status_code == 302
    assert not Training.objects.exists()
    assert GlobalModel.objects.filter(pk=training.model_id).exists()
    assert sent_to(anna) == [NotificationType.CLIENT_REMOVED]


def test_the_deletion_of_several_tells_the_participants_of_each(operator: Client, actor: User, anna: User) -> None:
    running, resting = make_running(actor, [anna]), make_training(actor, [anna])
    make_event(running)
    response = operator.post(
        list_url(Training), {"action": "delete_selected", "_selected_action": [str(running.pk), str(resting.pk)]}
    )
    assert dict(response.context["model_count"]) == {"trainings": 2, "rounds": 1, "events": 1}
    messages = act(operator, Training, "delete_selected", running, resting, post="yes")
    assert messages == ["Successfully deleted 2 trainings."]
    assert not Training.objects.exists()
    assert sent_to(anna) == [NotificationType.CLIENT_REMOVED]


def test_staff_may_delete_trainings_without_a_permission_on_their_history(actor: User) -> None:
    training = make_training(actor)
    make_event(training)
    client = browser_of(staff_with("view_training", "delete_training"))
    assert client.post(page_url(training, "delete"), {"post": "yes"}).status_code == 302
    assert not Training.objects.exists()


def test_trainings_are_not_created_here(operator: Client) -> None:
    assert operator.get("/admin/fl_server_core/training/add/").status_code == 403
