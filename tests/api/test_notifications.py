from __future__ import annotations

import threading
from typing import Any

import pytest

from fl_server_core.models import Delivery, DeliveryStatus, Training
from fl_server_core.services.trainings import start_training
from tests.api.conftest import People
from tests.builders.rows import make_training

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"


def acknowledge(client: Any, identifier: str, body: Any) -> Any:
    return client.post(f"/api/notifications/{identifier}/ack/", body, format="json")


def test_a_user_fetches_what_it_has_not_acknowledged_oldest_first(people: People, running: Training) -> None:
    answer = people.participant.client.get("/api/notifications/")
    rows = answer.json()
    assert answer.status_code == 200
    assert [(row["notification_type"], row["training_uuid"], row["body"]) for row in rows] == [
        ("TRAINING_START", str(running.pk), {"global_model_uuid": str(running.model_id)}),
        ("UPDATE_ROUND_START", str(running.pk), {"round": 0, "global_model_uuid": str(running.model_id)}),
    ]
    assert [row["id"] for row in rows] == [str(delivery.uuid) for delivery in Delivery.objects.order_by("id")]
    accepted = acknowledge(people.participant.client, rows[0]["id"], {"accept": True})
    assert (accepted.status_code, accepted.json()) == (200, {"detail": "Notification acknowledged!"})
    assert people.participant.client.get("/api/notifications/").json() == rows[1:]


def test_a_page_of_them_says_how_many_there_are(people: People, running: Training) -> None:
    client = people.participant.client
    rows = client.get("/api/notifications/").json()
    answer = client.get("/api/notifications/?limit=1&offset=1")
    assert (answer.json(), answer.headers["X-Total-Count"]) == (rows[1:], "2")
    assert answer.headers["Link"] == '</api/notifications/?limit=1&offset=0>; rel="prev"'
    assert client.get("/api/notifications/?limit=0").status_code == 400
    assert people.outsider.client.get("/api/notifications/?limit=1").headers["X-Total-Count"] == "0"


def test_rejecting_the_open_round_is_leaving_the_training(people: People, running: Training) -> None:
    round_start = Delivery.objects.get(notification_type="UPDATE_ROUND_START")
    assert acknowledge(people.participant.client, str(round_start.uuid), {"accept": False}).status_code == 200
    round_start.refresh_from_db()
    assert (round_start.status, running.participants.count()) == (DeliveryStatus.REJECTED, 0)


def test_everybody_sees_and_settles_its_own_notifications_only(people: People, running: Training) -> None:
    identifier = str(Delivery.objects.first().uuid)  # type: ignore[union-attr]  # there are two
    assert people.outsider.client.get("/api/notifications/").json() == []
    for other in (people.outsider, people.actor, people.staff):
        answer = acknowledge(other.client, identifier, {"accept": True})
        assert (answer.status_code, answer.json()) == (400, {"detail": f"Notification {identifier} not found."})
    assert acknowledge(people.nobody, identifier, {"accept": True}).status_code == 401
    assert people.nobody.get("/api/notifications/").status_code == 401
    assert set(Delivery.objects.values_list("status", flat=True)) == {"pending"}


@pytest.mark.parametrize("identifier", [UNKNOWN, "not-an-id"])
def test_no_such_notification_is_a_400(people: People, identifier: str) -> None:
    answer = acknowledge(people.actor.client, identifier, {"accept": True})
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Notification {identifier} not found."})


@pytest.mark.parametrize("body", [{}, {"accept": "perhaps"}, {"accept": None}, {"accept": True, "x": 1}, []])
def test_an_acknowledgement_says_whether_it_accepts_and_nothing_else(
    people: People, running: Training, body: Any
) -> None:
    identifier = str(Delivery.objects.first().uuid)  # type: ignore[union-attr]  # there are two
    assert acknowledge(people.participant.client, identifier, body).status_code == 400


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "application/json"])
def test_an_acknowledgement_without_a_word_is_refused_and_one_without_its_type_is_read(
    people: People, running: Training, content_type: str
) -> None:
    url = f"/api/notifications/{Delivery.objects.get(notification_type='UPDATE_ROUND_START').uuid}/ack/"
    client = people.participant.client
    for body in ("", "accept="):
        assert client.generic("POST", url, body, content_type=content_type).status_code == 400
    assert running.participants.count() == 1
    assert client.generic("POST", url, '{"accept": true}', content_type=content_type).status_code == 200


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "inf", "1e3", "9" * 30, "\0"])
def test_a_wait_that_is_no_number_of_seconds_is_refused(people: People, wait: str) -> None:
    answer = people.actor.client.get("/api/notifications/", {"wait": wait})
    assert (answer.status_code, list(answer.json())) == (400, ["wait"])


@pytest.mark.django_db(transaction=True)
def test_a_request_that_waits_is_answered_when_a_notification_comes(people: People) -> None:
    training = make_training(people.actor.user, [people.participant.user])
    answers: list[Any] = []
    asking = threading.Thread(
        target=lambda: answers.append(people.participant.client.get("/api/notifications/?wait=30"))
    )
    asking.start()
    start_training(training_id=training.pk, user=people.actor.user)
    asking.join(timeout=25)
    assert [answer.status_code for answer in answers] == [200]
    assert answers[0].json()[0]["notification_type"] == "TRAINING_START"
