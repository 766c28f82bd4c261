"""The bounds of JSON that is submitted to a round."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fl_server_core.models import Training
from tests.api.conftest import People


def send(people: People, training: Training, text: str, form: bool) -> Any:
    path = f"/api/trainings/{training.pk}/rounds/unheard-of/"
    if form:
        return people.participant.client.post(path, {"round": 0, "content": text})
    body = f'{{"round": 0, "content": {text}}}'
    return people.participant.client.generic("POST", path, body, content_type="application/json")


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
def test_content_has_a_million_bytes_at_most(people: People, running: Training, form: bool) -> None:
    small, large = json.dumps("x" * 999_000), json.dumps("x" * 1_000_000)
    assert send(people, running, small, form).status_code == 404  # understood, but of no kind
    answer = send(people, running, large, form)
    sentence = "The content is larger than 1000000 bytes. Send it as a file."
    assert (answer.status_code, answer.json()) == (413, {"detail": sentence})


@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
@pytest.mark.parametrize(
    "text",
    ["[" * 70 + "]" * 70, "[" * 100_000, "[" * 100_000 + "]" * 100_000, '"\\u0000"', '"\\ud800"', "NaN", "1e999"],
)
def test_content_that_no_database_takes_is_refused(people: People, running: Training, text: str, form: bool) -> None:
    assert send(people, running, text, form).status_code == 400
