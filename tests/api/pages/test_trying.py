"""Asking a model from its page, by the same service and within the same budgets as through the API."""

from __future__ import annotations

import io
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch
from django.conf import LazySettings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

from fl_server_ai.inference.predict import Prediction
from fl_server_ai.uncertainty import get_uncertainty_class
from fl_server_api.pages.answers import Answer, answer_of
from fl_server_core.long_requests import inference_of
from fl_server_core.models import GlobalModel, User
from tests.builders.clients import browser_of
from tests.builders.files import saved, scripted, uploaded
from tests.builders.rows import make_mean_model, make_model, make_swag_model, make_training, make_update, make_user

pytestmark = pytest.mark.django_db
ROW = "[[1, 0, 0]]"


def classifier(*biases: float) -> bytes:
    """Three in; the outputs are these numbers, whatever the input."""
    layer = torch.nn.Linear(3, len(biases))
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor(biases))
    return scripted(torch.nn.Sequential(layer))


@pytest.fixture
def model(owner: User) -> GlobalModel:
    model: GlobalModel = make_model(owner, weights=classifier(0.1, 0.7, 0.2))
    return model


def asked(user: User, model: Any, **fields: Any) -> Any:
    return browser_of(user).post(f"/admin/models/{model.pk}/try/", fields)


def answer(user: User, model: Any, **fields: Any) -> Answer:
    page = asked(user, model, **fields)
    assert page.status_code == 200
    assert "error" not in page.context, page.context["error"]
    found: Answer = page.context["answer"]
    return found


def refusal(user: User, model: Any, **fields: Any) -> str:
    page = asked(user, model, **fields)
    assert page.status_code == 200
    assert "answer" not in page.context
    assert "That didn't work:" in page.content.decode()
    return str(page.context["error"])


def methods(user: User, model: Any) -> list[str]:
    page = browser_of(user).get(f"/admin/models/{model.pk}/try/")
    return [name for name, _title in page.context["methods"]]


def test_pasted_numbers_are_answered_with_the_most_likely_class(owner: User, model: GlobalModel) -> None:
    found = answer(owner, model, text="[[1, 0, 0], [0, 0, 1]]", method="NONE")
    assert [row.sentence for row in found.rows] == ["Most likely: class 1.", "Most likely: class 1."]
    assert "does not say how sure" in found.note


def test_another_method_draws_each_class_with_its_deviation(owner: User, model: GlobalModel) -> None:
    (row,) = answer(owner, model, text=ROW, method="MC_DROPOUT").rows
    assert row.sentence == "Most likely: class 1, 0.7 ± 0."
    assert [(bar.label, bar.value, bar.deviation, bar.width) for bar in row.bars] == [
        ("0", "0.1", "0", 20.0),
        ("1", "0.7", "0", 140.0),
        ("2", "0.2", "0", 40.0),
    ]
    assert [text for _, text in row.entropies] == ["0.8018", "0.8018", "0"]  # -Σ p ln p of 0.1, 0.7, 0.2


def test_a_mean_model_is_asked_by_ensemble_and_shows_how_far_its_members_lie_apart(
    owner: User, model: GlobalModel
) -> None:
    mean = make_mean_model(owner, [model, make_model(owner, weights=classifier(0.1, 0.3, 0.6))])
    assert methods(owner, mean) == ["ENSEMBLE"]
    page = asked(owner, mean, text=ROW)
    (row,) = page.context["answer"].rows
    assert [bar.value for bar in row.bars] == ["0.1", "0.5", "0.4"]
    assert [bar.deviation for bar in row.bars] == ["0", "0.2828", "0.2828"]  # of 0.7 and 0.3: 0.2·√2
    assert (row.bars[1].low, row.bars[1].high) == (43.4, 156.6)
    assert '<td class="number">0.2828</td>' in page.content.decode()


def test_the_methods_are_those_that_fit_with_the_trainings_own_first(owner: User, model: GlobalModel) -> None:
    assert methods(owner, model) == ["NONE", "MC_DROPOUT"]
    assert methods(owner, make_swag_model(owner)) == ["NONE", "MC_DROPOUT", "SWAG"]
    make_training(owner, [], model, uncertainty_method="MC_DROPOUT")
    assert methods(owner, model) == ["MC_DROPOUT", "NONE"]
    assert "can't be asked by the method SWAG" in refusal(owner, model, text=ROW, method="SWAG")
    assert "no SWAG moments yet" in refusal(owner, make_swag_model(owner), text=ROW, method="SWAG")


def test_a_version_and_an_update_are_asked(owner: User, model: GlobalModel) -> None:
    model.weights = classifier(9.0, 0.0, 0.0)
    model.save()
    assert answer(owner, model, text=ROW).rows[0].sentence == "Most likely: class 0."
    assert answer(owner, model, text=ROW, version="0").rows[0].sentence == "Most likely: class 1."
    update = make_update(model, owner, weights=classifier(0.0, 0.0, 5.0))
    assert answer(owner, update, text=ROW).rows[0].sentence == "Most likely: class 2."


