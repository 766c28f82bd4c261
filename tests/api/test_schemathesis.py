"""Requests made up from our own schema, right and wrong ones: no 5xx, and answers as the schema says."""

from __future__ import annotations

import os
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import Group
from django.core.handlers.wsgi import WSGIHandler
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from fl_server_api.wsgi import ignore_charset
from fl_server_core.models import Training
from tests.api.conftest import People
from tests.builders.clients import token_of
from tests.builders.rows import make_alert_rule, make_delivery

ROLES = ("nobody", "participant", "actor")
EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "5"))
"""For each operation and role. `make fuzz-api` sends more than 5,000 in all."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


HANDLER = ignore_charset(WSGIHandler())


def application(environ: Any, start_response: Any) -> list[bytes]:
    """The server's, which reads its answers to the end and closes them, as a server does."""
    answer = HANDLER(environ, start_response)
    try:
        return [b"".join(answer)]
    finally:
        answer.close()  # type: ignore[attr-defined]  # Django's answers have it


SCHEMA = schemathesis.openapi.from_wsgi("/api/schema/?format=json", application)
RESULTS: Any = SCHEMA.get_all_operations()
OPERATIONS = {result.ok().label: result.ok() for result in RESULTS}


@pytest.fixture
def identifiers(people: People, running: Training) -> dict[str, str]:
    """Rows that path parameters can be about."""
    group = Group.objects.create(name="radiology")
    people.actor.user.groups.add(group)
    delivery = make_delivery(running, people.actor.user, "TRAINING_START")
    return {
        "user_id": people.actor.id,
        "group_id": str(group.pk),
        "model_id": str(running.model_id),
        "training_id": str(running.pk),
        "notification_id": str(delivery.uuid),
        "number": "0",
        "rule_id": str(make_alert_rule(people.actor.user).pk),
        "token_id": str(people.actor.user.tokens.get().pk),
        "kind": "update",
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("label", OPERATIONS)
def test_an_operation_answers_as_its_schema_says(
    label: str, role: str, people: People, identifiers: dict[str, str]
) -> None:
    operation: Any = OPERATIONS[label]
    users = {"participant": people.participant.user, "actor": people.actor.user}
    headers = {"Authorization": f"Token {token_of(users[role])}"} if role in users else {}

    @settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(st.data())
    def run(data: Any) -> None:
        mode = data.draw(st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        if data.draw(st.booleans()):
            case.path_parameters = {name: identifiers[name] for name in case.path_parameters or {}}
        if isinstance(case.body, dict) and "model_id" in case.body and data.draw(st.booleans()):
            case.body["model_id"] = identifiers["model_id"]
        case.call_and_validate(headers=headers, checks=CHECKS)

    run()


def test_the_requests_are_about_every_operation() -> None:
    assert len(OPERATIONS) == sum(len(item) for item in SCHEMA.raw_schema["paths"].values())
