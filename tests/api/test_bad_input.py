"""Bad input over all endpoints: nothing answers with a 5xx, and nothing that is refused leaves a row or a file."""

from __future__ import annotations

import io
import itertools
import json
import random
import re
from typing import Any

import pytest
from django.apps import apps
from django.test.client import MULTIPART_CONTENT

from fl_server_api.urls import urlpatterns
from fl_server_core.models import AuditEntry, AuditPending, Delivery, Training
from tests.api.bad_input import BAD_BODIES, BAD_IDS, BAD_VALUES, ENDPOINTS, FIELDS, WRITING
from tests.api.conftest import People
from tests.builders.clients import client_of
from tests.builders.files import saved_vector, scripted_linear
from tests.builders.rows import make_swag_model
from tests.builders.storage import stored_files


def send_raw(client: Any, method: str, address: str, body: bytes, content_type: str) -> Any:
    return client.generic(method, address, body, content_type=content_type)


class Ground:
    """Rows of every kind, whose number must not change."""

    def __init__(self, people: People, running: Training) -> None:
        people.actor.user.groups.create(name="radiology")
        swag = make_swag_model(people.actor.user)
        self.swag = str(swag.pk)
        self.names = {
            "user": people.actor.id,
            "group": str(people.actor.user.groups.get().pk),
            "model": str(running.model_id),
            "training": str(running.pk),
            "version": "0",
            "kind": "update",
            "token": str(people.actor.user.tokens.get().pk),
            "notification": str(Delivery.objects.filter(receiver=people.participant.user).first().uuid),  # type: ignore[union-attr]  # there are two
        }
        self.before = self.count()

    def count(self) -> tuple[dict[str, int], set[str]]:
        """The number of rows of every model, and the names of all files."""
        kept = [model for model in apps.get_models() if model not in (AuditEntry, AuditPending)]  # refusals are told
        rows = {model._meta.label: model._base_manager.count() for model in kept}
        return rows, stored_files()

    def address(self, path: str, **changes: str) -> str:
        return "/api/" + path.format(**{**self.names, **changes})


@pytest.fixture
def ground(people: People, running: Training) -> Ground:
    return Ground(people, running)


def valid_fields(ground: Ground, people: People) -> dict[str, dict[str, Any]]:
    """For each endpoint that writes, a request that would be accepted."""
    update = {"round": 0, "sample_size": 1}
    training = {
        "model_id": ground.names["model"],
        "target_num_updates": 1,
        "metric_names": [],
        "aggregation_method": "FedAvg",
    }
    return {
        "users/": {"username": "new", "password": "a long enough Passw0rd"},
        "users/myself/tokens/": {"name": "new", "scopes": ["read"], "expires_at": "2999-01-01T00:00:00Z"},
        "groups/": {"name": "new"},
        "groups/{group}/": {"name": "new"},
        "models/": {"name": "n", "description": "d", "model_file": io.BytesIO(scripted_linear())},
        "models/{model}/": {**update, "model_file": io.BytesIO(scripted_linear())},
        "models/{model}/metrics/": {"metric_names": ["loss"], "metric_values": ["1"]},
        "models/{model}/preprocessing/": {"model_preprocessing_file": io.BytesIO(scripted_linear())},
        "models/{model}/swag/": {
            **update,
            "first_moment_file": io.BytesIO(saved_vector(1.0)),
            "second_moment_file": io.BytesIO(saved_vector(1.0)),
        },
        "trainings/": training,
        "trainings/{training}/clients/": {"clients": [people.outsider.id]},
        "inference/": {"model_id": ground.names["model"], "model_input": [[1.0, 2.0, 3.0]]},
        "notifications/{notification}/ack/": {"accept": True},
    }


def check(answer: Any, what: object) -> None:
    """A refusal, in JSON or, where a browser would get one, HTML."""
    assert 400 <= answer.status_code < 500, (answer.status_code, what)
    assert answer["Content-Type"] == "application/json", what
    json.loads(answer.content)


def test_no_kind_of_body_breaks_an_endpoint(people: People, ground: Ground) -> None:
    """An empty body, which starts, stops and resumes, is sent by somebody who may not."""
    for (method, path), (content_type, body) in itertools.product(WRITING, BAD_BODIES):
        client = people.outsider.client
        if path == "users/myself/notification-secrets/" and body in (b"", b"{}"):
            continue  # everybody may
        answer = send_raw(client, method, ground.address(path), body, content_type)
        check(answer, (method, path, content_type, body[:40]))
    assert ground.count() == ground.before


def test_no_value_of_a_json_field_breaks_an_endpoint(people: People, ground: Ground) -> None:
    for (method, path), value in itertools.product(WRITING, BAD_VALUES):
        if (method, path) in (("PATCH", "groups/{group}/"), ("POST", "users/")):
            continue  # their fields one by one: in test_users.py and test_groups.py
        body = json.dumps(dict.fromkeys(FIELDS, value))
        answer = people.actor.client.generic(method, ground.address(path), body, content_type="application/json")
        what = (method, path, repr(value)[:60])
        if answer.status_code < 400:  # a name may be many things, a metric any text
            assert path in ("groups/", "groups/{group}/", "models/{model}/metrics/"), what
            continue
        check(answer, what)
    assert stored_files() == ground.before[1]


