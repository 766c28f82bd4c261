from __future__ import annotations

from typing import Any

import pytest

from fl_server_core.models import GlobalModel, LocalModel, Metric, Model, Training
from fl_server_core.selectors.models import get_readable_model
from tests.api.conftest import People
from tests.builders.files import scripted_linear
from tests.builders.rows import make_mean_model, make_metric, make_model, make_swag_model, make_update
from tests.builders.storage import body_of, lose_file, make_newer, stored_files

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html", "application/octet-stream", "image/png"])
def test_a_download_is_the_file_whatever_accept_says(people: People, model: GlobalModel, accept: str) -> None:
    answer = people.actor.client.get(f"/api/models/{model.pk}/", HTTP_ACCEPT=accept)
    assert (answer.status_code, body_of(answer)) == (200, scripted_linear())
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Length"] == str(len(scripted_linear()))
    assert answer["Content-Disposition"] == f'attachment; filename="model-{model.pk}.pt"'


def test_the_refusal_of_a_download_is_json_whatever_accept_says(people: People) -> None:
    answer = people.actor.client.get(f"/api/models/{UNKNOWN}/", HTTP_ACCEPT="application/octet-stream")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Model {UNKNOWN} not found."})


def test_a_global_model_is_read_by_those_who_take_part_and_by_nobody_else(
    people: People, model: GlobalModel, training: Training
) -> None:
    path = f"/api/models/{model.pk}/"
    for reader in (people.actor, people.participant, people.staff):
        answer = reader.client.get(path)
        assert (answer.status_code, body_of(answer)) == (200, scripted_linear())
    refused = people.outsider.client.get(path)
    assert (refused.status_code, refused.json()) == (
        403,
        {"detail": "You do not have permission to perform this action."},
    )
    assert people.nobody.get(path).status_code == 401


def test_an_update_is_read_by_its_owner_the_actor_and_staff(
    people: People, model: GlobalModel, training: Training
) -> None:
    update = make_update(model, people.participant.user)
    training.participants.add(people.outsider.user)  # taking part is not enough
    path = f"/api/models/{update.pk}/"
    for name in ("participant", "actor", "staff"):
        assert body_of(getattr(people, name).client.get(path)) == scripted_linear(2.0), name
    assert people.outsider.client.get(path).status_code == 403
    LocalModel.objects.filter(pk=update.pk).update(passed_to=people.outsider.user)
    assert body_of(people.outsider.client.get(path)) == scripted_linear(2.0)


def test_a_swag_model_is_downloaded_like_any_other(people: People) -> None:
    swag = make_swag_model(people.actor.user)
    answer = people.actor.client.get(f"/api/models/{swag.pk.hex}/")
    assert (answer.status_code, body_of(answer)) == (200, scripted_linear())
    assert f"model-{swag.pk}.pt" in answer["Content-Disposition"]


def test_a_round_that_closes_while_a_row_is_read_is_answered_with_the_newer_version(
    people: People, model: GlobalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = get_readable_model

    def read_and_close(*arguments: Any) -> Any:
        row = read(*arguments)
        make_newer(row, scripted_linear(7.0))  # type: ignore[arg-type]
        return row

    monkeypatch.setattr("fl_server_api.downloads.get_readable_model", read_and_close)
    answer = people.actor.client.get(f"/api/models/{model.pk}/")
    assert (answer.status_code, body_of(answer)) == (200, scripted_linear(7.0))


def test_a_file_that_the_storage_has_lost_is_a_404(people: People, model: GlobalModel) -> None:
    lose_file(model)
    answer = people.actor.client.get(f"/api/models/{model.pk}/")
    assert (answer.status_code, list(answer.json())) == (404, ["detail"])


def test_a_mean_model_of_members_that_are_no_torchscript_is_refused_with_a_reason(people: People) -> None:
    from tests.builders.files import pickled_linear

    member = make_model(people.actor.user, weights=pickled_linear())
    mean = make_mean_model(people.actor.user, [member])
    answer = people.actor.client.get(f"/api/models/{mean.pk}/")
    assert (answer.status_code, list(answer.json())) == (400, ["detail"])


def test_a_mean_model_of_torchscript_members_downloads_as_one_module(people: People) -> None:
    import io

    import torch

    members = [make_model(people.actor.user, weights=scripted_linear(value)) for value in (1.0, 3.0)]
    mean = make_mean_model(people.actor.user, members)
    answer = people.actor.client.get(f"/api/models/{mean.pk}/")
    assert answer.status_code == 200
    assert answer["Content-Disposition"] == f'attachment; filename="model-{mean.pk}.pt"'
    module = torch.jit.load(io.BytesIO(answer.content))  # type: ignore[no-untyped-call]
    # (1·3 + 1 + 3·3 + 3) / 2 for an input of ones
    assert module(torch.ones(1, 3)).tolist() == [[8.0, 8.0]]


def test_an_owner_removes_its_model_with_everything_that_hangs_on_it(
    people: People, model: GlobalModel, training: Training
) -> None:
    make_update(model, people.participant.user)
    make_metric(model, reporter=people.participant.user)
    answer = people.actor.client.delete(f"/api/models/{model.pk}/")
    assert (answer.status_code, answer.json()) == (200, {"detail": "Model removed!"})
    assert (Model.objects.count(), Training.objects.count(), Metric.objects.count()) == (0, 0, 0)
    again = people.actor.client.delete(f"/api/models/{model.pk}/")
    assert (again.status_code, again.json()) == (400, {"detail": f"Model {model.pk} not found."})


@pytest.mark.django_db(transaction=True)
def test_the_files_of_a_removed_model_go_after_the_commit(people: People) -> None:
    before = stored_files()
    model = make_model(people.actor.user, preprocessing=scripted_linear())
    assert len(stored_files() - before) == 2
    assert people.actor.client.delete(f"/api/models/{model.pk}/").status_code == 200
    assert stored_files() == before


@pytest.mark.parametrize("who", ["participant", "outsider"])
def test_others_may_not_remove_a_model(people: People, model: GlobalModel, training: Training, who: str) -> None:
    answer = getattr(people, who).client.delete(f"/api/models/{model.pk}/")
    sentence = "You are neither the owner of the model nor the actor of the corresponding training."
    assert (answer.status_code, answer.json()) == (403, {"detail": sentence})
    assert people.nobody.delete(f"/api/models/{model.pk}/").status_code == 401
    assert Model.objects.exists()


def test_the_actor_removes_an_update_of_its_training(people: People, model: GlobalModel, training: Training) -> None:
    update = make_update(model, people.participant.user)
    assert people.outsider.client.delete(f"/api/models/{update.pk}/").status_code == 403
    assert people.actor.client.delete(f"/api/models/{update.pk}/").status_code == 200
    assert (LocalModel.objects.count(), GlobalModel.objects.count(), Training.objects.count()) == (0, 1, 1)
