from __future__ import annotations

import base64
import io
import pickle
from typing import Any

import pytest

from fl_server_ai.inference import server_sandbox
from fl_server_ai.inference.server_sandbox import close_sandbox
from fl_server_ai.sandbox import SandboxBusy
from fl_server_core.models import GlobalModel, Training
from tests.api.conftest import People
from tests.builders.files import saved, scripted_clamp, uploaded
from tests.builders.rows import make_model

UNKNOWN = "6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02"
ROWS = [[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]]


def ask(client: Any, model: GlobalModel | None, format: str = "json", **fields: Any) -> Any:
    values = {"model_id": None if model is None else str(model.pk), "model_input": ROWS, **fields}
    given = {key: value for key, value in values.items() if value is not None}
    return client.post("/api/inference/", given, format=format)


def tensor() -> Any:
    import torch

    return uploaded(saved(torch.tensor(ROWS)), "input.pt")


def test_json_is_answered_in_json(people: People, model: GlobalModel) -> None:
    answer = ask(people.actor.client, model)
    assert (answer.status_code, answer.json()) == (200, {"inference": [0, 0], "uncertainty": {}})


def test_a_form_is_answered_with_a_pickled_dict_unless_it_asks_for_json(people: People, model: GlobalModel) -> None:
    binary = ask(people.actor.client, model, "multipart", model_input=tensor())
    assert (binary.status_code, binary["Content-Type"]) == (200, "application/octet-stream")
    said = pickle.loads(binary.content)
    assert (said["inference"].tolist(), said["uncertainty"]) == ([0, 0], {})
    in_json = ask(people.actor.client, model, "multipart", model_input=tensor(), return_format="json")
    assert in_json.json() == {"inference": [0, 0], "uncertainty": {}}


def test_a_file_for_safe_loading_can_be_asked_for(people: People, model: GlobalModel) -> None:
    import torch

    answer = ask(people.actor.client, model, return_format="torch")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/octet-stream")
    assert torch.load(io.BytesIO(answer.content), weights_only=True)["inference"].tolist() == [0, 0]


def test_a_tensor_may_come_in_base64_too(people: People, model: GlobalModel) -> None:
    text = base64.b64encode(tensor().read()).decode()
    assert ask(people.actor.client, model, model_input=text).json()["inference"] == [0, 0]


def test_the_preprocessing_is_applied_first(people: People) -> None:
    """The mean over MC_DROPOUT's samples shows the outputs: 3·1 + 1 for an input that is limited to 1."""
    from tests.builders.rows import make_training

    model = make_model(people.actor.user, preprocessing=scripted_clamp())
    make_training(people.actor.user, [], model, uncertainty_method="MC_DROPOUT")
    answer = ask(people.actor.client, model, model_input=[[5.0, 6.0, 7.0]])
    assert (answer.status_code, answer.json()["inference"]) == (200, [[4.0, 4.0]])


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"model_id": None}, "No 'model_id' provided in request."),
        ({"model_input": None}, "No uploaded file 'model_input' found."),
        ({"return_format": "xml"}, "Unknown return format 'xml'. Supported are binary and json."),
        ({"model_input": [[1.0, 2.0]]}, "Input shape does not match model input shape."),
    ],
)
def test_what_is_missing_or_does_not_fit_is_told_in_a_list(
    people: People, model: GlobalModel, fields: dict[str, Any], sentence: str
) -> None:
    answer = ask(people.actor.client, model, **fields)
    assert (answer.status_code, answer.json()) == (400, [sentence])


@pytest.mark.parametrize("value", ["text", {}, {"a": 1}, [["x"]], [[1], [2, 3]], [None], True, "", [10**400], "\ud800"])
def test_an_input_that_is_none_is_refused(people: People, model: GlobalModel, value: Any) -> None:
    import json

    body = json.dumps({"model_id": str(model.pk), "model_input": value})
    assert people.actor.client.post("/api/inference/", body, content_type="application/json").status_code == 400


@pytest.mark.parametrize("identifier", [UNKNOWN, "not-an-id"])
def test_no_such_model_is_a_400_that_names_the_id(people: People, identifier: str) -> None:
    answer = ask(people.actor.client, None, model_id=identifier)
    assert (answer.status_code, answer.json()) == (400, {"detail": f"Model {identifier} not found."})


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "image/png"])
def test_another_content_type_is_a_415(people: People, content_type: str) -> None:
    answer = people.actor.client.generic("POST", "/api/inference/", "x", content_type=content_type)
    assert (answer.status_code, list(answer.json())) == (415, ["detail"])


def test_models_answer_those_who_may_read_them(people: People, model: GlobalModel, training: Training) -> None:
    for reader in (people.actor, people.participant, people.staff):
        assert ask(reader.client, model).status_code == 200
    assert ask(people.outsider.client, model).status_code == 403
    assert ask(people.nobody, model).status_code == 401


def test_a_busy_server_says_to_try_again(people: People, model: GlobalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> None:
        raise SandboxBusy("All is taken.")

    monkeypatch.setattr("fl_server_api.views.inference.predict", refuse)
    answer = ask(people.actor.client, model)
    assert (answer.status_code, list(answer.json())) == (503, ["detail"])


def test_a_sandbox_that_does_not_start_is_told_in_one_sentence_and_logged(
    people: People, model: GlobalModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    close_sandbox()
    monkeypatch.setattr(server_sandbox, "TASKS", "nowhere.tasks")
    try:
        answer = ask(people.actor.client, model, model_input=[[1.0, 2.0, 3.0]])
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "sandbox does not start" in answer.json()["detail"]
        assert "Models cannot be run." in [record.getMessage() for record in caplog.records]
        assert people.actor.client.get(f"/api/models/{model.pk}/metadata/").json()["stats"] is None
    finally:
        close_sandbox()
