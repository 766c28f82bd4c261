from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fl_server_core.models import GlobalModel, MeanModel, Model, SWAGModel, Training
from tests.api.conftest import People
from tests.builders.files import pickled_linear, saved_vector, scripted_clamp, scripted_linear, uploaded
from tests.builders.rows import make_mean_model, make_model, make_swag_model, make_training, make_update
from tests.builders.storage import stored_files

ABOUT = {"name": "Wire model", "description": "three in, two out"}
UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"
GLOBAL_KEYS = {
    "id", "owner", "round", "name", "description", "input_shape", "preprocessing", "has_preprocessing",
}  # fmt: skip


def upload(people: People, **fields: Any) -> Any:
    values = {**ABOUT, "model_file": uploaded(scripted_linear()), **fields}
    return people.actor.client.post("/api/models/", {key: value for key, value in values.items() if value is not None})


@pytest.mark.parametrize("content", [scripted_linear, pickled_linear])
def test_an_uploaded_model_is_kept_byte_for_byte(people: People, content: Any) -> None:
    answer = upload(people, model_file=uploaded(content()), input_shape=["None", "3"])
    model = GlobalModel.objects.get()
    assert (answer.status_code, answer.json()) == (
        201,
        {"detail": "Model Upload Accepted", "model_id": str(model.pk)},
    )
    assert (model.owner, model.round, model.input_shape, model.weights) == (people.actor.user, 0, [None, 3], content())


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [(None, GlobalModel), ("GLOBAL", GlobalModel), ("SWAG", SWAGModel), ("swag", SWAGModel), ("WHATEVER", GlobalModel)],
)
def test_the_type_is_read_in_any_case_and_an_unknown_one_means_global(people: People, wanted: Any, kind: Any) -> None:
    assert upload(people, type=wanted, round="7").status_code == 201
    model = Model.objects.get()
    assert (type(model), model.round) == (kind, 7)


def test_a_preprocessing_may_come_along(people: People) -> None:
    assert upload(people, model_preprocessing_file=uploaded(scripted_clamp())).status_code == 201
    assert GlobalModel.objects.get().preprocessing == scripted_clamp()


@pytest.mark.parametrize("field", ["name", "description"])
def test_a_missing_name_or_description_is_told_in_a_list_before_a_missing_file(people: People, field: str) -> None:
    answer = upload(people, **{field: None, "model_file": None})
    assert (answer.status_code, answer.json()) == (400, [f"Missing required field: {field}"])


@pytest.mark.parametrize("instead", [None, "text"])
def test_a_missing_file_is_told_by_its_name(people: People, instead: str | None) -> None:
    answer = upload(people, model_file=instead)
    assert (answer.status_code, answer.json()) == (400, {"detail": "No uploaded file 'model_file' found."})


@pytest.mark.parametrize(
    ("fields", "beginning"),
    [
        ({"model_file": uploaded(b"garbage")}, "Invalid model file: "),
        ({"model_file": uploaded(b"")}, "Invalid model file: "),
        ({"model_file": uploaded(saved_vector(1.0, 2.0))}, "Invalid model file: "),
        ({"model_preprocessing_file": uploaded(b"garbage")}, "Invalid preprocessing file: "),
    ],
)
def test_a_file_that_holds_no_module_is_refused_and_nothing_stays(
    people: People, fields: dict[str, Any], beginning: str
) -> None:
    before = stored_files()
    answer = upload(people, **fields)
    assert answer.status_code == 400
    assert len(answer.json()) == 1
    assert answer.json()[0].startswith(beginning)
    assert not Model.objects.exists()
    assert stored_files() == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("round", "first"),
        ("round", "-1"),
        ("round", str(2**31)),
        ("round", "9" * 5000),
        ("name", "x" * 257),
        ("name", "nul\0"),
        ("description", "nul\0"),
        ("input_shape", ["three"]),
        ("input_shape", ["-1"]),
        ("input_shape", ["1e9"]),
        ("input_shape", ["1"] * 65),
    ],
)
def test_a_field_that_cannot_be_used_is_named(people: People, field: str, value: Any) -> None:
    answer = upload(people, **{field: value})
    assert (answer.status_code, list(answer.json())) == (400, [field])
    assert not Model.objects.exists()


