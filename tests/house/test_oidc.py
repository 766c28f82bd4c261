"""Sign-in at an OpenID Connect provider: a real one, and a real server, both on loopback."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from tests.house.identity_provider import ANNA, BEN, TIMEOUT, Browser, Provider, settings_for
from tests.server_process import REPOSITORY, ServerProcess, server_environment

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def server(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One that makes accounts for everybody."""
    folder = tmp_path_factory.mktemp("oidc") / "var"
    with ServerProcess(folder, environment=settings_for(provider, FL_OIDC_CREATE_USERS="true")) as running:
        yield running


@pytest.fixture(scope="module")
def strict(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One whose superusers link accounts, with a superuser `chief`."""
    folder = tmp_path_factory.mktemp("strict") / "var"
    with ServerProcess(folder, environment=settings_for(provider)) as running:
        login = {"DJANGO_SUPERUSER_PASSWORD": "a long enough Passw0rd"}
        subprocess.run(
            [sys.executable, "manage.py", "createsuperuser", "--noinput", "--username=chief", "--email=c@example.org"],
            cwd=REPOSITORY,
            env=server_environment(folder) | login,
            check=True,
            capture_output=True,
            timeout=60,
        )
        yield running


def test_a_person_signs_in_and_gets_an_account_the_first_time(server: ServerProcess) -> None:
    first = Browser(server).sign_in(ANNA["sub"])
    assert first.status_code == 200, first.text
    assert {key: first.json()[key] for key in ("username", "first_name", "email")} == {
        "username": "anna",
        "first_name": "Anna",
        "email": "anna@example.org",
    }
    assert Browser(server).sign_in(ANNA["sub"]).json()["id"] == first.json()["id"]
    with closing(sqlite3.connect(server.data_dir / "db.sqlite3")) as database:
        trail = "SELECT credential, outcome FROM fl_server_core_auditentry WHERE verb = ? AND account_name = ?"
        assert set(database.execute(trail, ("sign in", "anna"))) == {("identity", "done")}


def test_a_session_of_the_provider_reads_the_api_token_and_makes_others(server: ServerProcess) -> None:
    browser = Browser(server)
    myself = browser.sign_in(ANNA["sub"]).json()
    key = browser.get(f"/api/users/{myself['id']}/").json()["token"]
    made = requests.post(
        f"{server.base_url}/api/users/myself/tokens/",
        json={"name": "robot"},
        headers={"Authorization": f"Token {key}"},
        timeout=TIMEOUT,
    )
    assert made.status_code == 201


def test_the_schema_names_this_way_to_sign_in(server: ServerProcess) -> None:
    schema = requests.get(f"{server.base_url}/api/schema/?format=json", timeout=TIMEOUT).json()
    assert schema["components"]["securitySchemes"]["identityTokenAuth"]["scheme"] == "bearer"


def test_a_name_that_is_taken_leads_to_no_account_of_somebody_else(server: ServerProcess) -> None:
    new = {"username": "ben", "password": "a long enough Passw0rd", "email": "ben@example.org"}
    other = requests.post(f"{server.base_url}/api/users/", json=new, timeout=TIMEOUT).json()
    ben = Browser(server).sign_in(BEN["sub"]).json()
    assert (ben["username"], ben["id"] != other["id"]) == ("ben-2", True)


def test_an_identity_token_of_the_provider_signs_in_to_the_api(server: ServerProcess, provider: Provider) -> None:
    myself = Browser(server).sign_in(ANNA["sub"]).json()
    token = provider.identity_token(ANNA["sub"])
    answer = bearer(server, token)
    assert (answer.status_code, answer.json().get("id")) == (200, myself["id"])


def bearer(server: ServerProcess, token: str) -> requests.Response:
    header = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{server.base_url}/api/users/myself/", headers=header, timeout=TIMEOUT)


def test_an_identity_token_for_another_client_or_that_was_changed_is_a_401(
    server: ServerProcess, provider: Provider
) -> None:
    good = provider.identity_token(ANNA["sub"])
    head, body, signature = good.split(".")
    unsigned = "eyJhbGciOiJub25lIn0"
    wrong = [
        provider.identity_token(ANNA["sub"], client="another"),
        f"{head}.{body}.{signature[:-6]}AAAAAA",
        f"{head}.{body[:-6]}AAAAAA.{signature}",
        f"{unsigned}.{body}.",
        "x",
        "",
        "a.b.c",
    ]
    for token in wrong:
        answer = bearer(server, token)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Token"), token
        assert answer.json() == {"detail": "Invalid identity token."}


def test_an_identity_without_an_account_is_a_401(server: ServerProcess, provider: Provider) -> None:
    answer = bearer(server, provider.identity_token("nobody-here"))
    assert (answer.status_code, "No account belongs" in answer.json()["detail"]) == (401, True)


def test_what_comes_back_without_a_request_of_this_browser_is_refused(server: ServerProcess) -> None:
    victim, attacker = Browser(server), Browser(server)
    back = attacker.agree(attacker.start(), BEN["sub"])
    victim.start()
    for address in (back, f"{server.base_url}/oidc/callback/", f"{server.base_url}/oidc/callback/?code=x&state=y"):
        answer = victim.session.get(address, timeout=TIMEOUT)
        assert (answer.status_code in (400, 403), len(answer.text) < 200) == (True, True), answer.text
    assert victim.get("/api/users/myself/").status_code == 401


def test_a_callback_works_once(server: ServerProcess) -> None:
    browser = Browser(server)
    back = browser.agree(browser.start(), ANNA["sub"])
    assert browser.session.get(back, timeout=TIMEOUT).status_code == 200
    assert browser.session.get(back, timeout=TIMEOUT).status_code == 400


def test_a_person_who_declines_is_told_to_start_again(server: ServerProcess) -> None:
    browser = Browser(server)
    back = browser.agree(browser.start(), ANNA["sub"], action="deny")
    answer = browser.session.get(back, timeout=TIMEOUT)
    assert (answer.status_code, "Start again" in answer.text) == (400, True)


def test_nobody_is_sent_to_another_site_afterwards(server: ServerProcess) -> None:
    browser = Browser(server)
    back = browser.agree(browser.start("https://evil.example.org/"), ANNA["sub"])
    answer = browser.session.get(back, timeout=TIMEOUT, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


def test_without_a_link_and_without_the_setting_nobody_gets_an_account(strict: ServerProcess) -> None:
    browser = Browser(strict)
    answer = browser.sign_in("stranger")
    assert (answer.status_code, "no account here belongs to you" in answer.text) == (403, True)
    assert browser.get("/api/users/myself/").status_code == 401


def test_a_superuser_links_an_account_and_signs_in_to_the_admin_with_it(strict: ServerProcess) -> None:
    browser = Browser(strict)
    page = browser.get("/admin/login/?next=/admin/")
    assert "/oidc/authenticate/?next=/admin/" in page.text
    token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[0]
    login = {"username": "chief", "password": "a long enough Passw0rd", "csrfmiddlewaretoken": token, "next": "/admin/"}
    assert browser.session.post(f"{strict.base_url}/admin/login/", data=login, timeout=TIMEOUT).status_code == 200
    address = f"{strict.base_url}/admin/fl_server_core/identity/add/"
    form = browser.session.get(address, timeout=TIMEOUT).text
    issuer = re.findall(r'name="issuer" value="([^"]+)"', form)[0]
    myself = browser.get("/api/users/myself/").json()["id"]
    link = {
        "user": myself,
        "issuer": issuer,
        "subject": "chief-at-clinic",
        "csrfmiddlewaretoken": re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', form)[0],
    }
    assert browser.session.post(address, data=link, timeout=TIMEOUT, allow_redirects=False).status_code == 302
    fresh = Browser(strict)
    answer = fresh.sign_in("chief-at-clinic", "/admin/")
    assert (answer.status_code, "Overview" in answer.text) == (200, True)
    assert fresh.get("/api/users/myself/").json()["username"] == "chief"


def test_without_the_provider_the_server_says_so_and_passwords_still_work(tmp_path: Path) -> None:
    away = Provider()
    with ServerProcess(tmp_path / "var", environment=settings_for(away)) as server:
        browser = Browser(server)
        answer = browser.get("/oidc/authenticate/", allow_redirects=False)
        assert (answer.status_code, "unavailable" in answer.text) == (503, True)
        assert bearer(server, "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.e30.eHg").status_code == 503
        new = {"username": "new", "password": "a long enough Passw0rd"}
        assert requests.post(f"{server.base_url}/api/users/", json=new, timeout=TIMEOUT).status_code == 201
        login = requests.get(f"{server.base_url}/api/users/myself/", auth=tuple(new.values()), timeout=TIMEOUT)  # type: ignore[arg-type]
        assert login.status_code == 200


def test_it_is_off_by_default(tmp_path: Path) -> None:
    assert not [name for name in os.environ if name.startswith("FL_OIDC")]
    with ServerProcess(tmp_path / "var") as server:
        assert requests.get(f"{server.base_url}/oidc/authenticate/", timeout=TIMEOUT).status_code == 404
        assert "organization" not in requests.get(f"{server.base_url}/admin/login/", timeout=TIMEOUT).text
        assert bearer(server, "x").json() == {"detail": "Authentication credentials were not provided."}
