from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView

from fl_server_api.views import pages
from tests.builders.storage import body_of

YAML, JSON = "application/yaml", "application/json"


@pytest.fixture(scope="module")
def schema() -> Any:
    answer = Client().get("/api/schema/")
    assert (answer.status_code, answer["Content-Type"].split(";")[0]) == (200, "application/vnd.oai.openapi")
    return yaml.safe_load(answer.content)


def operations(schema: Any) -> list[tuple[str, Any]]:
    return [
        (f"{method} {path}", operation) for path, item in schema["paths"].items() for method, operation in item.items()
    ]


def test_the_schema_is_valid_and_made_without_a_warning() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


def test_the_schema_names_every_address_of_the_api(schema: Any) -> None:
    from fl_server_api.urls import urlpatterns

    hidden = ("schema/", "schema/swagger-ui/", "schema/redoc/", "")
    routes = [str(pattern.pattern) for pattern in urlpatterns if str(pattern.pattern) not in hidden]
    paths = {"/api/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route) for route in routes}
    assert set(schema["paths"]) == paths


def test_every_operation_says_what_it_does_and_how_it_refuses(schema: Any) -> None:
    for name, operation in operations(schema):
        assert operation.get("summary"), name
        codes = set(operation["responses"])
        assert any(code.startswith("2") for code in codes), name
        assert "401" in codes or name == "post /api/users/", name


def test_every_json_request_of_substance_has_an_example(schema: Any) -> None:
    for name, operation in operations(schema):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content and "EmptyRequest" not in str(content["schema"]) and "Group" not in str(content["schema"]):
            assert "examples" in content, name


@pytest.mark.parametrize("page", ["swagger-ui", "redoc"])
def test_the_pages_load_nothing_from_another_host(page: str) -> None:
    answer = Client().get(f"/api/schema/{page}/")
    assert (answer.status_code, answer["Content-Type"].split(";")[0]) == (200, "text/html")
    text = answer.content.decode()
    sources = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert [source for source in sources if source.startswith("/static/")]
    assert [source for source in sources if "//" in source] == []
    for source in sources:
        if source.startswith("/static/"):
            assert len(body_of(Client().get(source))) > 100, source


def test_it_is_generated_once_for_all_who_ask_in_one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Generator(SchemaGenerator):
        def get_schema(self, *args: Any, **kwargs: Any) -> Any:
            made.append(self)
            return super().get_schema(*args, **kwargs)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(pages, "_documents", {})
    monkeypatch.setattr(SpectacularAPIView, "generator_class", Generator)
    answers = [Client().get("/api/schema/", {"version": "2"}, HTTP_ACCEPT=kind) for kind in (YAML, JSON, YAML, JSON)]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert len(made) == 2
    assert answers[0].content == answers[2].content != answers[1].content == answers[3].content
    assert yaml.safe_load(answers[0].content) == answers[1].json()
