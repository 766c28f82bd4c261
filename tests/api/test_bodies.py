"""Reading bodies and writing JSON: what both do with input that breaks a naive reader or writer."""

from __future__ import annotations

import io
import json
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from django.contrib.auth.models import Group
from django.core.handlers.wsgi import WSGIHandler

from fl_server_api.renderers import JSONRenderer
from fl_server_api.wsgi import ignore_charset
from fl_server_core.models import GlobalModel, Model
from tests.api.conftest import People
from tests.builders.clients import token_of
from tests.builders.files import scripted_linear, uploaded
from tests.builders.storage import stored_files

NAN = float("nan")


def test_numbers_that_are_not_finite_are_null_wherever_they_are() -> None:
    value = {"a": NAN, "b": [1.5, float("inf"), {"c": (-float("inf"), 2)}], "d": "nan"}
    assert json.loads(JSONRenderer().render(value)) == {"a": None, "b": [1.5, None, {"c": [None, 2]}], "d": "nan"}


def test_half_a_character_is_escaped_and_does_not_break_the_answer() -> None:
    assert JSONRenderer().render({"a": "\ud800", "b": NAN, "c": "ü"}) == b'{"a": "\\ud800", "b": null, "c": "\\u00fc"}'
    assert JSONRenderer().render({"c": "ü"}) == '{"c":"ü"}'.encode()


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b"NaN", b'{"a": Infinity}', b"[" * 100_000, b'{"a":' * 70 + b"1" + b"}" * 70, b"9" * 5000, b" "],
)
def test_json_that_cannot_be_read_is_a_400(people: People, body: bytes) -> None:
    for path in ("/api/trainings/", "/api/users/", "/api/inference/"):
        answer = people.actor.client.post(path, body, content_type="application/json")
        assert (answer.status_code, list(answer.json())) == (400, ["detail"])


def test_a_number_without_end_is_refused_in_our_words(people: People) -> None:
    answer = people.actor.client.post("/api/trainings/", b"9" * 5000, content_type="application/json")
    assert answer.json() == {"detail": "JSON parse error - a number has more digits than the server reads"}


def test_a_body_of_the_greatest_depth_is_still_read(people: People) -> None:
    body = {"name": "x", "extra": json.loads("[" * 63 + "]" * 63)}
    assert people.actor.client.post("/api/groups/", body, format="json").status_code == 201


CHARSETS = ["latin-1", "utf-16", "zlib", "bz2", "hex", "rot13", "idna", "punycode", "undefined", "none such", '"zlib"']
BODIES = {
    "application/json": '{"name": "größe"}',
    "application/x-www-form-urlencoded": "name=gr%C3%B6%C3%9Fe",
    "multipart/form-data; boundary=b": '--b\r\nContent-Disposition: form-data; name="name"\r\n\r\ngröße\r\n--b--\r\n',
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", BODIES)
def test_bodies_and_queries_are_utf8_whatever_the_charset_says(people: People, kind: str) -> None:
    """Below the test client, whose requests are made in another place than a server's."""
    body = BODIES[kind].encode()
    for charset in CHARSETS:
        Group.objects.all().delete()
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/api/groups/",
            "QUERY_STRING": "a=%C3%BC",
            "CONTENT_TYPE": f"{kind}; Charset={charset}",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": f"Token {token_of(people.actor.user)}",
            "wsgi.input": io.BytesIO(body),
        }
        setup_testing_defaults(environ)
        statuses: list[str] = []

        def start_response(status: str, *_: Any, told: list[str] = statuses) -> Any:
            told.append(status)

        answer = b"".join(ignore_charset(WSGIHandler())(environ, start_response))
        assert (charset, statuses, json.loads(answer)["name"]) == (charset, ["201 Created"], "größe")


def multipart(**fields: bytes) -> bytes:
    parts = b"".join(
        b"--b\r\nContent-Disposition: form-data; name=%s; filename=f\r\n\r\n%s\r\n" % (name.encode(), content)
        if name.endswith("file")
        else b"--b\r\nContent-Disposition: form-data; name=%s\r\n\r\n%s\r\n" % (name.encode(), content)
        for name, content in fields.items()
    )
    return parts + b"--b--\r\n"


