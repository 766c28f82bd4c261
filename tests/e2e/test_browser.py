"""The pages in a real browser: under their Content-Security-Policy they still work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Page

from tests.e2e.browser import chromium
from tests.server_process import ServerProcess, run_manage, server_environment

pytestmark = pytest.mark.once

PASSWORD = "a-password-for-the-browser"
# ReDoc's page shows its maker's logo, from the maker's host: the policy keeps the browser from asking for it.
EXPECTED = ("cdn.redoc.ly", "favicon.ico", "/favicon")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    if not settings.FL_EMBEDDED:
        pytest.skip("it has an embedded server of its own: run in the pass on SQLite")
    with ServerProcess(tmp_path_factory.mktemp("pages") / "var") as running:
        login = {
            "DJANGO_SUPERUSER_USERNAME": "admin",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            "DJANGO_SUPERUSER_EMAIL": "admin@example.com",
        }
        made = run_manage("createsuperuser", "--noinput", environment=server_environment(running.data_dir) | login)
        assert made.returncode == 0, made.stderr
        yield running


@pytest.fixture
def page(server: ServerProcess) -> Iterator[Page]:
    with chromium() as browser:
        yield browser.new_page(base_url=server.base_url)


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What the browser refused or failed to do."""
    heard: list[str] = []

    def listen(text: str, where: str) -> None:
        if not any(expected in text + where for expected in EXPECTED):
            heard.append(f"{where}: {text}")

    page.on("console", lambda message: listen(message.text, str(message.location)) if message.type == "error" else None)
    page.on("pageerror", lambda error: listen(str(error), page.url))
    return heard


def sign_in(page: Page) -> None:
    page.goto("/admin/login/")
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.click("[type=submit]")
    page.wait_for_url("**/admin/")


def test_swagger_and_redoc_show_every_operation_without_eval(page: Page, complaints: list[str]) -> None:
    page.goto("/api/schema/swagger-ui/")
    page.get_by_text("/api/trainings/{training_id}/start/").first.wait_for()
    page.goto("/api/schema/redoc/")
    page.get_by_text("/api/trainings/{training_id}/start/").first.wait_for(state="attached")
    assert complaints == []


def test_the_admin_works_under_the_policy(page: Page, complaints: list[str]) -> None:
    sign_in(page)
    for path in ("user/", "user/add/", "training/", "globalmodel/", "round/", "delivery/", "event/"):
        page.goto(f"/admin/fl_server_core/{path}")
        page.wait_for_load_state("networkidle")
    assert complaints == []


def test_one_logs_out_of_the_browsable_api_by_a_click(page: Page, complaints: list[str]) -> None:
    sign_in(page)
    page.goto("/api/trainings/")
    page.wait_for_load_state("networkidle")
    assert complaints == []
    page.get_by_role("button", name="Log out").click()
    page.wait_for_load_state("networkidle")
    assert "Log in" in page.inner_text("body")
