"""Any model's tensors in a format that can't carry code, and updates in it."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
import safetensors.torch
import torch

from fl_server_core.models import GlobalModel, LocalModel, Training
from tests.api.conftest import People
from tests.builders.files import linear, pickled_linear, scripted_linear, uploaded
from tests.builders.rows import make_mean_model, make_model, make_swag_model, make_update
from tests.builders.storage import body_of, lose_file

FORMAT = "?format=safetensors"


def values_of(content: bytes) -> dict[str, Any]:
    return {name: tensor.flatten().tolist() for name, tensor in safetensors.torch.load(content).items()}


def values(number: float) -> dict[str, Any]:
    return {"0.weight": [number] * 6, "0.bias": [number] * 2}


def send(people: People, training: Training, content: bytes) -> Any:
    fields = {"round": 0, "sample_size": 1, "model_file": uploaded(content)}
    return people.participant.client.post(f"/api/models/{training.model_id}/", fields, format="multipart")


class TestDownloads:
    def test_a_global_model_for_those_who_may_read_it(
        self, people: People, model: GlobalModel, training: Training
    ) -> None:
        path = f"/api/models/{model.pk}/{FORMAT}"
        for reader in (people.actor, people.participant, people.staff):
            answer = reader.client.get(path)
            content = body_of(answer)
            assert (answer.status_code, values_of(content)) == (200, values(1.0))
            assert answer["Content-Length"] == str(len(content))
            assert answer["Content-Type"] == "application/octet-stream"
            assert answer["Content-Disposition"] == f'attachment; filename="model-{model.pk}.safetensors"'
        assert people.outsider.client.get(path).status_code == 403
        assert people.nobody.get(path).status_code == 401

    def test_a_version_an_update_and_a_swag_model(self, people: People, ten: GlobalModel, training: Training) -> None:
        read = people.actor.client.get(f"/api/models/{ten.pk}/{FORMAT}&version=7")
        assert values_of(body_of(read)) == values(7.0)
        update = make_update(ten, people.participant.user, weights=pickled_linear(3.0))
        for reader in (people.actor, people.participant):
            assert values_of(body_of(reader.client.get(f"/api/models/{update.pk}/{FORMAT}"))) == values(3.0)
        assert people.outsider.client.get(f"/api/models/{update.pk}/{FORMAT}").status_code == 403
        swag = make_swag_model(people.actor.user)
        assert values_of(body_of(people.actor.client.get(f"/api/models/{swag.pk}/{FORMAT}"))) == values(1.0)

    def test_has_a_tag_of_its_own_and_can_be_had_in_parts(self, people: People, model: GlobalModel) -> None:
        path = f"/api/models/{model.pk}/{FORMAT}"
        whole = people.actor.client.get(path)
        content = body_of(whole)
        archive = people.actor.client.get(f"/api/models/{model.pk}/")
        assert body_of(archive) == scripted_linear()
        assert whole["ETag"] == archive["ETag"][:-1] + '.safetensors"'
        part = people.actor.client.get(path, HTTP_RANGE="bytes=5-100", HTTP_IF_RANGE=whole["ETag"])
        assert (part.status_code, body_of(part)) == (206, content[5:101])
        assert part["Content-Range"] == f"bytes 5-100/{len(content)}"
        other = people.actor.client.get(path, HTTP_RANGE="bytes=5-100", HTTP_IF_RANGE=archive["ETag"])
        assert (other.status_code, body_of(other)) == (200, content)
        assert people.actor.client.get(path, HTTP_IF_NONE_MATCH=whole["ETag"]).status_code == 304
        head = people.actor.client.head(path)
        assert (head.status_code, head["Content-Length"]) == (200, str(len(content)))
        beyond = people.actor.client.get(path, HTTP_RANGE=f"bytes={len(content)}-")
        assert (beyond.status_code, beyond.json()) == (416, {"detail": f"The file has {len(content)} bytes."})

    def test_pt_is_the_format_without_one_and_others_are_refused(self, people: People, model: GlobalModel) -> None:
        path = f"/api/models/{model.pk}/"
        assert body_of(people.actor.client.get(f"{path}?format=pt")) == scripted_linear()
        for wish in ("json", "api", "PT", "onnx"):
            answer = people.actor.client.get(f"{path}?format={wish}")
            sentence = f"Unknown format '{wish}'. Supported are pt and safetensors."
            assert (answer.status_code, answer.json()) == (400, {"detail": sentence})

    def test_elsewhere_format_is_what_it_was(self, people: People, model: GlobalModel) -> None:
        assert people.actor.client.get("/api/models/?format=json").status_code == 200
        assert people.actor.client.get(f"/api/models/{model.pk}/metadata/?format=json").status_code == 200

    def test_of_a_mean_there_are_none(self, people: People, model: GlobalModel) -> None:
        mean = make_mean_model(people.actor.user, [model])
        answer = people.actor.client.get(f"/api/models/{mean.pk}/{FORMAT}")
        sentence = "A mean of models has no tensors of its own. Download its members as safetensors."
        assert (answer.status_code, answer.json()) == (400, {"detail": sentence})

    def test_what_the_format_can_not_say_and_what_is_lost(self, people: People, model: GlobalModel) -> None:
        module = linear()
        module.register_buffer("phase", torch.ones(2, dtype=torch.complex128))
        unusual = make_model(people.actor.user, weights=module)
        answer = people.actor.client.get(f"/api/models/{unusual.pk}/{FORMAT}")
        assert answer.status_code == 400
        assert "complex128: 'phase'" in answer.json()["detail"]
        lose_file(model)
        assert people.actor.client.get(f"/api/models/{model.pk}/{FORMAT}").status_code == 404


class TestUploads:
    def test_an_update_counts_like_any_other(self, people: People, running: Training) -> None:
        content = safetensors.torch.save(linear(6.0).state_dict())
        assert send(people, running, content).status_code == 201
        assert send(people, running, content).status_code == 201
        assert LocalModel.objects.get().weights == scripted_linear(6.0)

    @pytest.mark.parametrize(
        ("state", "reason"),
        [
            ({"0.weight": torch.ones(2, 3)}, "The tensor '0.bias' of the model is missing."),
            ({**linear().state_dict(), "more": torch.ones(1)}, "The model has no tensor 'more'."),
            (
                {**linear().state_dict(), "0.bias": torch.ones(3)},
                "The tensor '0.bias' has the shape (3,); the model's has (2,).",
            ),
            (linear().half().state_dict(), "The tensor '0.weight' is of the type float16, not float32."),
            (
                linear(float("nan")).state_dict(),
                "The tensor '0.bias' holds values that are not finite (NaN or infinity).",
            ),
        ],
    )
    def test_its_tensors_are_checked_the_same(
        self, people: People, running: Training, state: dict[str, torch.Tensor], reason: str
    ) -> None:
        answer = send(people, running, safetensors.torch.save(state))
        assert (answer.status_code, answer.json()) == (400, [f"Invalid model file: {reason}"])
        assert not LocalModel.objects.exists()

    def test_one_that_is_damaged_is_refused(self, people: People, running: Training) -> None:
        entry = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
        table = json.dumps({"0.weight": entry}).encode()
        for content in (struct.pack("<Q", len(table)) + table, safetensors.torch.save(linear().state_dict())[:-1]):
            answer = send(people, running, content)
            assert answer.status_code == 400
            assert answer.json()[0].startswith("Invalid model file: The ")

    def test_only_participants_send_one(self, people: People, running: Training) -> None:
        fields = {"round": 0, "sample_size": 1}
        for client, status in ((people.actor.client, 403), (people.outsider.client, 403), (people.nobody, 401)):
            file = uploaded(safetensors.torch.save(linear().state_dict()))
            answer = client.post(f"/api/models/{running.model_id}/", {**fields, "model_file": file}, format="multipart")
            assert answer.status_code == status

    def test_a_global_model_can_not_be_one(self, people: People) -> None:
        file = uploaded(safetensors.torch.save(linear().state_dict()))
        answer = people.actor.client.post(
            "/api/models/", {"name": "n", "description": "d", "model_file": file}, format="multipart"
        )
        assert (answer.status_code, len(answer.json())) == (400, 1)
