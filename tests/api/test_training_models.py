from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fl_server_core.models import GlobalModel, Training
from tests.api.conftest import People
from tests.builders.rows import make_training, make_update, make_user

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"


@pytest.mark.parametrize("tail", ["models/", "models/latest/"])
def test_each_sees_the_global_model_and_the_updates_that_it_may_read(
    people: People, training: Training, model: GlobalModel, tail: str
) -> None:
    other = make_user()
    training.participants.add(other)
    mine, others = make_update(model, people.participant.user), make_update(model, other)
    path = f"/api/trainings/{training.pk}/{tail}"
    for name, rows in {"actor": [model, mine, others], "participant": [model, mine], "outsider": []}.items():
        answer = getattr(people, name).client.get(path)
        assert (answer.status_code, [row["id"] for row in answer.json()]) == (200, [str(row.pk) for row in rows]), name
    assert people.nobody.get(path).status_code == 401


def test_latest_is_each_participants_newest_update(people: People, training: Training, model: GlobalModel) -> None:
    make_update(model, people.participant.user, round=0)
    newest = make_update(model, people.participant.user, round=1)
    rows = people.actor.client.get(f"/api/trainings/{training.pk}/models/latest/").json()
    assert [row["id"] for row in rows] == [str(model.pk), str(newest.pk)]
    assert len(people.actor.client.get(f"/api/trainings/{training.pk}/models/").json()) == 3


def test_an_unknown_training_has_no_models_but_the_latest_ones_are_refused(people: People) -> None:
    answer = people.actor.client.get(f"/api/trainings/{UNKNOWN}/models/")
    assert (answer.status_code, answer.json()) == (200, [])
    latest = people.actor.client.get(f"/api/trainings/{UNKNOWN}/models/latest/")
    assert (latest.status_code, latest.json()) == (400, {"detail": f"Training {UNKNOWN} not found."})


@pytest.mark.parametrize("tail", ["models/", "models/latest/"])
def test_a_malformed_id_is_refused(people: People, tail: str) -> None:
    answer = people.actor.client.get(f"/api/trainings/not-an-id/{tail}")
    assert (answer.status_code, answer.json()) == (400, {"detail": "Training not-an-id not found."})


@pytest.mark.parametrize("tail", ["models/", "models/latest/"])
def test_the_models_of_thirty_take_the_statements_of_those_of_three(people: People, tail: str) -> None:
    counts = []
    for number in (3, 30):
        participants = [make_user() for _ in range(number)]
        training = make_training(people.actor.user, participants)
        base = GlobalModel.objects.get(pk=training.model_id)
        for participant in participants:
            make_update(base, participant)
        with CaptureQueriesContext(connection) as statements:
            rows = people.actor.client.get(f"/api/trainings/{training.pk}/{tail}").json()
        assert len(rows) == number + 1
        counts.append(len(statements))
    assert counts[0] == counts[1]
