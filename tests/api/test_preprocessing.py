from __future__ import annotations

from typing import Any

import pytest

from fl_server_core.models import GlobalModel, Training
from tests.api.conftest import People
from tests.builders.files import scripted_clamp, uploaded
from tests.builders.rows import make_model, make_update
from tests.builders.storage import body_of


def send(client: Any, model_id: object, **files: bytes) -> Any:
    parts = {name: uploaded(content) for name, content in files.items()}
    return client.post(f"/api/models/{model_id}/preprocessing/", parts)


def test_an_owner_sends_a_preprocessing_and_those_who_take_part_download_it(
    people: People, model: GlobalModel, training: Training
) -> None:
    answer = send(people.actor.client, model.pk, model_preprocessing_file=scripted_clamp())
    assert (answer.status_code, answer.json()) == (202, {"detail": "Proprocessing Model Upload Accepted"})
    for reader in (people.actor, people.participant):
        answer = reader.client.get(f"/api/models/{model.pk}/preprocessing/", HTTP_ACCEPT="text/html")
        assert (answer.status_code, body_of(answer)) == (200, scripted_clamp())
        assert answer["Content-Disposition"] == f'attachment; filename="model-{model.pk}-proprecessing.pt"'
    assert people.actor.client.get(f"/api/models/{model.pk}/metadata/").json()["has_preprocessing"] is True


def test_the_preprocessing_of_an_update_is_its_base_models(people: People) -> None:
    base = make_model(people.actor.user, preprocessing=scripted_clamp())
    update = make_update(base, people.participant.user)
    answer = people.participant.client.get(f"/api/models/{update.pk}/preprocessing/")
    assert body_of(answer) == scripted_clamp()


def test_a_model_without_one_says_so(people: People, model: GlobalModel) -> None:
    answer = people.actor.client.get(f"/api/models/{model.pk}/preprocessing/")
    sentence = f"Model '{model.pk}' has no preprocessing model defined."
    assert (answer.status_code, answer.json()) == (404, {"detail": sentence})


@pytest.mark.parametrize("who", ["participant", "outsider"])
def test_only_the_owner_sends_one(people: People, model: GlobalModel, training: Training, who: str) -> None:
    answer = send(getattr(people, who).client, model.pk, model_preprocessing_file=scripted_clamp())
    assert (answer.status_code, answer.json()) == (403, {"detail": f"You are not the owner of model {model.pk}!"})
    assert send(people.nobody, model.pk, model_preprocessing_file=scripted_clamp()).status_code == 401
    assert not GlobalModel.objects.get().has_preprocessing


def test_outsiders_download_none(people: People) -> None:
    model = make_model(people.actor.user, preprocessing=scripted_clamp())
    assert people.outsider.client.get(f"/api/models/{model.pk}/preprocessing/").status_code == 403
    assert people.nobody.get(f"/api/models/{model.pk}/preprocessing/").status_code == 401


def test_a_missing_file_is_told_by_its_name_and_a_wrong_one_in_a_list(people: People, model: GlobalModel) -> None:
    missing = send(people.actor.client, model.pk, x=b"")
    wrong = send(people.actor.client, model.pk, model_preprocessing_file=b"garbage")
    assert (missing.status_code, missing.json()) == (
        400,
        {"detail": "No uploaded file 'model_preprocessing_file' found."},
    )
    assert (wrong.status_code, wrong.json()[0][:28]) == (400, "Invalid preprocessing file: ")


@pytest.mark.parametrize("identifier", ["6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02", "not-an-id"])
def test_no_such_model_is_a_global_model_not_found(people: People, identifier: str) -> None:
    answer = send(people.actor.client, identifier, model_preprocessing_file=scripted_clamp())
    assert (answer.status_code, answer.json()) == (400, {"detail": f"GlobalModel {identifier} not found."})
