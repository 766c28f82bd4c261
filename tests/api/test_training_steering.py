from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fl_server_core.models import Delivery, Training
from fl_server_core.services.participants import add_participants
from fl_server_core.services.trainings import start_training
from tests.api.conftest import People
from tests.builders.rounds import mark_failed, phase_of, set_round
from tests.builders.rows import make_training, make_user

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"
FORBIDDEN = {"detail": "You do not have permission to perform this action."}


def steer(client: Any, training: Training, verb: str) -> Any:
    return client.post(f"/api/trainings/{training.pk}/{verb}/")


@pytest.fixture
def failed(running: Training) -> Training:
    """A training that failed in its first round."""
    mark_failed(running)
    Delivery.objects.all().delete()
    running.refresh_from_db()
    return running


def test_the_actor_resumes_a_failed_training_and_who_is_missing_is_told_again(people: People, failed: Training) -> None:
    answer = steer(people.actor.client, failed, "resume")
    assert (answer.status_code, answer.json()) == (202, {"detail": "Training resumed!"})
    failed.refresh_from_db()
    assert (failed.state, phase_of(failed)) == ("O", "update")
    delivery = Delivery.objects.get()
    assert (delivery.notification_type, delivery.receiver) == ("UPDATE_ROUND_START", people.participant.user)


def test_only_a_failed_training_is_resumed_and_only_a_running_one_stopped(people: People, training: Training) -> None:
    for verb in ("resume", "stop"):
        answer = steer(people.actor.client, training, verb)
        assert (answer.status_code, list(answer.json())) == (400, ["detail"])


@pytest.mark.parametrize(("rounds_closed", "state"), [(0, "E"), (1, "C")])
def test_a_training_that_is_stopped_is_complete_if_a_round_was_closed(
    people: People, running: Training, rounds_closed: int, state: str
) -> None:
    set_round(running, rounds_closed)
    answer = steer(people.actor.client, running, "stop")
    assert (answer.status_code, answer.json()) == (202, {"detail": "Training stopped!"})
    running.refresh_from_db()
    assert running.state == state
    told = set(Delivery.objects.filter(notification_type="TRAINING_FINISHED").values_list("receiver", flat=True))
    assert told == {people.actor.user.pk, people.participant.user.pk}


@pytest.mark.parametrize("verb", ["resume", "stop"])
def test_others_do_not_steer(people: People, running: Training, verb: str) -> None:
    for other in (people.participant, people.outsider):
        answer = steer(other.client, running, verb)
        assert (answer.status_code, answer.json()) == (403, FORBIDDEN)
    assert steer(people.nobody, running, verb).status_code == 401
    running.refresh_from_db()
    assert running.state == "O"


def test_the_status_says_who_was_told_and_who_is_awaited(people: People, running: Training) -> None:
    for reader in (people.actor, people.participant, people.staff):
        answer = reader.client.get(f"/api/trainings/{running.pk}/status/")
        body = answer.json()
        assert (answer.status_code, body["state"], body["phase"], body["round"]) == (200, "O", "update", 0)
        assert body["participants"][0]["awaited"] is True
        told = body["participants"][0]["notification"]
        assert (told["notification_type"], told["status"], told["attempts"]) == ("UPDATE_ROUND_START", "pending", 0)
    refused = people.outsider.client.get(f"/api/trainings/{running.pk}/status/")
    assert (refused.status_code, refused.json()) == (403, FORBIDDEN)


def test_a_training_that_has_not_started_has_a_status_too(people: People, training: Training) -> None:
    body = people.actor.client.get(f"/api/trainings/{training.pk}/status/").json()
    assert (body["state"], body["phase"], body["since"], body["deadline"]) == ("I", "idle", None, None)
    assert body["participants"][0]["notification"] is None


def test_the_history_tells_what_happened_oldest_first(people: People, running: Training) -> None:
    add_participants(training_id=running.pk, user=people.actor.user, user_ids=[people.staff.user.pk])
    for reader in (people.actor, people.participant):
        rows = reader.client.get(f"/api/trainings/{running.pk}/history/").json()
        assert [row["kind"] for row in rows] == ["started", "participant_added"]
    started = rows[0]
    assert (started["user"], started["username"], started["round"]) == (people.actor.id, "actor", 0)
    assert people.outsider.client.get(f"/api/trainings/{running.pk}/history/").status_code == 403
    assert people.nobody.get(f"/api/trainings/{running.pk}/history/").status_code == 401


@pytest.mark.parametrize("tail", ["status", "history"])
@pytest.mark.parametrize("identifier", [UNKNOWN, "not-an-id"])
def test_no_such_training_is_a_400(people: People, tail: str, identifier: str) -> None:
    answer = people.actor.client.get(f"/api/trainings/{identifier}/{tail}/")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Training {identifier} not found."})


@pytest.mark.parametrize("tail", ["status", "history"])
def test_looking_takes_the_same_statements_for_thirty_participants_as_for_three(people: People, tail: str) -> None:
    counts = []
    for number in (3, 30):
        training = make_training(people.actor.user, [make_user() for _ in range(number)])
        start_training(training_id=training.pk, user=people.actor.user)
        with CaptureQueriesContext(connection) as statements:
            assert people.actor.client.get(f"/api/trainings/{training.pk}/{tail}/").status_code == 200
        counts.append(len(statements))
    assert counts[0] == counts[1]
