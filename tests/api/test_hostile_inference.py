"""Hostile models over the API, as their owners would upload them: each gets its answer, and honest ones theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from fl_server_ai.inference.server_sandbox import close_sandbox, get_sandbox
from tests.ai.sandbox import hostile
from tests.ai.sandbox.sandboxes import children_of, needs_every_wall
from tests.api.conftest import People
from tests.builders.files import linear, saved, scripted, uploaded

DEADLINE_SECONDS = 5


MODELS: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "loops": (lambda _: scripted(hostile.LoopsForEver()), f"did not answer within {DEADLINE_SECONDS} seconds"),
    "allocates": (lambda _: scripted(hostile.AllocatesWithoutEnd()), "allocate memory"),
    "reads": (lambda _: scripted(hostile.ReadsAFile("/etc/passwd")), "Permission denied"),
    "writes": (lambda target: scripted(hostile.WritesAFile(str(target))), "Permission denied"),
    "writes when loaded": (
        lambda target: scripted(hostile.WritesAFileWhenLoaded(str(target))),
        "Permission denied",
    ),
    "crashes the parser": (lambda _: hostile.crashes_the_parser(), "The model crashed"),
}


@pytest.fixture
def _short_deadline(settings: Settings) -> Iterator[None]:
    close_sandbox()
    settings.FL_SANDBOX_TIMEOUT_SECONDS = DEADLINE_SECONDS
    settings.FL_SANDBOX_MEMORY_MB = 1024
    yield
    close_sandbox()


def upload(people: People, content: bytes) -> str:
    fields = {"name": "a model", "description": "uploaded", "model_file": uploaded(content, "model.pt")}
    answer = people.actor.client.post("/api/models/", fields, format="multipart")
    assert answer.status_code == 201, answer.content
    return str(answer.json()["model_id"])


def ask(people: People, model: str) -> Any:
    rows = {"model_id": model, "model_input": [[1.0, 1.0, 1.0]]}
    return people.actor.client.post("/api/inference/", rows, format="json")


def test_a_model_that_names_os_system_is_refused_at_its_upload(people: People, tmp_path: Path) -> None:
    content = hostile.names_os_system(tmp_path / "target")
    fields = {"name": "a model", "description": "uploaded", "model_file": uploaded(content, "model.pt")}
    answer = people.actor.client.post("/api/models/", fields, format="multipart")
    assert answer.status_code == 400
    assert "posix.system" in answer.json()[0]
    assert not (tmp_path / "target").exists()


@needs_every_wall
@pytest.mark.usefixtures("_short_deadline")
@pytest.mark.parametrize("name", MODELS)
def test_a_hostile_model_is_told_off_and_the_next_honest_one_is_served(
    people: People, tmp_path: Path, name: str
) -> None:
    make, sentence = MODELS[name]
    target = tmp_path / "target"
    honest = upload(people, saved(linear()))
    assert ask(people, honest).status_code == 200
    answer = ask(people, upload(people, make(target)))
    assert answer.status_code == 400
    assert sentence in answer.json()["detail"]
    assert not target.exists()
    served = ask(people, honest)
    assert (served.status_code, served.json()["inference"]) == (200, [0])
    assert len(children_of(get_sandbox())) == 1