def test_no_single_bad_field_in_a_good_request_breaks_an_endpoint(people: People, ground: Ground) -> None:
    """The same one field at a time, so that the other fields' refusals do not hide it."""
    for path, good in valid_fields(ground, people).items():
        if any(isinstance(value, io.BytesIO) for value in good.values()):
            continue
        method = "PUT" if path in ("groups/{group}/", "trainings/{training}/clients/") else "POST"
        for field, value in itertools.product(good, BAD_VALUES):
            body = json.dumps({**good, field: value})
            client = people.participant.client if "notification" in path else people.actor.client
            answer = client.generic(method, ground.address(path), body, content_type="application/json")
            assert answer.status_code < 500, (path, field, repr(value)[:60])


def test_no_value_of_a_form_field_breaks_an_endpoint(people: People, ground: Ground) -> None:
    texts = [value for value in BAD_VALUES if isinstance(value, str) and value != "\ud800"] + ["9" * 5000]
    forms = {path: good for path, good in valid_fields(ground, people).items() if path.startswith("models/")}
    for path, good in forms.items():
        for field, value in itertools.product(good, texts):
            fields = {**good, field: value}
            for file in (item for item in fields.values() if isinstance(item, io.BytesIO)):
                file.seek(0)
            address = ground.address(path, model=ground.swag if "swag" in path else ground.names["model"])
            answer = people.participant.client.post(address, fields)
            assert answer.status_code < 500, (path, field, value[:60])


@pytest.mark.parametrize("field", ["missing", "repeated"])
def test_missing_and_repeated_fields_break_nothing(people: People, ground: Ground, field: str) -> None:
    for path, good in valid_fields(ground, people).items():
        if not path.startswith(("models/", "groups/", "users/")) or path.endswith("tokens/"):
            continue  # a token needs nothing but a name
        for name in good:
            content = b"".join(
                b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
                % (key.encode(), b"; filename=f" if isinstance(value, io.BytesIO) else b"", _bytes_of(value))
                for key, value in good.items()
                for _ in range((0 if field == "missing" else 3) if key == name else 1)
            )
            method = "PUT" if path == "groups/{group}/" else "POST"
            answer = send_raw(
                people.participant.client,
                method,
                ground.address(path),
                content + b"--b--\r\n",
                "multipart/form-data; boundary=b",
            )
            assert answer.status_code < 500, (path, name)
            if field == "missing":
                check(answer, (path, name))
    if field == "missing":
        assert ground.count() == ground.before


def _bytes_of(value: Any) -> bytes:
    return value.getvalue() if isinstance(value, io.BytesIO) else str(value).encode()


def test_no_malformed_id_breaks_an_address(people: People, ground: Ground) -> None:
    """One id at a time: the others are those of rows that exist."""
    for path, methods in ENDPOINTS.items():
        names = [name for name in ground.names if f"{{{name}}}" in path]
        for method, name, identifier in itertools.product(methods.split(), names, BAD_IDS):
            if (name, identifier) == ("version", "0"):
                continue  # it exists
            answer = people.actor.client.generic(
                method, ground.address(path, **{name: identifier}), "{}", content_type="application/json"
            )
            what = (method, path, name, identifier[:60])
            if path == "trainings/{training}/models/" and identifier.strip("{}").startswith("6f0c2f63"):
                assert (answer.status_code, answer.json()) == (200, []), what  # an unknown training has none
                continue
            check(answer, what)
    assert ground.count() == ground.before


def test_every_address_of_the_api_is_tried() -> None:
    tried = {re.sub(r"{\w+}", "{}", path) for path in ENDPOINTS}
    addresses = {re.sub(r"<[^>]+>", "{}", str(one.pattern)) for one in urlpatterns if str(one.pattern)}
    assert {one for one in addresses if not one.startswith("schema/")} == tried


def test_wrong_methods_and_missing_credentials_leave_nothing(people: People, ground: Ground) -> None:
    for path, methods in ENDPOINTS.items():
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "FOO"):
            if method not in methods.split():
                check(people.actor.client.generic(method, ground.address(path)), (method, path))
            elif (method, path) != ("POST", "users/"):
                answer = client_of().generic(method, ground.address(path))
                assert answer.status_code == 401, (method, path)
    assert ground.count() == ground.before


def test_mutants_of_a_good_upload_are_accepted_or_refused(people: People, ground: Ground) -> None:
    """Bytes changed, dropped and doubled anywhere in a whole multipart request, files included; fixed seed."""
    generator = random.Random(20260101)
    whole = _upload_body()
    accepted = 0
    for _ in range(150):
        body = bytearray(whole)
        for _ in range(generator.choice([1, 1, 3, 20])):
            at = generator.randrange(len(body))
            match generator.randrange(3):
                case 0:
                    body[at] = generator.randrange(256)
                case 1:
                    del body[at : at + generator.randrange(1, 50)]
                case _:
                    body[at:at] = body[at : at + generator.randrange(1, 50)]
        answer = send_raw(people.actor.client, "POST", "/api/models/", bytes(body), MULTIPART_CONTENT)
        assert answer.status_code in (201, 400), bytes(body[:200])
        accepted += answer.status_code == 201
    rows, files = ground.count()
    models = "fl_server_core.Model"
    assert 0 < accepted < 150
    assert rows[models] == ground.before[0][models] + accepted
    assert ground.before[1] <= files
    assert len(files - ground.before[1]) >= accepted


def _upload_body() -> bytes:
    from django.test.client import BOUNDARY, encode_multipart

    fields = {"name": "n", "description": "d", "round": "1", "model_file": io.BytesIO(scripted_linear())}
    return bytes(encode_multipart(BOUNDARY, fields))
