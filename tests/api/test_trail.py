"""What requests leave in the trail: who did what, and with which outcome."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from fl_server_ai.trainer import ModelTrainer
from fl_server_core.models import AuditEntry, GlobalModel, LocalModel, Training, User
from fl_server_core.selectors.trail import verify_trail
from fl_server_core.services.tokens import make_token
from fl_server_core.services.trail_sealing import seal_trail
from tests.api.conftest import People
from tests.api.trails import PASSWORD, WHO, trail, update
from tests.builders.clients import client_of, token_of
from tests.builders.files import scripted_linear, uploaded
from tests.builders.storage import body_of
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def download(client: APIClient, model_id: object) -> Any:
    answer = client.get(f"/api/models/{model_id}/")
    assert answer.status_code == 200
    assert body_of(answer)
    return answer


def register(name: str) -> tuple[APIClient, str]:
    answer = APIClient().post("/api/users/", {"username": name, "password": PASSWORD}, format="json")
    assert answer.status_code == 201
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {answer.data['token']}")
    return client, answer.data["id"]


def test_after_all_is_deleted_the_trail_says_who_did_what() -> None:
    (anna, anna_id), (ben, ben_id) = register("anna"), register("ben")
    sent = {"name": "linear", "description": "three in", "model_file": uploaded(scripted_linear())}
    model = anna.post("/api/models/", sent).data["model_id"]
    wish = {
        "model_id": model,
        "target_num_updates": 1,
        "metric_names": [],
        "aggregation_method": "FedAvg",
        "clients": [ben_id],
        "options": {"skip_model_tests": True},
    }
    training = anna.post("/api/trainings/", wish, format="json").data["training_id"]
    assert anna.post(f"/api/trainings/{training}/start/").status_code == 202
    download(ben, model)
    assert ben.post(f"/api/models/{model}/", update()).status_code == 201
    local = str(LocalModel.objects.get().pk)
    ModelTrainer(training).advance()
    download(anna, model)
    assert anna.delete(f"/api/trainings/{training}/").status_code == 200
    assert anna.delete(f"/api/models/{model}/").status_code == 200
    assert anna.delete("/api/users/myself/").status_code == 200
    assert not GlobalModel.objects.exists()
    assert not Training.objects.exists()
    assert not User.objects.filter(username="anna").exists()

    mine = {"account_id": UUID(anna_id)}
    fields = ("verb", "object_kind", "object_id", "training_id")
    assert trail(*fields, credential="token", **mine) == [
        ("create", "model", model, None),
        ("create", "training", training, UUID(training)),
        ("start", "training", training, UUID(training)),
        ("download", "model", model, None),
        ("delete", "training", training, UUID(training)),
        ("delete", "model", model, None),
        ("delete", "account", anna_id, None),
    ]
    assert trail("verb", "object_id", "training_id", "round", "details", account_id=UUID(ben_id)) == [
        ("download", model, None, None, {"version": 0}),
        ("upload", model, UUID(training), 0, {"update": local}),
    ]
    assert trail("object_id", "object_name", "status", verb="register") == [
        (anna_id, "anna", 201),
        (ben_id, "ben", 201),
    ]
    closed = trail("verb", "training_id", "round", credential="server")
    assert ("aggregated", UUID(training), 0) in closed
    assert ("finished", UUID(training), 1) in closed
    seal_trail()
    assert verify_trail().problem == ""


def test_a_token_is_named_and_its_key_is_nowhere(people: People) -> None:
    token, key = make_token(
        user=people.actor.user, author=people.actor.user, name="night job", scopes=["read", "write"]
    )
    client = APIClient(REMOTE_ADDR="192.0.2.7")
    client.credentials(HTTP_AUTHORIZATION=f"Token {key}")
    client.post("/api/groups/", {"name": "radiology"}, format="json")
    ((account, token_id, name, address, kind),) = trail(
        "account_id", "token_id", "token_name", "address", "object_name", verb="create"
    )
    assert (account, token_id, name, address, kind) == (
        people.actor.user.pk,
        token.pk,
        "night job",
        "192.0.2.7",
        "radiology",
    )
    assert key not in str(list(AuditEntry.objects.values()))


def test_behind_a_trusted_proxy_the_address_is_that_of_the_client(people: People, settings: Any) -> None:
    settings.FL_TRUSTED_PROXIES = ["127.0.0.1/32"]
    people.actor.client.post("/api/groups/", {"name": "new"}, HTTP_X_FORWARDED_FOR="203.0.113.5")
    assert trail("address") == ["203.0.113.5"]


def test_an_actor_a_participant_and_an_outsider_are_told_apart(people: People, running: Training) -> None:
    path = f"/api/trainings/{running.pk}/stop/"
    for person in (people.outsider, people.participant, people.actor):
        person.client.post(path, {}, format="json")
    people.nobody.post(path, {}, format="json")
    assert trail("account_name", "verb", "outcome", "status") == [
        ("outsider", "stop", "refused", 403),
        ("participant", "stop", "refused", 403),
        ("actor", "stop", "done", 202),
        ("", "stop", "refused", 401),
    ]
    assert set(trail("object_id")) == {str(running.pk)}


def test_participants_who_are_added_and_removed_are_named(people: People, training: Training) -> None:
    path, body = f"/api/trainings/{training.pk}/clients/", {"clients": [people.outsider.id]}
    assert people.actor.client.put(path, body, format="json").status_code < 300
    assert people.actor.client.delete(path, body, format="json").status_code < 300
    assert trail("verb", "training_id", "details") == [
        ("add participants", training.pk, {"accounts": [people.outsider.id]}),
        ("remove participants", training.pk, {"accounts": [people.outsider.id]}),
    ]


def test_an_update_that_is_downloaded_or_deleted_is_called_an_update(people: People, running: Training) -> None:
    people.participant.client.post(f"/api/models/{running.model_id}/", update())
    local = LocalModel.objects.get()
    download(people.actor.client, local.pk)
    people.participant.client.delete(f"/api/models/{local.pk}/")
    assert trail("account_name", "verb", "object_kind", "object_id")[1:] == [
        ("actor", "download", "update", str(local.pk)),
        ("participant", "delete", "update", str(local.pk)),
    ]


def test_an_inference_names_the_model_and_its_version(people: People, model: GlobalModel) -> None:
    answer = people.actor.client.post(
        "/api/inference/", {"model_id": str(model.pk), "model_input": [[0.1, 0.2, 0.3]]}, format="json"
    )
    assert answer.status_code == 200
    fields = ("verb", "object_kind", "object_id", "object_name", "outcome", "details")
    assert trail(*fields) == [("infer", "model", str(model.pk), "linear", "done", {"version": 0})]


@pytest.mark.parametrize(
    "path",
    [
        "/api/users/",
        "/api/models/",
        "/api/models/{model}/metadata/",
        "/api/models/{model}/metrics/",
        "/api/trainings/{training}/",
        "/api/trainings/{training}/status/",
        "/api/notifications/",
        "/api/schema/",
        "/api/none/",
    ],
)
def test_reading_lists_and_polling_leaves_nothing(people: People, running: Training, path: str) -> None:
    path = path.format(model=running.model_id, training=running.pk)
    assert people.actor.client.get(path).status_code < 500
    assert trail("verb") == []


def test_a_download_of_which_nothing_has_changed_leaves_nothing(people: People, model: GlobalModel) -> None:
    path = f"/api/models/{model.pk}/"
    tag = download(people.actor.client, model.pk).headers["ETag"]
    assert people.actor.client.get(path, HTTP_IF_NONE_MATCH=tag).status_code == 304
    assert people.actor.client.head(path).status_code == 200
    assert trail("verb", "status", "count") == [("download", 200, 1)]


def test_a_mistake_in_a_write_is_a_refusal_and_in_a_read_is_nothing(people: People) -> None:
    people.actor.client.post("/api/trainings/", {"model_id": "none"}, format="json")
    people.actor.client.get(f"/api/models/{UUID(int=1)}/")
    assert trail("verb", "object_kind", "outcome", "status") == [("create", "training", "refused", 400)]


def test_what_a_token_lacks_and_whom_it_is_not_for_are_refusals(people: People, model: GlobalModel) -> None:
    people.outsider.client.get(f"/api/models/{model.pk}/")
    _, key = make_token(user=people.actor.user, author=people.actor.user, name="reader", scopes=["read"])
    reader = APIClient()
    reader.credentials(HTTP_AUTHORIZATION=f"Token {key}")
    reader.post("/api/groups/", {"name": "new"})
    assert trail("account_name", "token_name", "verb", "object_kind", "status") == [
        ("outsider", people.outsider.user.tokens.get().name, "download", "model", 403),
        ("actor", "reader", "create", "group", 403),
    ]


@pytest.mark.parametrize(("setting", "status"), [("FL_MAX_MODELS", 507), ("FL_MAX_REQUESTS", 429)])
def test_a_spent_budget_is_a_refusal(
    people: People, model: GlobalModel, settings: Any, setting: str, status: int
) -> None:
    setattr(settings, setting, 1)
    sent = {"name": "linear", "description": "three in", "model_file": uploaded(scripted_linear())}
    statuses = [
        people.actor.client.post("/api/models/", sent | {"model_file": uploaded(scripted_linear())}).status_code
    ]
    statuses.append(people.actor.client.post("/api/models/", sent).status_code)
    assert statuses[-1] == status
    assert ("actor", "token", "create", "model", "refused", status) in trail(*WHO)


def test_what_the_server_does_to_a_training_is_in_the_trail() -> None:
    world = World(1, options={"skip_model_tests": True}).start()
    world.update(0, 1.0)
    world.advance()
    world.remove(0)
    entries = trail("verb", "round", "outcome", credential="server", training_id=world.training.pk)
    assert ("aggregated", 0, "done") in entries
    assert ("failed", 1, "failed") in entries


def test_the_api_token_of_nobody_is_in_the_trail(people: People) -> None:
    people.actor.client.get("/api/users/myself/tokens/")
    client_of(people.actor.user).post("/api/users/myself/tokens/", {"name": "robot", "scopes": ["read"]}, format="json")
    rows = str(list(AuditEntry.objects.values()))
    assert trail("verb", "object_kind", "object_name") == [("create", "token", "robot")]
    assert token_of(people.actor.user) not in rows
