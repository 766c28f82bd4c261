"""docs/openapi.yaml: it is the document of this code, and breaks no client of the last release."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.api.openapi_changes import breaking_changes
from tests.api.openapi_document import KEPT, RELEASED, generated, read

ACCEPTED: set[str] = set()
"""Breaking changes since the last release that are meant, each with its reason. CHANGELOG.md tells of them."""


@pytest.fixture(scope="module")
def document() -> Any:
    return read(KEPT)


def operations(document: Any) -> list[tuple[str, Any]]:
    return [
        (f"{method} {path}", operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_it_is_current() -> None:
    assert KEPT.read_text(encoding="utf-8") == generated(), "Run `make openapi`."


def test_nothing_in_it_breaks_a_client_of_the_last_release(document: Any) -> None:
    """If a change is meant to, add its sentence to ACCEPTED. What has left the document leaves that list, too."""
    assert set(breaking_changes(read(RELEASED), document)) == ACCEPTED


def test_each_operation_has_a_name_that_is_a_verb_and_no_other_has(document: Any) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    verbs = "accept acknowledge add ask create decline delete describe download edit end get leave list register remove"
    verbs += " rename report restore resume rotate start stop submit take upload"
    assert len(names) == len(set(names)) > 60
    for name in names:
        assert re.match(r"[a-z]+", name)[0] in verbs.split(), name  # type: ignore[index]


def test_each_operation_has_one_content_type_for_its_body_and_one_for_its_answers(document: Any) -> None:
    for name, operation in operations(document):
        assert len(operation.get("requestBody", {}).get("content", {"none": None})) == 1, name
        good = {kind for code, one in operation["responses"].items() if code < "400" for kind in one.get("content", {})}
        assert len(good) <= 1, name


def test_each_refusal_is_described_once(document: Any) -> None:
    described = document["components"]["responses"]
    for name, operation in operations(document):
        for code, answer in operation["responses"].items():
            if code >= "400":
                assert list(answer) == ["$ref"], (name, code)
                assert answer["$ref"].rpartition("/")[2] in described
    assert {one["content"]["application/json"]["schema"].get("$ref", "several") for one in described.values()} == {
        "#/components/schemas/Error",
        "several",
    }


def test_files_are_parts_of_a_form_and_downloads_are_bytes(document: Any) -> None:
    binary = {"type": "string", "format": "binary"}
    content = document["paths"]["/api/models/{model_id}/"]["get"]["responses"]["200"]["content"]
    assert content == {"application/octet-stream": {"schema": binary}}
    body = document["paths"]["/api/models/{model_id}/"]["post"]["requestBody"]
    assert (list(body["content"]), body["required"]) == (["multipart/form-data"], True)
    update = document["components"]["schemas"]["UpdateRequest"]
    assert set(update["required"]) == {"round", "sample_size", "model_file"}
    assert {key: update["properties"]["model_file"][key] for key in binary} == binary
    assert update["properties"]["metric_names"]["type"] == "array"
