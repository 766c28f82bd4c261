"""Who may register models and trainings: the flag `actor`."""

from __future__ import annotations

from typing import Any

from fl_server_core.models import GlobalModel
from tests.api.conftest import People
from tests.builders.clients import client_of
from tests.builders.rows import make_user

REGISTRATION = {"username": "anna", "password": "correct horse battery staple", "actor": True}


def test_where_actors_are_flagged_registering_does_not_make_one(
    people: People, model: GlobalModel, settings: Any
) -> None:
    settings.FL_ACTORS = "flagged"
    registered = people.nobody.post("/api/users/", REGISTRATION, format="json")
    assert (registered.status_code, registered.json()["actor"]) == (201, False)
    upload = {"name": "x", "description": "x", "type": "MEAN", "models": [str(model.pk)]}
    training = {
        "model_id": str(model.pk),
        "target_num_updates": 1,
        "metric_names": [],
        "aggregation_method": "FedAvg",
    }
    for path, body in (("models/", upload), ("trainings/", training)):
        refused = people.actor.client.post(f"/api/{path}", body, format="json")
        assert (refused.status_code, refused.json()) == (
            403,
            {"detail": "You do not have permission to perform this action."},
        )
    people.actor.user.actor = True
    people.actor.user.save()
    for path, body in (("models/", upload), ("trainings/", training)):
        assert people.actor.client.post(f"/api/{path}", body, format="json").status_code == 201


def test_where_everyone_acts_the_flag_is_kept_as_it_was_sent(people: People) -> None:
    assert people.nobody.post("/api/users/", REGISTRATION, format="json").json()["actor"] is True
    made = make_user("new")
    assert client_of(made).get("/api/users/myself/").json()["actor"] is False
