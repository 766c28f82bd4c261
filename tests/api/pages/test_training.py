"""The live page of a training: who may see it, what it says, and what its buttons do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fl_server_core.models import Event, EventKind, Metric, Round, Training, User
from fl_server_core.models.training import TrainingState
from fl_server_core.services.participants import leave_training
from tests.api.pages.addresses import training_at
from tests.builders.clients import browser_of, staff_with
from tests.builders.rounds import mark_failed
from tests.builders.rows import (
    make_delivery,
    make_event,
    make_metric,
    make_submission,
    make_training,
    make_training_invitation,
    make_user,
)

pytestmark = pytest.mark.django_db


def squeezed(text: str) -> str:
    return "".join(text.split())


def sentence(client: Client, training: Training) -> str:
    return str(client.get(training_at(training)).context["standing"].sentence)


def test_staff_may_watch_and_steer_by_their_permissions(training: Training) -> None:
    clerk = staff_with("view_training")
    page = browser_of(clerk).get(training_at(training))
    assert page.status_code == 200
    assert "steps/" not in page.content.decode()
    assert browser_of(clerk).get(training_at(training, "steps/stop/")).status_code == 403
    assert browser_of(clerk).post(training_at(training, "steps/stop/")).status_code == 403
    training.refresh_from_db()
    assert training.is_running


def test_participants_outsiders_and_staff_without_permission_are_kept_out(
    training: Training, clinics: list[User]
) -> None:
    for end in ("", "state/", "curves/", "curves/each/?plot=tests:loss", "steps/stop/"):
        for person in (None, clinics[0], training.actor, User.objects.get_or_create(username="outsider")[0]):
            client = Client() if person is None else browser_of(person)
            assert client.get(training_at(training, end))["Location"].startswith("/admin/login/")
    idle = browser_of(make_user("idle", is_staff=True))
    assert {idle.get(training_at(training, end)).status_code for end in ("", "state/", "curves/", "steps/stop/")} == {
        403
    }


def test_an_unknown_training_step_or_plot_is_not_found(operator: Client, training: Training) -> None:
    assert operator.get("/admin/trainings/00000000-0000-4000-8000-000000000000/").status_code == 404
    for plot in ("", "x:loss", "figures:share", "tests:%00"):
        assert operator.get(training_at(training, f"curves/each/?plot={plot}")).status_code == 404
    assert operator.get(training_at(training, "steps/nonsense/")).status_code == 404


def test_the_state_is_told_in_one_sentence(operator: Client, training: Training, clinics: list[User]) -> None:
    now = timezone.now()
    Round.objects.filter(training=training).update(
        opened_at=now - timedelta(minutes=2, seconds=5), deadline=now + timedelta(minutes=58, seconds=5)
    )
    for clinic in clinics[:4]:
        make_submission(training, clinic, is_silent=True)
    told = sentence(operator, training)
    assert told.startswith("Round 1 of 40: waiting for clinic-5; opened <time")
    assert "2\xa0minutes ago</time>, deadline <time" in told
    assert told.endswith("in 58\xa0minutes</time>.")


def test_of_many_who_are_awaited_three_are_named(operator: Client, training: Training) -> None:
    assert "waiting for clinic-1, clinic-2, clinic-3 and 2 more; opened" in sentence(operator, training)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"state": TrainingState.INITIAL}, "Not started. 5 participants."),
        ({"state": TrainingState.COMPLETED}, "Stopped after 0 of 40 rounds."),
        ({"locked": True}, "Round 1 of 40: a worker is closing it."),
    ],
)
def test_each_state_has_its_sentence(operator: Client, training: Training, fields: dict[str, Any], told: str) -> None:
    Training.objects.filter(pk=training.pk).update(**fields)
    assert sentence(operator, training) == told


def test_a_failed_training_says_why_and_goes_on_by_a_button(operator: Client, training: Training) -> None:
    mark_failed(training)
    make_event(training, EventKind.FAILED, message="The disk is <full>.")
    assert sentence(operator, training) == "In error in round 1: The disk is &lt;full&gt;."
    assert operator.get(training_at(training, "steps/resume/")).status_code == 200
    training.refresh_from_db()
    assert not training.is_running  # looking at the question does nothing
    answer = operator.post(training_at(training, "steps/resume/"), follow=True)
    assert [str(message) for message in answer.context["messages"]] == ["The training goes on."]
    training.refresh_from_db()
    assert training.is_running
    assert Event.objects.filter(kind=EventKind.RESUMED, author__username="operator").count() == 1


def test_a_training_that_was_stopped_says_so_and_offers_nothing_more(operator: Client, training: Training) -> None:
    operator.post(training_at(training, "steps/stop/"))
    training.refresh_from_db()
    assert training.state == TrainingState.ERROR
    answer = operator.get(training_at(training))
    assert "Stopped before a round was closed." in answer.content.decode()
    assert (answer.context["steps"], answer.context["remove_url"]) == ([], "")


def test_who_holds_the_round_up_comes_first_with_error_and_next_try(
    operator: Client, training: Training, clinics: list[User]
) -> None:
    make_submission(training, clinics[0], is_silent=True)
    make_delivery(training, clinics[1], status="accepted")
    next_try = timezone.now() + timedelta(minutes=2)
    make_delivery(training, clinics[3], last_error="Connection refused", attempts=3, next_attempt_at=next_try)
    people = operator.get(training_at(training)).context["people"]
    assert [(one.name, one.word, one.told) for one in people] == [
        ("clinic-4", "out of reach", "on its way"),
        ("clinic-2", "awaited", "yes"),
        ("clinic-3", "awaited", "–"),
        ("clinic-5", "awaited", "–"),
        ("clinic-1", "submitted", "–"),
    ]
    assert (people[0].error, people[0].next_try) == ("Connection refused", next_try)


def test_who_needs_twice_the_time_of_half_of_the_others_is_late(
    operator: Client, training: Training, clinics: list[User]
) -> None:
    now = timezone.now()
    Round.objects.filter(training=training).update(opened_at=now - timedelta(seconds=100))

    def words(half_took: float) -> list[str]:
        for clinic, took in zip(clinics, (5.0, 7.0, half_took), strict=False):
            submission = make_submission(training, clinic, is_silent=True)
            at = now - timedelta(seconds=100) + timedelta(seconds=took)
            type(submission).objects.filter(pk=submission.pk).update(submitted_at=at)
        return [one.word for one in operator.get(training_at(training)).context["people"]]

    assert words(40.0) == ["late", "late", "submitted", "submitted", "submitted"]
    training.rounds.get().submissions.all().delete()
    assert words(60.0) == ["awaited", "awaited", "submitted", "submitted", "submitted"]
    stale_in = operator.get(training_at(training, "state/")).json()["stale_in"]
    assert stale_in == pytest.approx(20, abs=5)
    Round.objects.filter(training=training).update(deadline=now - timedelta(seconds=1))
    assert operator.get(training_at(training)).context["people"][0].word == "late"


def test_who_takes_no_part_any_more_is_named_with_the_reason(
    operator: Client, training: Training, clinics: list[User]
) -> None:
    operator.post(training_at(training, "steps/remove/"), {"user": "clinic-1"})
    leave_training(training_id=training.pk, user=clinics[1])
    operator.post(training_at(training, "steps/remove/"), {"user": "clinic-3"})
    operator.post(training_at(training, "steps/invite/"), {"user": "clinic-3"})
    page = operator.get(training_at(training))
    assert [(one.name, one.how) for one in page.context["gone"]] == [
        ("clinic-2", "left"),
        ("clinic-1", "removed by operator"),
    ]
    assert "No longer part: clinic-2 (left, " in page.content.decode()


def test_the_history_is_told_in_words(operator: Client, training: Training, clinics: list[User]) -> None:
    make_event(training, EventKind.AGGREGATED, round=3, figures={"updates": 5, "seconds": 0.25, "models": {"a": 1}})
    make_event(training, EventKind.PARTICIPANT_LEFT, user=clinics[2])
    make_event(training, "of-a-plug-in")
    story = [one.text for one in operator.get(training_at(training)).context["story"]]
    assert story == [
        "of-a-plug-in",
        "clinic-3 left.",
        "Round 4: The updates became a new version. (seconds 0.25, updates 5)",
    ]


def test_stopping_reminding_inviting_and_removing_leave_events_with_their_author(
    operator: Client, training: Training, clinics: list[User]
) -> None:
    make_user("clinic-9")
    for step, data in (
        ("remind", {}),
        ("invite", {"user": "clinic-9"}),
        ("remove", {"user": clinics[0].username}),
        ("stop", {}),
    ):
        answer = operator.post(training_at(training, f"steps/{step}/"), data, follow=True)
        assert [message.level_tag for message in answer.context["messages"]] == ["success"], step
    events = Event.objects.filter(training=training, author__username="operator").values_list("kind", "user__username")
    assert ("participant_reminded", "clinic-5") in events
    assert ("participant_added", "clinic-9") in events
    assert ("participant_removed", "clinic-1") in events
    assert "stopped" in {kind for kind, _ in events}
    training.refresh_from_db()
    assert not training.is_running


def test_what_a_service_refuses_becomes_a_message(operator: Client, training: Training) -> None:
    for step, data, told in (
        ("start", {}, "is not in state INITIAL"),
        ("invite", {"user": "no\0body"}, "There is no user"),
        ("remove", {}, "There is no user"),
    ):
        answer = operator.post(training_at(training, f"steps/{step}/"), data, follow=True)
        assert told in str(next(iter(answer.context["messages"])))


def test_a_refresh_tells_nothing_until_something_changes(
    operator: Client, training: Training, clinics: list[User]
) -> None:
    etag = ""

    def refreshed() -> int:
        nonlocal etag
        answer = operator.get(training_at(training, "state/"), headers={"If-None-Match": etag})
        etag = answer["ETag"]
        return answer.status_code

    changes = (
        lambda: make_submission(training, clinics[0], is_silent=True),
        lambda: make_delivery(training, clinics[1], last_attempt_at=timezone.now()),
        lambda: make_event(training, EventKind.EDITED),
        lambda: make_metric(training.model, reporter=clinics[0], step=0),
        lambda: training.save(),
    )
    assert refreshed() == 200
    for change in changes:
        assert refreshed() == 304
        change()
        assert refreshed() == 200


def test_a_refresh_holds_the_parts_of_the_page(operator: Client, training: Training) -> None:
    parts = operator.get(training_at(training, "state/")).json()["parts"]
    assert set(parts) == {"state", "people", "history"}
    page = squeezed(operator.get(training_at(training)).content.decode())
    for part, html in parts.items():
        assert f'<divid="{part}">{squeezed(html)}</div>' in page


def test_the_page_takes_few_statements_whatever_there_is(operator: Client, training: Training) -> None:
    mark_failed(training)
    make_event(training, EventKind.FAILED, message="x")
    make_training_invitation(training, make_user("guest"))
    with CaptureQueriesContext(connection) as few:
        operator.get(training_at(training))
    people = [make_user() for _ in range(20)]
    training.participants.add(*people)
    Metric.objects.bulk_create(
        [Metric(model=training.model, key="loss", value_float=1.0, step=0, reporter=person) for person in people]
    )
    with CaptureQueriesContext(connection) as many:
        operator.get(training_at(training))
    assert len(many) == len(few) <= 12


def test_a_training_that_was_not_started_offers_to_start(operator: Client, clinics: list[User]) -> None:
    training = make_training(make_user("actor"), clinics)
    assert [step.name for step, _ in operator.get(training_at(training)).context["steps"]] == ["start", "invite"]
