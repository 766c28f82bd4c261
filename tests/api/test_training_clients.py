from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fl_server_core.models import Training
from tests.api.conftest import People
from tests.builders.rows import make_training, make_user

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"


def change(client: Any, method: str, training: Training, clients: Any) -> Any:
    body = {} if clients is None else {"clients": clients}
    return getattr(client, method)(f"/api/trainings/{training.pk}/clients/", body, format="json")


def test_the_actor_adds_and_removes_participants(people: People, training: Training) -> None:
    newcomers = [make_user() for _ in range(2)]
    ids = [str(user.pk) for user in newcomers]
    added = change(people.actor.client, "put", training, [*ids, people.participant.id])
    assert (added.status_code, added.json()) == (202, {"detail": "Users registered as participants!"})
    assert training.participants.count() == 3
    removed = change(people.actor.client, "delete", training, ids)
    assert (removed.status_code, removed.json()) == (200, {"detail": "Users removed from training participants!"})
    assert list(training.participants.all()) == [people.participant.user]


@pytest.mark.parametrize("method", ["put", "delete"])
@pytest.mark.parametrize("clients", [[UNKNOWN], ["not-an-id"], ["twice", "twice"]])
def test_unknown_and_repeated_users_are_not_all_found(
    people: People, training: Training, method: str, clients: list[str]
) -> None:
    named = [people.outsider.id if client == "twice" else client for client in clients]
    answer = change(people.actor.client, method, training, named)
    assert (answer.status_code, answer.json()) == (400, {"detail": "Not all provided users were found!"})
    assert list(training.participants.all()) == [people.participant.user]


@pytest.mark.parametrize("method", ["put", "delete"])
@pytest.mark.parametrize("clients", [None, "x", {"a": "b"}, [["x"]], [None], [True], ["\0"]])
def test_anything_but_a_list_of_ids_is_refused_by_field(
    people: People, training: Training, method: str, clients: Any
) -> None:
    answer = change(people.actor.client, method, training, clients)
    assert (answer.status_code, list(answer.json())) == (400, ["clients"])


@pytest.mark.parametrize("method", ["put", "delete"])
@pytest.mark.parametrize("who", ["participant", "outsider"])
def test_only_the_actor_changes_who_takes_part(people: People, training: Training, method: str, who: str) -> None:
    answer = change(getattr(people, who).client, method, training, [people.outsider.id])
    assert (answer.status_code, answer.json()) == (
        403,
        {"detail": "You do not have permission to perform this action."},
    )
    assert change(people.nobody, method, training, [people.outsider.id]).status_code == 401
    assert list(training.participants.all()) == [people.participant.user]


def test_adding_one_takes_the_same_statements_among_thirty_as_among_three(people: People) -> None:
    counts = []
    for number in (3, 30):
        training = make_training(people.actor.user, [make_user() for _ in range(number)])
        with CaptureQueriesContext(connection) as statements:
            assert change(people.actor.client, "put", training, [people.outsider.id]).status_code == 202
        counts.append(len(statements))
    assert counts[0] == counts[1]