def test_a_mean_model_comes_as_json_with_its_members(people: People) -> None:
    members = [make_model(people.actor.user), make_model(people.actor.user)]
    wish = {**ABOUT, "type": "mean", "models": [str(member.pk) for member in members], "input_shape": [None, 3]}
    answer = people.actor.client.post("/api/models/", wish, format="json")
    mean = MeanModel.objects.get()
    assert (answer.status_code, answer.json()["model_id"]) == (201, str(mean.pk))
    assert {member.pk for member in mean.models.all()} == {member.pk for member in members}
    assert mean.input_shape == [None, 3]


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        (None, "Missing required field: models"),
        ("x", "Invalid type for field: models"),
        ({"a": 1}, "Invalid type for field: models"),
        ([UNKNOWN], "Invalid model UUIDs found."),
        (["not-an-id", 5, None, [], "nul\0"], "Invalid model UUIDs found."),
        ([], "Invalid model UUIDs found."),
    ],
)
def test_a_mean_model_of_what_is_no_models_is_refused(people: People, models: Any, sentence: str) -> None:
    wish = {**ABOUT, "type": "MEAN", **({} if models is None else {"models": models})}
    answer = people.actor.client.post("/api/models/", wish, format="json")
    assert (answer.status_code, answer.json()) == (400, [sentence])


def test_nobody_makes_a_mean_of_anothers_models(people: People, model: GlobalModel) -> None:
    wish = {**ABOUT, "type": "MEAN", "models": [str(model.pk)]}
    answer = people.outsider.client.post("/api/models/", wish, format="json")
    assert (answer.status_code, answer.json()) == (
        400,
        ["Invalid model selection. Insufficient model permissions."],
    )


def test_the_list_holds_ones_own_models_and_those_of_ones_trainings_oldest_first(
    people: People, model: GlobalModel, training: Training
) -> None:
    update = make_update(model, people.participant.user)
    alone = make_model(people.actor.user)
    expected: dict[str, list[Model]] = {
        "actor": [model, alone],
        "participant": [model, update],
        "outsider": [],
    }
    for name, rows in expected.items():
        answer = getattr(people, name).client.get("/api/models/")
        assert (answer.status_code, [row["id"] for row in answer.json()]) == (200, [str(row.pk) for row in rows]), name


def test_each_kind_of_model_has_keys_of_its_own_and_no_bytes(people: People, model: GlobalModel) -> None:
    user = people.actor.user
    swag = make_swag_model(user, preprocessing=scripted_clamp())
    mean = make_mean_model(user, [model, swag])
    update = make_update(model, user)
    rows = {row["id"]: row for row in people.actor.client.get("/api/models/").json()}
    assert rows[str(model.pk)] == {
        "id": str(model.pk),
        "owner": people.actor.id,
        "round": 0,
        "name": "linear",
        "description": "three in, two out",
        "input_shape": [None, 3],
        "preprocessing": None,
        "has_preprocessing": False,
    }
    assert set(rows[str(swag.pk)]) == GLOBAL_KEYS | {"swag_first_moment", "swag_second_moment"}
    assert (rows[str(swag.pk)]["has_preprocessing"], rows[str(swag.pk)]["preprocessing"]) == (True, None)
    assert set(rows[str(mean.pk)]) == GLOBAL_KEYS | {"models"}
    assert set(rows[str(mean.pk)]["models"]) == {str(model.pk), str(swag.pk)}
    assert rows[str(update.pk)] == {
        "id": str(update.pk),
        "owner": people.actor.id,
        "round": 0,
        "base_model": str(model.pk),
        "sample_size": 1,
    }


def test_a_list_of_thirty_models_takes_the_statements_of_three(people: People) -> None:
    counts = []
    for wanted in (3, 30):
        while MeanModel.objects.count() < wanted:
            model = make_model(people.actor.user)
            make_mean_model(people.actor.user, [model])
            make_update(model, people.actor.user)
            make_training(people.actor.user, [people.participant.user], model)
        with CaptureQueriesContext(connection) as statements:
            assert len(people.actor.client.get("/api/models/").json()) == 3 * wanted
        counts.append(len(statements))
    assert counts[0] == counts[1]


def test_models_need_a_login(people: People) -> None:
    assert people.nobody.get("/api/models/").status_code == 401
    assert people.nobody.post("/api/models/", {**ABOUT, "model_file": uploaded(scripted_linear())}).status_code == 401
    assert not Model.objects.exists()


def test_a_description_is_bounded(people: People) -> None:
    answer = upload(people, description="x" * 16_385)
    assert (answer.status_code, list(answer.json())) == (400, ["description"])
    assert upload(people, description="x" * 16_384).status_code == 201
