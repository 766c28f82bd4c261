"""The rules by which a change of the OpenAPI document breaks clients, each on a document that breaks that one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.openapi_changes import breaking_changes

PATH = "/api/trainings/{training_id}/"
DOCUMENT: dict[str, Any] = {
    "paths": {
        PATH: {
            "post": {
                "operationId": "askTraining",
                "tags": ["trainings"],
                "security": [{"token": []}, {"basic": []}],
                "parameters": [
                    {"in": "path", "name": "training_id", "required": True, "schema": {"type": "string"}},
                    {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 100}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Question"}}}},
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}},
                    "400": {"$ref": "#/components/responses/BadRequest"},
                },
            }
        }
    },
    "components": {
        "responses": {"BadRequest": {"content": {"application/json": {"schema": {"type": "object"}}}}},
        "schemas": {
            "Question": {
                "type": "object",
                "properties": {
                    "text": {"type": "string", "maxLength": 10, "nullable": True},
                    "kind": {"type": "string", "enum": ["a", "b"]},
                    "value": {"oneOf": [{"type": "number"}, {"type": "string"}]},
                },
                "required": ["kind"],
            },
            "Answer": {
                "type": "object",
                "properties": {
                    "state": {"type": "string", "enum": ["I", "C"]},
                    "rows": {"type": "array", "items": {"type": "integer"}},
                    "next": {"$ref": "#/components/schemas/Answer"},
                    "value": {"anyOf": [{"$ref": "#/components/schemas/Answer"}, {"type": "number"}]},
                },
                "required": ["state", "rows"],
            },
        },
    },
}
WHERE = f"POST {PATH}"
Change = Callable[[dict[str, Any]], Any]


def _operation(document: dict[str, Any]) -> Any:
    return document["paths"][PATH]["post"]


def _question(document: dict[str, Any]) -> Any:
    return document["components"]["schemas"]["Question"]


def _answer(document: dict[str, Any]) -> Any:
    return document["components"]["schemas"]["Answer"]


def _changed(change: Change) -> list[str]:
    new = copy.deepcopy(DOCUMENT)
    change(new)
    return breaking_changes(DOCUMENT, new)


REQUIRED = {"in": "query", "name": "page", "required": True, "schema": {"type": "integer"}}
BREAKING: dict[str, Change] = {
    "removed.": lambda new: new["paths"].clear(),
    "operationId askTraining became ask.": lambda new: _operation(new).update(operationId="ask"),
    "its tags changed, by which generated clients group operations.": lambda new: _operation(new).update(tags=["x"]),
    "security basic removed.": lambda new: _operation(new)["security"].pop(),
    "parameter query limit removed.": lambda new: _operation(new)["parameters"].pop(),
    "parameter query page is now required.": lambda new: _operation(new)["parameters"].append(REQUIRED),
    "query limit: maximum 100 became 50.": lambda new: _operation(new)["parameters"][1]["schema"].update(maximum=50),
    "query limit: minimum unbounded became 1.": lambda new: _operation(new)["parameters"][1]["schema"].update(
        minimum=1
    ),
    "path training_id: pattern none became ^a$.": lambda new: _operation(new)["parameters"][0]["schema"].update(
        pattern="^a$"
    ),
    "a body is now required.": lambda new: _operation(new)["requestBody"].update(required=True),
    "body: content type application/json removed.": lambda new: _operation(new)["requestBody"]["content"].clear(),
    "body: field text removed.": lambda new: _question(new)["properties"].pop("text"),
    "body: field text is now required.": lambda new: _question(new)["required"].append("text"),
    "body.text: type string became integer.": lambda new: _question(new)["properties"]["text"].update(type="integer"),
    "body.text: format any became uuid.": lambda new: _question(new)["properties"]["text"].update(format="uuid"),
    "body.text: may no longer be null.": lambda new: _question(new)["properties"]["text"].pop("nullable"),
    "body.text: maxLength 10 became 5.": lambda new: _question(new)["properties"]["text"].update(maxLength=5),
    "body.text: value any other is no longer accepted.": lambda new: _question(new)["properties"]["text"].update(
        enum=["x"]
    ),
    "body.kind: value b is no longer accepted.": lambda new: _question(new)["properties"]["kind"]["enum"].pop(),
    'body.value: alternative "string" removed.': lambda new: _question(new)["properties"]["value"]["oneOf"].pop(),
    "answer 400 removed.": lambda new: _operation(new)["responses"].pop("400"),
    "answer 400: content type application/json removed.": lambda new: new["components"]["responses"]["BadRequest"][
        "content"
    ].clear(),
    "answer 200: field rows removed.": lambda new: _answer(new)["properties"].pop("rows"),
    "answer 200: field rows may now be missing.": lambda new: _answer(new)["required"].remove("rows"),
    "answer 200.rows: may now be null.": lambda new: _answer(new)["properties"]["rows"].update(nullable=True),
    "answer 200.rows[]: type integer became string.": lambda new: _answer(new)["properties"]["rows"]["items"].update(
        type="string"
    ),
    "answer 200.state: value E is new in answers.": lambda new: _answer(new)["properties"]["state"]["enum"].append("E"),
    "answer 200.state: value any other is new in answers.": lambda new: _answer(new)["properties"]["state"].pop("enum"),
    'answer 200.value: alternative "string" added.': lambda new: _answer(new)["properties"]["value"]["anyOf"].append(
        {"type": "string"}
    ),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda new: None,
    "a new path": lambda new: new["paths"].update({"/api/more/": new["paths"][PATH]}),
    "a new answer": lambda new: _operation(new)["responses"].update({"409": {}}),
    "a new parameter": lambda new: _operation(new)["parameters"].append({**REQUIRED, "required": False}),
    "a new field of a request": lambda new: _question(new)["properties"].update(more={"type": "string"}),
    "a new field of an answer": lambda new: _answer(new)["properties"].update(more={"type": "string"}),
    "an answer's field that is always there": lambda new: _answer(new)["required"].append("next"),
    "a request's field that may be missing": lambda new: _question(new)["required"].clear(),
    "a new value of a request": lambda new: _question(new)["properties"]["kind"]["enum"].append("c"),
    "a value that answers no longer have": lambda new: _answer(new)["properties"]["state"]["enum"].pop(),
    "a longer text": lambda new: _question(new)["properties"]["text"].update(maxLength=20),
    "a text without end": lambda new: _question(new)["properties"]["text"].pop("maxLength"),
    "other words": lambda new: _answer(new).update(description="An answer."),
}


@pytest.mark.parametrize("sentence", BREAKING)
def test_it_breaks_clients(sentence: str) -> None:
    assert _changed(BREAKING[sentence]) == [f"{WHERE}: {sentence}"]


@pytest.mark.parametrize("name", HARMLESS)
def test_it_breaks_no_client(name: str) -> None:
    assert _changed(HARMLESS[name]) == []


def test_another_name_of_a_schema_breaks_the_classes_of_clients() -> None:
    def rename(new: dict[str, Any]) -> None:
        new["components"]["schemas"]["Reply"] = _answer(new)
        content = _operation(new)["responses"]["200"]["content"]["application/json"]
        content["schema"] = {"$ref": "#/components/schemas/Reply"}

    assert _changed(rename) == [f"{WHERE}: answer 200: schema Answer became Reply."]
