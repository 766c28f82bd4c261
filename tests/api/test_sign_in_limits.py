"""Guessing passwords and tokens, by every way in."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from fl_server_api.authentication import authenticate, authenticate_meta
from fl_server_api.client_address import client_address
from fl_server_api.wsgi import prepared
from fl_server_core.exceptions import TooManyFailures
from fl_server_core.models import FailedSignIns, User
from tests.api.test_authentication import PASSWORD, PATH, basic
from tests.builders.clients import client_of, token_of
from tests.builders.rows import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def user() -> User:
    return make_user("märta", password=PASSWORD, is_staff=True)


def by_basic(password: str, **more: Any) -> Any:
    return client_of().get(PATH, HTTP_AUTHORIZATION=basic("märta", password), **more)


def by_admin(password: str, **more: Any) -> Any:
    return Client().post("/admin/login/", {"username": "märta", "password": password}, **more)


def by_form(password: str, **more: Any) -> Any:
    return Client().post("/api-auth/login/", {"username": "märta", "password": password}, **more)


def assert_refused(answer: Any) -> None:
    assert (answer.status_code, "Too many failed attempts" in answer.content.decode()) == (429, True)
    assert 0 < int(answer["Retry-After"]) <= 300


@pytest.mark.parametrize("way", [by_basic, by_admin, by_form])
def test_the_eleventh_guess_is_a_429_that_says_when_to_try_again(user: User, way: Any) -> None:
    before = way(PASSWORD, REMOTE_ADDR="198.51.100.1").status_code
    wrong = {way(f"wrong {number}").status_code for number in range(10)}
    assert (before in (200, 302), len(wrong), 429 in wrong) == (True, 1, False)
    for password in (f"{PASSWORD}?", "wrong"):
        assert_refused(way(password))
    assert way(PASSWORD, REMOTE_ADDR="198.51.100.7").status_code == before


def test_all_ways_share_one_count(user: User) -> None:
    for number in range(10):
        (by_basic, by_admin, by_form)[number % 3](f"wrong {number}")
    for way in (by_basic, by_admin, by_form):
        assert_refused(way(PASSWORD))


def test_a_browser_gets_the_refusal_as_a_page(user: User) -> None:
    for number in range(11):
        answer = by_basic(f"wrong {number}", HTTP_ACCEPT="text/html")
    assert (answer.status_code, answer["Content-Type"].split(";")[0]) == (429, "text/html")


def test_a_valid_token_is_never_refused(user: User) -> None:
    other = make_user("other")
    for number in range(15):
        by_basic(f"wrong {number}")
        client_of().get(PATH, HTTP_AUTHORIZATION=f"Token {number:040}")
    for header in (f"Token {token_of(user)}", basic(token_of(user), ""), f"Token {token_of(other)}"):
        assert client_of().get(PATH, HTTP_AUTHORIZATION=header).status_code == 200


@pytest.mark.parametrize("form", ["Token {}", "basic"])
def test_guesses_of_tokens_are_refused_too(user: User, form: str) -> None:
    answers = []
    for number in range(11):
        key = f"{number:040}"
        header = basic(key, "") if form == "basic" else form.format(key)
        answers.append(client_of().get(PATH, HTTP_AUTHORIZATION=header))
    assert [answer.status_code for answer in answers[:10]] == [401] * 10
    assert_refused(answers[10])
    assert by_basic(PASSWORD).status_code == 200


def test_the_address_is_that_of_the_client_behind_a_proxy_that_is_trusted(user: User, settings: Settings) -> None:
    settings.FL_TRUSTED_PROXIES = ["127.0.0.1/32"]
    for number in range(10):
        # Its own header, with an address that changes, is what a client may write.
        by_basic(f"wrong {number}", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}, 203.0.113.5")
    assert_refused(by_basic(PASSWORD, HTTP_X_FORWARDED_FOR="203.0.113.5"))
    assert by_basic(PASSWORD, HTTP_X_FORWARDED_FOR="203.0.113.6").status_code == 200


def test_a_header_of_somebody_who_is_not_a_trusted_proxy_counts_nothing(user: User) -> None:
    for number in range(10):
        by_basic(f"wrong {number}", HTTP_X_FORWARDED_FOR=f"10.0.0.{number}")
    assert_refused(by_basic(PASSWORD, HTTP_X_FORWARDED_FOR="203.0.113.6"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", "203.0.113.5", "192.0.2.1"),
        ("10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("::ffff:10.0.0.1", "203.0.113.5", "203.0.113.5"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.5, 10.0.0.9", "203.0.113.5"),
        ("10.0.0.1", "203.0.113.5:4711", "203.0.113.5"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.5, unknown", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2, 10.0.0.3", "10.0.0.2"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("", "203.0.113.5", "203.0.113.5"),
        (None, None, ""),
    ],
)
def test_a_client_is_the_last_one_before_the_proxies(
    settings: Settings, peer: str | None, forwarded: str | None, expected: str
) -> None:
    settings.FL_TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_address({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}) == expected


# What other code may ask before there is a view.


def test_headers_tell_who_asks(user: User) -> None:
    for header in (f"Token {token_of(user)}", basic(token_of(user), ""), basic("märta", PASSWORD)):
        assert authenticate({"authorization": header}, "192.0.2.1") == user
        assert authenticate({"Authorization": header}, "192.0.2.1") == user


@pytest.mark.parametrize("header", [None, "", "Token", "Token wrong", "Basic !!!", "Bearer x", "Token \xff"])
def test_headers_that_tell_nothing_are_nobody_s(user: User, header: str | None) -> None:
    assert authenticate({} if header is None else {"Authorization": header}, "192.0.2.1") is None


def test_headers_that_guess_are_refused(user: User) -> None:
    for _ in range(10):
        assert authenticate({"Authorization": basic("märta", "wrong")}, "192.0.2.1") is None
    with pytest.raises(TooManyFailures):
        authenticate({"Authorization": basic("märta", PASSWORD)}, "192.0.2.1")


def test_a_request_that_is_looked_at_twice_fails_once(user: User) -> None:
    meta: dict[str, Any] = {"HTTP_AUTHORIZATION": basic("märta", "wrong"), "REMOTE_ADDR": "127.0.0.1"}
    assert authenticate_meta(meta) is None
    assert authenticate_meta(meta) is None
    answer = client_of().get(PATH, **meta)  # the same environment, as a middleware leaves it
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Token")
    assert FailedSignIns.objects.get().failures == 1


def test_what_needs_no_login_is_not_refused(user: User) -> None:
    for number in range(11):
        last = by_basic(f"wrong {number}")
    assert_refused(last)
    header = {"HTTP_AUTHORIZATION": basic("märta", "wrong")}
    new = {"username": "new", "password": PASSWORD}
    assert client_of().post("/api/users/", new, **header).status_code == 201  # type: ignore[arg-type]
    assert client_of().get("/api/schema/", **header).status_code == 200  # type: ignore[arg-type]


def test_what_is_known_to_be_refused_reaches_no_view(user: User, django_assert_num_queries: Any) -> None:
    for number in range(11):
        by_basic(f"wrong {number}")
    with django_assert_num_queries(0):
        for header in (basic("märta", "another"), basic("märta", "another", "latin-1"), basic("märta", PASSWORD)):
            assert_refused(client_of().get(PATH, HTTP_AUTHORIZATION=header))


def test_what_is_known_to_be_refused_does_not_reach_django(user: User) -> None:
    for number in range(11):
        by_basic(f"wrong {number}")
    reached: list[Any] = []

    def application(environ: Any, _start: Any) -> list[bytes]:
        reached.append(environ)
        return [b""]

    serve = prepared(application)
    guess = {"REMOTE_ADDR": "127.0.0.1", "HTTP_AUTHORIZATION": basic("märta", "another"), "REQUEST_METHOD": "POST"}
    answers: list[Any] = []
    (body,) = serve({**guess, "PATH_INFO": PATH}, lambda *answer: answers.append(answer))  # type: ignore[arg-type]
    ((status, headers),) = answers
    assert (status, b"Too many failed attempts" in body, reached) == ("429 Too Many Requests", True, [])
    assert 0 < int(dict(headers)["Retry-After"]) <= 300
    passed: list[dict[str, str]] = [
        {**guess, "PATH_INFO": "/api/users/"},
        {**guess, "PATH_INFO": "/admin/"},
        {**guess, "PATH_INFO": PATH, "HTTP_ORIGIN": "https://front.example.org"},
        {**guess, "PATH_INFO": PATH, "REMOTE_ADDR": "198.51.100.7"},
        {**guess, "PATH_INFO": PATH, "HTTP_AUTHORIZATION": f"Token {token_of(user)}"},
    ]
    for environ in passed:
        serve(environ, lambda *answer: answers.append(answer))  # type: ignore[arg-type]
    assert reached == passed
