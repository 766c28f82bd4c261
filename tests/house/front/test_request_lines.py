"""The line that each request gets in the log, whoever answers it, and what no line holds."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.builders.waiting import wait_until
from tests.house.front.sockets import Reply, connected, header, read_reply
from tests.server_process import ServerProcess

pytestmark = pytest.mark.once

MADE = re.compile(r"[0-9a-f]{32}")
PASSWORD = "a-Long-password-1"
REGISTRATION = json.dumps({"username": "ada\n2026 CRITICAL forged\x1b[31m", "password": PASSWORD}).encode()
SETTINGS = {"FL_LOG_FORMAT": "json", "FL_SIGN_IN_FAILURES": "1", "FL_TRUSTED_PROXIES": "127.0.0.1/32"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("lines") / "var", environment=SETTINGS) as running:
        yield running
        assert running.stop() == 0


def asked(server: ServerProcess, request: bytes) -> Reply:
    with connected(server.base_url) as opened:
        opened.sendall(request)
        return read_reply(opened)


def line_of(server: ServerProcess, request_id: str) -> dict[str, Any]:
    """The one line of a request in the access log, once it is there."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        lines = [json.loads(line) for line in server.lines()]
        found[:] = [one for one in lines if one["logger"] == "fl_server.access" and one["request_id"] == request_id]
        return bool(found)

    wait_until(f"the line of {request_id}", look)
    [line] = found
    return line


def test_a_request_that_django_answers(server: ServerProcess) -> None:
    reply = asked(
        server,
        header("POST", "/api/users/?token=of-the-query", content_type="application/json", x_request_id="mine-1.a_B",
               x_forwarded_for="192.0.2.7", content_length=len(REGISTRATION)) + REGISTRATION,
    )  # fmt: skip
    assert reply.headers["x-request-id"] == "mine-1.a_B"
    line = line_of(server, "mine-1.a_B")
    assert (line["method"], line["path"], line["route"]) == ("POST", "/api/users/", "api/users/")
    assert (line["status"], line["address"]) == (reply.status, "192.0.2.7")
    assert (line["bytes_in"], line["bytes_out"]) == (len(REGISTRATION), len(reply.body))
    assert 0 < line["duration_ms"] < 60_000
    assert datetime.fromisoformat(line["time"]).utcoffset() == timedelta(0)


@pytest.mark.parametrize("bad", ["a b", "x" * 129, "a;b", "é", "a\x1b[31m", "", "a,b"])
def test_an_id_that_is_not_well_formed_is_replaced(server: ServerProcess, bad: str) -> None:
    reply = asked(server, header("GET", "/api/users/", x_request_id=bad))
    if reply.status == 401:  # else the front has refused it
        assert MADE.fullmatch(reply.headers["x-request-id"])
    assert line_of(server, reply.headers["x-request-id"])["status"] == reply.status


def test_requests_that_django_never_sees(server: ServerProcess) -> None:
    login = "Basic " + base64.b64encode(b"nobody:wrong-password").decode()
    guess = header("GET", "/api/users/", authorization=login)
    for request, status, route in (
        (header("POST", "/api/models/", content_length=10**9), 413, "api/models/"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", 400, None),
        (guess, 401, "api/users/"),
        (guess, 429, "api/users/"),
        (guess, 429, "api/users/"),  # now it is known
    ):
        reply = asked(server, request)
        line = line_of(server, reply.headers["x-request-id"])
        assert (reply.status, line["status"]) == (status, status)
        assert (line.get("route"), "aborted" in line) == (route, False)


def test_a_probe_has_a_line_only_if_it_is_refused(server: ServerProcess) -> None:
    for method, path in (("GET", "/livez"), ("GET", "/readyz"), ("POST", "/livez")):
        asked(server, header(method, path, x_request_id=f"probe-{method}{path}".replace("/", ".")))
    assert line_of(server, "probe-POST.livez")["status"] == 405
    assert [line for line in server.lines() if '"probe-GET' in line] == []


def test_a_client_that_leaves_in_the_middle_of_its_request(server: ServerProcess) -> None:
    with connected(server.base_url) as opened:
        opened.sendall(header("POST", "/api/users/", x_request_id="leaves", content_length=1000) + b"0123456789")
    line = line_of(server, "leaves")
    assert (line["status"], line["aborted"], line["bytes_in"]) == (499, True, 10)


def test_no_line_holds_a_secret_or_what_would_pass_for_another_line(server: ServerProcess) -> None:
    path = "/api/nothing%0A2026-01-01%20CRITICAL%20forged%1B%5B31m"
    reply = asked(server, header("GET", path, authorization=f"Token {'f' * 40}"))
    line = line_of(server, reply.headers["x-request-id"])
    assert line["path"] == "/api/nothing\n2026-01-01 CRITICAL forged\x1b[31m"
    lines = server.lines()
    assert {json.loads(one)["level"] for one in lines} <= {"info", "warning"}
    assert [
        word for word in ("of-the-query", PASSWORD, "f" * 40, "wrong-password", "\x1b") if word in "".join(lines)
    ] == []