def test_a_tensor_an_image_and_a_json_file_are_taken(owner: User, model: GlobalModel) -> None:
    tensor = uploaded(saved(torch.tensor([[1.0, 0.0, 0.0]])), "input.pt")
    assert answer(owner, model, file=tensor).rows[0].sentence == "Most likely: class 1."
    in_json = SimpleUploadedFile("input.json", ROW.encode())
    assert answer(owner, model, file=in_json).rows[0].sentence == "Most likely: class 1."
    brightness = scripted(torch.nn.Sequential(torch.nn.Flatten(0), torch.nn.Unflatten(0, (1, 4))))
    picture = io.BytesIO()
    Image.fromarray(np.array([[0, 0], [255, 0]], dtype=np.uint8)).save(picture, format="PNG")
    seer = make_model(owner, weights=brightness)
    image = SimpleUploadedFile("clinic.png", picture.getvalue())
    assert answer(owner, seer, file=image).rows[0].sentence == "Most likely: class 2."


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "Paste an input, or choose a file."),
        ({"text": "hello"}, "the text is neither base64 nor a list of numbers"),
        ({"text": "[[1, 2], [3]]"}, "the list's rows differ in length"),
        ({"text": "[[1, 2]]"}, "The model failed:"),
        ({"text": ROW, "version": "7"}, "has no version 7."),
        ({"text": ROW, "version": "x"}, "must be a whole number"),
        ({"text": ROW, "method": "MAGIC"}, "can't be asked by the method MAGIC. Choose one of NONE, MC_DROPOUT."),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_sentence(
    owner: User, model: GlobalModel, fields: dict[str, Any], sentence: str
) -> None:
    assert sentence in refusal(owner, model, **fields)


def test_a_file_that_is_no_image_is_told(owner: User, model: GlobalModel) -> None:
    assert "Pillow does not know its format" in refusal(owner, model, file=SimpleUploadedFile("x.png", b"\x89PNG no"))
    assert "it is empty" in refusal(owner, model, file=SimpleUploadedFile("x.png", b""))


def test_an_input_beyond_the_limit_is_told(owner: User, model: GlobalModel, settings: LazySettings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    assert "too large" in refusal(owner, model, file=SimpleUploadedFile("x.bin", b"x" * 1001))


def test_the_budgets_of_the_inference_count_here(owner: User, model: GlobalModel, settings: LazySettings) -> None:
    settings.FL_MAX_INFERENCES = 1
    with ExitStack() as stack:
        stack.enter_context(inference_of(owner))
        assert "You have as many inferences under way" in refusal(owner, model, text=ROW)
    settings.FL_MAX_REQUESTS = 1
    asked(owner, model, text=ROW)
    assert "in this minute" in refusal(owner, model, text=ROW)


def test_the_owner_and_a_participant_ask_and_an_outsider_does_not(owner: User, model: GlobalModel) -> None:
    participant = make_user(is_staff=True)
    make_training(owner, [participant], model)
    for user in (owner, participant):
        assert answer(user, model, text=ROW).rows
    assert asked(make_user(is_staff=True), model, text=ROW).status_code == 403
    assert asked(make_user(), model, text=ROW)["Location"].startswith("/admin/login/")


def test_a_form_of_another_site_is_refused(owner: User, model: GlobalModel) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner)
    assert client.post(f"/admin/models/{model.pk}/try/", {"text": ROW}).status_code == 403


def test_hostile_numbers_are_drawn_within_the_drawing() -> None:
    values = np.array([[np.nan, np.inf, -3.0, 1e300]])
    said = Prediction(values, {"variance": values, "std": np.array([[1.0, np.nan, np.inf, 1e300]])})
    (row,) = answer_of(said, get_uncertainty_class("MC_DROPOUT")).rows
    for bar in row.bars:
        for number in (bar.x, bar.width, bar.low or 0.0, bar.high or 0.0):
            assert 0 <= number <= 200


def test_many_rows_and_classes_are_cut_and_it_is_said() -> None:
    values = np.arange(2000.0).reshape(20, 100)
    found = answer_of(Prediction(values, {"variance": None, "std": None}), get_uncertainty_class("MC_DROPOUT"))
    assert (len(found.rows), found.total, len(found.rows[0].bars), found.rows[0].cut) == (10, 20, 20, 100)
    assert found.rows[0].bars[-1].label == "99"


def test_an_answer_without_rows_and_classes_is_told_by_its_shape() -> None:
    method = get_uncertainty_class("MC_DROPOUT")
    said = answer_of(Prediction(np.ones((2, 3, 4)), {}), method)
    assert said.rows[0].sentence == "The answer: shape 2 × 3 × 4, from 1 to 1, mean 1."
    assert answer_of(Prediction(np.ones((2, 0)), {}), method).rows[0].sentence.endswith("2 × 0: no numbers.")