def test_a_form_that_was_cut_off_anywhere_is_refused_and_nothing_stays(people: People) -> None:
    whole = multipart(name=b"n", description=b"d", model_file=scripted_linear())
    before = stored_files()
    send: Any = people.actor.client.generic
    for end in (len(whole) - 3, len(whole) - 8, len(whole) - 200, 300, 60, 1):
        answer = send("POST", "/api/models/", whole[:end], content_type="multipart/form-data; boundary=b")
        assert (answer.status_code, end) == (400, end)
    assert (Model.objects.count(), stored_files()) == (0, before)
    assert send("POST", "/api/models/", whole, content_type="multipart/form-data; boundary=b").status_code == 201


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\xff", "multipart/mixed"],
)
def test_a_form_without_a_usable_boundary_is_refused(people: People, content_type: str) -> None:
    body = multipart(name=b"n").decode()
    answer = people.actor.client.generic("POST", "/api/models/", body, content_type=content_type)
    assert answer.status_code in (400, 415)


def test_a_part_in_broken_base64_is_refused(people: People) -> None:
    head = "Content-Disposition: form-data; name=name\r\nContent-Transfer-Encoding: base64"
    body = f"--b\r\n{head}\r\n\r\n*\r\n--b--\r\n"
    answer = people.actor.client.generic("POST", "/api/groups/", body, content_type="multipart/form-data; boundary=b")
    assert answer.status_code == 400
    assert not Group.objects.exists()


def test_too_many_fields_are_refused(people: People, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 10
    client = people.actor.client
    urlencoded = client.generic("POST", "/api/groups/", "a=1&" * 50, content_type="application/x-www-form-urlencoded")
    form = client.post("/api/groups/", {"name": ["a"] * 50})
    files = client.post("/api/groups/", {f"f{number}": uploaded(b"x") for number in range(150)})
    assert [answer.status_code for answer in (urlencoded, form, files)] == [400, 400, 400]


def test_what_is_too_large_is_a_413(people: People, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
    settings.FL_MAX_UPLOAD_MB = 2
    client, large = people.actor.client, "x" * (1024 * 1024 + 1)
    answers = [
        client.post("/api/groups/", {"name": large}, format="json"),
        client.post("/api/groups/", {"name": large}),
        client.generic("POST", "/api/groups/", f"name={large}", content_type="application/x-www-form-urlencoded"),
        client.post("/api/models/", {"model_file": uploaded(large.encode() * 2)}),
        client.post("/api/inference/", {"model_id": "x", "model_input": uploaded(large.encode())}),
    ]
    assert [answer.status_code for answer in answers] == [413] * 5


JSON_ENDPOINTS = ["/api/users/", "/api/groups/", "/api/models/", "/api/trainings/"]


@pytest.mark.parametrize("path", JSON_ENDPOINTS)
def test_json_without_a_models_input_is_of_two_megabytes_at_most(people: People, path: str) -> None:
    send: Any = people.actor.client.generic
    for body in (b"[" + b"[]," * 8_000_000 + b"[]]", b'"' + b"x" * (2 * 1024 * 1024) + b'"'):
        answer = send("POST", path, body, content_type="application/json")
        assert (answer.status_code, answer.json()) == (
            413,
            {"detail": "The request is larger than 2 MB."},
        )
    body = b'"' + b"x" * (2 * 1024 * 1024 - 2) + b'"'
    assert send("POST", path, body, content_type="application/json").status_code == 400


def test_json_for_a_model_may_be_larger_but_not_of_empty_lists(people: People, model: GlobalModel) -> None:
    def ask(rows: bytes) -> Any:
        body = b'{"model_id": "%s", "model_input": [%s]}' % (str(model.pk).encode(), rows)
        send: Any = people.actor.client.generic
        return send("POST", "/api/inference/", body, content_type="application/json")

    assert ask(b",".join([b"[1.0, 1.00000000000000, 1.00000000000000]"] * 80_000)).status_code == 200
    refusal = ask(b",".join([b"[]"] * 1_000_001))
    assert (refusal.status_code, refusal.json()["detail"]) == (
        413,
        "The JSON holds more than 1000000 lists and objects.",
    )


def test_a_lost_connection_is_a_refusal(people: People) -> None:
    class Lost(io.BytesIO):
        def read(self, *_: Any) -> bytes:
            raise OSError("gone")

    lost: Any = {"wsgi.input": Lost()}
    for content_type in BODIES:
        answer = people.actor.client.generic("POST", "/api/groups/", "x", content_type=content_type, **lost)
        assert (answer.status_code, list(answer.json())) == (400, ["detail"])
