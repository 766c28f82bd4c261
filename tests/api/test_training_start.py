from __future__ import annotations

from typing import Any

import pytest

from fl_server_core.models import Delivery, Training
from tests.api.conftest import People
from tests.builders.rows import make_mean_model, make_model, make_training


def start(client: Any, training: Training, body: str = "", content_type: str = "application/json") -> Any:
    return client.generic("POST", f"/api/trainings/{training.pk}/start/", body, content_type=content_type)


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", ""),
        ("{}", "application/json"),
        ("{}", "text/plain"),
        *((body, "application/json") for body in ("{", "[]", '{"a": 1}', "null", "\xff")),
        ("a=1", FORM),
        ("no boundary at all", MULTIPART),
        ("x", "image/png"),
    ],
)
def test_the_actor_starts_a_training_and_the_body_is_not_read(
    people: People, training: Training, body: str, content_type: str
) -> None:
    answer = start(people.actor.client, training, body, content_type)
    assert (answer.status_code, answer.json()) == (202, {"detail": "Training started!"})
    training.refresh_from_db()
    assert training.state == "O"
    told = [(delivery.notification_type, delivery.receiver) for delivery in Delivery.objects.order_by("id")]
    assert told == [
        ("TRAINING_START", people.participant.user),
        ("UPDATE_ROUND_START", people.participant.user),
    ]


def test_a_training_starts_once(people: People, running: Training) -> None:
    answer = start(people.actor.client, running)
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Training {running.pk} is not in state INITIAL!"})


def test_a_training_without_participants_does_not_start(people: People) -> None:
    answer = start(people.actor.client, make_training(people.actor.user))
    assert (answer.status_code, answer.json()) == (400, {"detail": "At least one participant must be registered!"})


def test_a_mean_model_is_not_trained(people: People) -> None:
    mean = make_mean_model(people.actor.user, [make_model(people.actor.user)])
    training = make_training(people.actor.user, [people.participant.user], mean, uncertainty_method="ENSEMBLE")
    assert start(people.actor.client, training).status_code == 400


@pytest.mark.parametrize("who", ["participant", "outsider"])
def test_only_the_actor_starts_a_training(people: People, training: Training, who: str) -> None:
    answer = start(getattr(people, who).client, training)
    assert (answer.status_code, answer.json()) == (
        403,
        {"detail": "You do not have permission to perform this action."},
    )
    assert start(people.nobody, training).status_code == 401
    assert not Delivery.objects.exists()
