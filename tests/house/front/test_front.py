"""HTTP as the server speaks it: what clients of all kinds send, and what they get."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.builders.files import scripted_linear
from tests.builders.strangers import LARGE_PAGE
from tests.builders.waiting import wait_until
from tests.house.front.sockets import ask, connected, header, read_reply, wait_for_end
from tests.memory import anonymous_memory
from tests.server_process import ServerProcess

pytestmark = pytest.mark.once

PAGE = "/api/users/"
STYLE = "/static/admin/css/base.css"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("front") / "var") as running:
        yield running
        assert running.stop() == 0
        assert running.errors() == ""


def test_several_requests_at_once_are_answered_in_their_order(server: ServerProcess) -> None:
    body = b'{"username": "p", "password": "a-Long-password-1"}'
    with connected(server.base_url) as opened:
        opened.sendall(
            header("GET", PAGE)
            + header("POST", PAGE, content_type="application/json", content_length=len(body))
            + body
            + header("GET", STYLE)
            + header("GET", "/api/nothing/", connection="close")
        )
        assert [read_reply(opened).status for _ in range(4)] == [401, 201, 200, 404]
        assert wait_for_end(opened) == b""


def test_a_request_may_arrive_a_byte_at_a_time(server: ServerProcess) -> None:
    with connected(server.base_url) as opened:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in header("GET", PAGE):
            opened.sendall(bytes([byte]))
        assert read_reply(opened).status == 401


def test_a_client_that_closes_its_side_still_gets_its_answer(server: ServerProcess) -> None:
    with connected(server.base_url) as opened:
        opened.sendall(header("GET", LARGE_PAGE))
        opened.shutdown(socket.SHUT_WR)
        time.sleep(0.3)
        assert len(read_reply(opened).body) > 1_000_000
        assert wait_for_end(opened) == b""


def test_http_1_0_ends_with_its_answer(server: ServerProcess) -> None:
    with connected(server.base_url) as opened:
        opened.sendall(b"GET /api/users/ HTTP/1.0\r\n\r\n")
        assert read_reply(opened).status == 401
        assert wait_for_end(opened) == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST /api/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", 400),
        (b"GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000, 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\nHost: localhost\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\nX: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n\tb\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
)
def test_what_is_not_http_is_refused_with_a_sentence(server: ServerProcess, sent: bytes, status: int) -> None:
    with connected(server.base_url) as opened:
        opened.sendall(sent)
        reply = read_reply(opened)
        assert (reply.status, reply.headers["connection"]) == (status, "close")
        assert reply.json["detail"].startswith("The request can't be understood: ")
        assert reply.json["detail"].endswith(".")
        assert "bytearray" not in reply.json["detail"]
        opened.shutdown(socket.SHUT_WR)
        assert wait_for_end(opened) == b""


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET http://localhost/api/users/ HTTP/1.1", 401),
        (b"GET http://localhost HTTP/1.1", 302),
        (b"OPTIONS * HTTP/1.1", 404),
        (b"CONNECT localhost:80 HTTP/1.1", 404),
        (b"GET /api/users/?a=%00%ff HTTP/1.1", 401),
        (b"GET /%ff%00 HTTP/1.1", 404),
    ],
)
def test_odd_targets_are_no_errors_of_the_server(server: ServerProcess, request_line: bytes, status: int) -> None:
    assert ask(server.base_url, request_line + b"\r\nHost: localhost\r\nUpgrade: h2c\r\n\r\n").status == status


def test_a_header_with_an_underscore_does_not_pass_for_one_with_a_hyphen(server: ServerProcess) -> None:
    tag = requests.head(f"{server.base_url}{LARGE_PAGE}", timeout=30).headers["ETag"]
    asked = f"HEAD {LARGE_PAGE} HTTP/1.1\r\nHost: localhost\r\n"
    assert ask(server.base_url, f"{asked}If-None-Match: {tag}\r\n\r\n".encode()).status == 304
    assert ask(server.base_url, f"{asked}If_None_Match: {tag}\r\n\r\n".encode()).status == 200


def test_heads_conditions_and_ranges_have_no_more_body_than_they_may(server: ServerProcess) -> None:
    with connected(server.base_url) as opened:
        opened.sendall(header("HEAD", LARGE_PAGE))
        head = read_reply(opened, method="HEAD")
        assert int(head.headers["content-length"]) > 1_000_000
        opened.sendall(header("GET", LARGE_PAGE, if_none_match=head.headers["etag"]))
        assert read_reply(opened).status == 304
        opened.sendall(header("GET", LARGE_PAGE, range="bytes=10-19"))
        part = read_reply(opened)
        assert (part.status, len(part.body)) == (206, 10)
        opened.sendall(header("GET", PAGE))
        assert read_reply(opened).status == 401


def test_a_refused_head_has_no_body(server: ServerProcess) -> None:
    account = {"username": "head", "password": "a-Long-password-1"}
    token = requests.post(f"{server.base_url}/api/users/", json=account, timeout=30).json()["token"]
    credentials = {"Authorization": f"Token {token}"}
    uploaded = requests.post(
        f"{server.base_url}/api/models/",
        data={"name": "m", "description": "m"},
        files={"model_file": scripted_linear()},
        headers=credentials,
        timeout=30,
    )
    model = f"/api/models/{uploaded.json()['model_id']}/"
    with connected(server.base_url) as opened:
        for path, conditions, status in (
            ("/api/inference/", {}, 405),
            (model, {"if_match": '"other"'}, 412),
            ("/api/nothing/", {}, 404),
        ):
            opened.sendall(header("HEAD", path, **credentials, **conditions))
            assert read_reply(opened, method="HEAD").status == status
            opened.sendall(header("GET", PAGE))  # a body would be taken for its answer
            assert read_reply(opened).status == 401
        opened.sendall(header("HEAD", PAGE, content_length=10_000_000))
        assert read_reply(opened, method="HEAD").status == 413
        assert wait_for_end(opened) == b""


def test_a_large_answer_that_is_no_file_arrives_whole(server: ServerProcess) -> None:
    answers = [requests.get(f"{server.base_url}/api/schema/", timeout=60) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert len(answers[0].content) == int(answers[0].headers["Content-Length"]) > 64 * 1024


def test_a_download_that_is_given_up_is_let_go_of(server: ServerProcess) -> None:
    for _ in range(20):
        with connected(server.base_url, receive_buffer=4096) as opened:
            opened.sendall(header("GET", LARGE_PAGE))
            assert opened.recv(100)
    [child] = _children(server)
    wait_until("the files to be closed", lambda: not _holds(child, LARGE_PAGE.rsplit("/", 1)[1]), 30)


def _children(server: ServerProcess) -> list[int]:
    return [int(word) for word in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()]


def _holds(pid: int, name: str) -> bool:
    def target(path: Path) -> str:
        try:
            return str(path.readlink())
        except FileNotFoundError:
            return ""

    return any(target(path).endswith(name) for path in Path(f"/proc/{pid}/fd").iterdir())


def test_readers_that_do_not_read_cost_little_memory(server: ServerProcess) -> None:
    [child] = _children(server)
    requests.get(f"{server.base_url}{LARGE_PAGE}", timeout=30)
    before = anonymous_memory(child)
    held = []
    try:
        for _ in range(100):
            opened = socket.socket()
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            opened.connect(("127.0.0.1", int(server.base_url.rsplit(":", 1)[1])))
            opened.sendall(header("GET", LARGE_PAGE))
            held.append(opened)
        for opened in held:
            opened.settimeout(30)
            assert opened.recv(100)
        assert anonymous_memory(child) - before < 100 * 400 * 1024
    finally:
        for opened in held:
            opened.close()
