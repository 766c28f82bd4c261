from __future__ import annotations

import pytest

from fl_server_core.models import GlobalModel, Training
from tests.api.conftest import People
from tests.builders.files import scripted_linear
from tests.builders.rows import make_mean_model, make_model, make_update

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"
GLOBALS = ["collections.OrderedDict", "torch.FloatStorage", "torch._utils._rebuild_tensor_v2"]


def test_the_metadata_are_what_the_list_says_and_the_statistics_of_the_layers(
    people: People, model: GlobalModel, training: Training
) -> None:
    answer = people.participant.client.get(f"/api/models/{model.pk}/metadata/")
    metadata = answer.json()
    stats = metadata.pop("stats")
    assert metadata.pop("globals") == GLOBALS
    assert metadata.pop("preprocessing_globals") is None
    assert (answer.status_code, [metadata]) == (200, people.actor.client.get("/api/models/").json())
    # 3 · 2 weights and 2 biases
    assert (stats["total_params"], stats["trainable_params"], stats["input_size"]) == (8, 8, [[1, 3]])


def test_there_are_no_statistics_without_an_input_shape_or_of_a_mean_or_where_the_shape_does_not_fit(
    people: People,
) -> None:
    unshaped = make_model(people.actor.user)
    wrong = make_model(people.actor.user, input_shape=[None, 4], weights=scripted_linear(4.0))
    mean = make_mean_model(people.actor.user, [unshaped], input_shape=[None, 3])
    for model in (unshaped, wrong, mean):
        answer = people.actor.client.get(f"/api/models/{model.pk}/metadata/")
        assert (answer.status_code, answer.json()["stats"]) == (200, None)


def test_the_metadata_of_an_update_name_its_base(people: People, model: GlobalModel, training: Training) -> None:
    update = make_update(model, people.participant.user, sample_size=9)
    body = people.actor.client.get(f"/api/models/{update.pk}/metadata/").json()
    assert (body["base_model"], body["sample_size"]) == (str(model.pk), 9)
    assert people.outsider.client.get(f"/api/models/{update.pk}/metadata/").status_code == 403


def test_outsiders_and_strangers_see_no_metadata(people: People, model: GlobalModel, training: Training) -> None:
    assert people.outsider.client.get(f"/api/models/{model.pk}/metadata/").status_code == 403
    assert people.nobody.get(f"/api/models/{model.pk}/metadata/").status_code == 401


@pytest.mark.parametrize("identifier", [UNKNOWN, "not-an-id"])
def test_the_metadata_of_no_model_are_a_400(people: People, identifier: str) -> None:
    answer = people.actor.client.get(f"/api/models/{identifier}/metadata/")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Model {identifier} not found."})
