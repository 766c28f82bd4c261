"""What a participant uploaded reaches nobody as it came; a model that can run anything on loading is refused."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch

from fl_server_ai.trainer import ModelTrainer
from fl_server_core.models import GlobalModel, LocalModel, Model, Training
from fl_server_core.models.model_version import VersionFile
from fl_server_core.services.trainings import start_training
from tests.api.conftest import People
from tests.builders.clients import client_of
from tests.builders.files import linear, pickled_linear, saved, saved_vector, scripted_linear, uploaded
from tests.builders.rows import make_mean_model, make_swag_model, make_training, make_update, make_user
from tests.builders.storage import body_of, content_of, stored_files, weight_files
from tests.core.archive.files import packed, records_of, with_record

MARK = "never-run-this"
SYSTEM = f"{os.system.__module__}.system"


class Bomb:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {MARK}",)


def pickled_bomb() -> bytes:
    module = linear(3.0)
    module.extra = Bomb()  # type: ignore[assignment]
    return saved(module)


def scripted_bomb() -> bytes:
    records = records_of(scripted_linear(3.0))
    folder = next(iter(records)).partition("/")[0]
    bomb = b"\x80\x02cposix\nsystem\nX\x14\x00\x00\x00touch " + MARK.encode() + b"\x85R."
    code = tuple(name for name in records if "/code/" in name)
    return packed({**records, f"{folder}/constants.pkl": bomb, f"{folder}/extra/{MARK}": bomb}, deflated=code)


def bare_bomb() -> bytes:
    state = OrderedDict(linear(3.0).state_dict())
    state._metadata = Bomb()  # type: ignore[attr-defined]
    return saved(state)


def vector_bomb() -> bytes:
    vector = torch.ones(8)
    vector.extra = Bomb()  # type: ignore[attr-defined]
    return saved(vector)


BOMBS = [pickled_bomb, scripted_bomb, bare_bomb]


def send(client: Any, model: Model, content: bytes, **fields: Any) -> Any:
    values = {"round": 0, "sample_size": 1, "model_file": uploaded(content), **fields}
    return client.post(f"/api/models/{model.pk}/", values, format="multipart")


def downloads(people: People, more: Iterable[Any] = ()) -> list[bytes]:
    """All that anybody can download, in every format; and every answer about models and trainings."""
    clients = [people.actor, people.participant, people.outsider, people.staff]
    bodies = []
    for client in [*(person.client for person in clients), *more]:
        for model in Model.objects.all():
            path = f"/api/models/{model.pk}/"
            paths = [path, f"{path}?format=safetensors", f"{path}?version=0", f"{path}?version=0&format=safetensors"]
            paths += [f"{path}preprocessing/", f"{path}metadata/", f"{path}metrics/", "/api/models/", "/api/trainings/"]
            for one in paths:
                answer = client.get(one)
                bodies.append(body_of(answer) if answer.streaming else answer.content)
    return bodies


def has_bomb(content: bytes) -> bool:
    return MARK.encode() in content or b"system" in content


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_hostile_update_is_taken_for_its_tensors_and_is_nowhere_in_what_anybody_downloads(
    people: People, model: GlobalModel, running: Training, bomb: Callable[[], bytes]
) -> None:
    assert has_bomb(bomb())
    assert send(people.participant.client, model, bomb()).status_code == 201
    update = LocalModel.objects.get()
    read = downloads(people)
    assert (
        read.count(scripted_linear(3.0)) == 3
    )  # to the participant, the actor and staff: the actor's file, their values
    assert not any(has_bomb(body) for body in read)
    for person in (people.participant, people.actor, people.staff):
        assert body_of(person.client.get(f"/api/models/{update.pk}/")) == scripted_linear(3.0)
    assert people.outsider.client.get(f"/api/models/{update.pk}/").status_code == 403
    assert people.nobody.get(f"/api/models/{update.pk}/").status_code == 401


def test_what_is_passed_on_to_another_participant_is_clean(people: People, model: GlobalModel) -> None:
    other = make_user("other")
    training = make_training(
        people.actor.user, [people.participant.user, other], model, options={"daisy_chain_period": 2}
    )
    start_training(training_id=training.pk, user=people.actor.user)
    clients = [people.participant.client, client_of(other)]
    for client, bomb in zip(clients, (pickled_bomb, bare_bomb), strict=True):
        assert send(client, model, bomb()).status_code == 201
    ModelTrainer(training).advance()
    passed = LocalModel.objects.exclude(passed_to=None)
    assert len(passed) == 2
    for update in passed:
        assert update.passed_to is not None
        assert body_of(client_of(update.passed_to).get(f"/api/models/{update.pk}/")) == scripted_linear(3.0)
    assert not any(has_bomb(body) for body in downloads(people, clients))


def test_hostile_moments_are_taken_for_their_numbers(people: People) -> None:
    model = make_swag_model(people.actor.user)
    training = make_training(people.actor.user, [people.participant.user], model, uncertainty_method="SWAG")
    start_training(training_id=training.pk, user=people.actor.user)
    assert send(people.participant.client, model, bare_bomb()).status_code == 201
    ModelTrainer(training).advance()
    assert has_bomb(vector_bomb())
    moments = {name: uploaded(vector_bomb()) for name in ("first_moment_file", "second_moment_file")}
    answer = people.participant.client.post(
        f"/api/models/{model.pk}/swag/", {"round": 1, "sample_size": 1, **moments}, format="multipart"
    )
    assert answer.status_code == 201
    assert not any(has_bomb(body) for body in downloads(people))  # nobody can download a submission's moments
    ModelTrainer(training).advance()
    files = [content_of(row.file.name or "") for row in VersionFile.objects.all()]
    assert len(files) == 2
    assert not any(has_bomb(body) for body in [*downloads(people), *files])


class TestModels:
    SENTENCE = (
        "Invalid {} file: it names "
        + SYSTEM
        + ", through which it can run anything where it is loaded. Save the model "
        "without that, as TorchScript for instance."
    )

    def test_a_hostile_model_is_refused_and_nothing_is_kept(self, people: People) -> None:
        before = stored_files()
        for bomb in (pickled_bomb, scripted_bomb):
            values = {"name": "n", "description": "d", "model_file": uploaded(bomb())}
            answer = people.actor.client.post("/api/models/", values, format="multipart")
            assert (answer.status_code, answer.json()) == (400, [self.SENTENCE.format("model")])
        values = {"name": "n", "description": "d", "model_file": uploaded(pickled_linear())}
        values["model_preprocessing_file"] = uploaded(pickled_bomb())
        answer = people.actor.client.post("/api/models/", values, format="multipart")
        assert (answer.status_code, answer.json()) == (400, [self.SENTENCE.format("preprocessing")])
        assert (Model.objects.count(), stored_files()) == (0, before)

    def test_a_hostile_preprocessing_is_refused(self, people: People, model: GlobalModel) -> None:
        path = f"/api/models/{model.pk}/preprocessing/"
        values = {"model_preprocessing_file": uploaded(pickled_bomb())}
        answer = people.actor.client.post(path, values, format="multipart")
        assert (answer.status_code, answer.json()) == (400, [self.SENTENCE.format("preprocessing")])
        assert people.actor.client.get(path).status_code == 404

    def test_a_model_of_a_class_that_the_server_has_never_seen_is_kept_and_told_by_its_names(
        self, people: People, model: GlobalModel, training: Training
    ) -> None:
        content = with_record(pickled_linear(), "data.pkl", lambda data: data.replace(b"\nSequential", b"\nOwnSequent"))
        values = {"name": "n", "description": "d", "model_file": uploaded(content)}
        values["model_preprocessing_file"] = uploaded(pickled_linear())
        made = people.actor.client.post("/api/models/", values, format="multipart")
        assert made.status_code == 201
        path = f"/api/models/{made.json()['model_id']}/metadata/"
        body = people.actor.client.get(path).json()
        assert "torch.nn.modules.container.OwnSequent" in body["globals"]
        assert "torch.nn.modules.container.Sequential" in body["preprocessing_globals"]
        assert people.outsider.client.get(path).status_code == 403
        made = people.actor.client.post(
            path.replace("metadata", "preprocessing"),
            {"model_preprocessing_file": uploaded(scripted_linear())},
            format="multipart",
        )
        assert made.status_code == 202
        assert (
            "torch.nn.modules.container.Sequential" not in people.actor.client.get(path).json()["preprocessing_globals"]
        )

    def test_an_update_has_the_names_of_its_model_and_a_mean_none(
        self, people: People, model: GlobalModel, running: Training
    ) -> None:
        send(people.participant.client, model, pickled_bomb())
        update = LocalModel.objects.get()
        names = people.participant.client.get(f"/api/models/{update.pk}/metadata/").json()["globals"]
        assert names == people.participant.client.get(f"/api/models/{model.pk}/metadata/").json()["globals"]
        assert SYSTEM not in names
        mean = make_mean_model(people.actor.user, [model])
        body = people.actor.client.get(f"/api/models/{mean.pk}/metadata/").json()
        assert (body["globals"], body["preprocessing_globals"]) == (None, None)


class TestUpdatesThatAreNotClean:
    """Of a script, or of a server that stored updates as they came."""

    def test_are_written_anew_when_they_are_first_asked_for(
        self, people: People, model: GlobalModel, training: Training
    ) -> None:
        update = make_update(model, people.participant.user, weights=pickled_bomb())
        path = f"/api/models/{update.pk}/"
        first = people.actor.client.get(path)
        assert body_of(first) == scripted_linear(3.0)
        again = people.actor.client.get(path)
        assert (again["ETag"], body_of(again)) == (first["ETag"], scripted_linear(3.0))
        update.refresh_from_db()
        assert update.is_clean
        assert update.weights_file.name in weight_files()

    def test_are_not_handed_out_if_they_do_not_fit(
        self, people: People, model: GlobalModel, training: Training
    ) -> None:
        update = make_update(model, people.participant.user, weights=saved_vector(1.0))
        for query in ("", "?format=safetensors"):
            answer = people.actor.client.get(f"/api/models/{update.pk}/{query}")
            assert answer.status_code == 400
            assert answer.json()["detail"].startswith(f"Update {update.pk} can't be handed out")

    def test_assigned_bytes_are_not_clean(self, people: People, model: GlobalModel) -> None:
        update = make_update(model, people.participant.user)
        body_of(people.participant.client.get(f"/api/models/{update.pk}/"))
        update.refresh_from_db()
        update.weights = pickled_bomb()
        update.save()
        answer = people.participant.client.get(f"/api/models/{update.pk}/")
        assert body_of(answer) == scripted_linear(3.0)
