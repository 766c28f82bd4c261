"""What a browser is told about every page, and what the pages then may not contain."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db

PAGES = (
    "/admin/login/", "/admin/", "/admin/fl_server_core/user/", "/admin/fl_server_core/training/", "/api-auth/login/",
    "/api/", "/api/trainings/", "/api/users/myself/", "/api/schema/swagger-ui/", "/api/schema/redoc/",
)  # fmt: skip


@pytest.fixture(params=["nobody", "admin"])
def browser(request: pytest.FixtureRequest) -> Client:
    client = Client(headers={"Accept": "text/html"})
    if request.param == "admin":
        client.force_login(make_user("admin", is_staff=True, is_superuser=True))
    return client


@pytest.mark.parametrize("path", PAGES)
def test_scripts_are_files_of_ours_and_no_page_may_be_framed(browser: Client, path: str) -> None:
    answer = browser.get(path, follow=True)
    policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["object-src"] == policy["base-uri"] == "'none'"
    assert not [name for name in policy if name.startswith("script")]
    assert not [name for name, sources in policy.items() if "unsafe-" in sources and name != "style-src"]
    text = answer.content.decode()
    scripts = re.findall(r"<script\b([^>]*)>", text)
    inline = [script for script in scripts if "src=" not in script and "application/json" not in script]
    assert (inline, re.findall(r"\son\w+=[\"'][^>]*>", text), "javascript:" in text) == ([], [], False)


def test_the_browsable_api_logs_out_without_a_script() -> None:
    client = Client(headers={"Accept": "text/html"}, enforce_csrf_checks=True)
    client.force_login(make_user("reader"))
    page = client.get("/api/trainings/").content.decode()
    form = re.search(r'action="(/api-auth/logout/[^"]*)".*?name="csrfmiddlewaretoken" value="([^"]+)"', page, re.DOTALL)
    assert form is not None
    client.post(form[1], {"csrfmiddlewaretoken": form[2]})
    assert client.get("/api/trainings/").status_code == 401
