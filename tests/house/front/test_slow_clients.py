"""Clients that take their time, on real sockets to a real server: they hold their connection and nothing else."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.builders.strangers import HALF_A_BODY, HALF_A_HEADER, KINDS, LARGE_PAGE, NO_READER, strangers
from tests.builders.waiting import wait_until
from tests.house.front.sockets import ask, connected, header, read_reply, wait_for_end
from tests.server_process import ServerProcess

pytestmark = pytest.mark.once

COUNT = 200
ACCOUNT = {"username": "anna", "password": "a-Long-password-1"}
# Well below what a test waits.
IMPATIENT = {"FL_HEADER_SECONDS": "2", "FL_SILENCE_SECONDS": "3"}


def register(url: str) -> str:
    made = requests.post(f"{url}/api/users/", json=ACCOUNT, timeout=30)
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """A server with two threads that closes no connection while a test runs, and a token."""
    with ServerProcess(tmp_path_factory.mktemp("patient") / "var", "--threads", "2") as server:
        yield server.base_url, register(server.base_url)
        assert server.stop() == 0
        assert server.errors() == ""


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("impatient")
    with ServerProcess(folder / "var", environment=IMPATIENT) as server:
        yield server.base_url
        assert server.stop() == 0
        assert server.errors() == ""


@pytest.mark.parametrize("kind", KINDS)
def test_two_hundred_of_them_leave_all_threads_to_the_others(patient: tuple[str, str], kind: str) -> None:
    url, token = patient
    with strangers(url, KINDS[kind], COUNT) as held:
        answers = [
            requests.get(f"{url}/api/users/myself/", headers={"Authorization": f"Token {token}"}, timeout=30)
            for _ in range(4)
        ]
        assert [answer.status_code for answer in answers] == [200] * 4
        if kind != "not reading":  # there, an answer is on its way
            assert not any(_has_ended(one) for one in held)


def _has_ended(opened: socket.socket) -> bool:
    opened.setblocking(False)
    with suppress(BlockingIOError):
        return opened.recv(1, socket.MSG_PEEK) == b""
    return False


@pytest.mark.parametrize("sent", [b"", HALF_A_HEADER, HALF_A_BODY], ids=["nothing", "half a header", "half a body"])
def test_one_that_falls_silent_is_closed(impatient: str, sent: bytes) -> None:
    with connected(impatient) as opened:
        opened.sendall(sent)
        assert wait_for_end(opened) == b""


def test_one_that_does_not_read_is_cut_off(impatient: str) -> None:
    with connected(impatient, receive_buffer=4096) as opened:
        opened.sendall(NO_READER)
        assert opened.recv(10)
        wait_until("the connection to be cut", lambda: bool(opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)), 30)


def test_a_byte_at_a_time_gives_a_header_no_more_time(impatient: str) -> None:
    with connected(impatient) as opened:
        opened.sendall(HALF_A_HEADER)
        assert _drips(opened, b"a", pause=0.2)


def test_a_body_that_drips_is_closed(impatient: str) -> None:
    with connected(impatient) as opened:
        opened.sendall(HALF_A_BODY)
        assert _drips(opened, b"[[", pause=0.1)


def _drips(opened: socket.socket, data: bytes, pause: float) -> bool:
    """Send this again and again; True if the server ends it."""
    deadline = time.monotonic() + 30
    with suppress(ConnectionError):
        while time.monotonic() < deadline:
            opened.sendall(data)
            time.sleep(pause)
    return time.monotonic() < deadline


def test_a_slow_reader_gets_all_of_it(impatient: str) -> None:
    """Slower than the server's patience with silence, but never silent."""
    whole = requests.get(f"{impatient}{LARGE_PAGE}", headers={"Accept-Encoding": "identity"}, timeout=30).content
    with connected(impatient, receive_buffer=16384) as opened:
        opened.sendall(header("GET", LARGE_PAGE, connection="close"))
        began, got = time.monotonic(), b""
        while data := opened.recv(32768):
            got += data
            time.sleep(len(data) / 200_000)
    assert time.monotonic() - began > float(IMPATIENT["FL_SILENCE_SECONDS"])
    assert got.partition(b"\r\n\r\n")[2] == whole


def test_a_slow_sender_is_heard_to_the_end(impatient: str) -> None:
    body = b'{"username": "slow", "password": "a-Long-password-1"}' + b" " * 20_000
    with connected(impatient) as opened:
        opened.sendall(header("POST", "/api/users/", content_type="application/json", content_length=len(body)))
        for start in range(0, len(body), 1000):
            opened.sendall(body[start : start + 1000])
            time.sleep(0.2)
        assert read_reply(opened).status == 201


def test_a_kept_connection_may_be_idle_for_longer_than_a_header_may_take(impatient: str) -> None:
    with connected(impatient) as opened:
        opened.sendall(header("GET", "/api/users/"))
        assert read_reply(opened).status == 401
        time.sleep(float(IMPATIENT["FL_HEADER_SECONDS"]) + 2)
        opened.sendall(header("GET", "/api/users/"))
        assert read_reply(opened).status == 401
        opened.sendall(b"GET")  # from here on, it is a header
        assert wait_for_end(opened) == b""


def test_an_address_has_no_more_connections_than_it_may(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "var", environment={"FL_MAX_CONNECTIONS_PER_ADDRESS": "3"}) as server:
        with strangers(server.base_url, HALF_A_HEADER, 3), connected(server.base_url) as fourth:
            assert wait_for_end(fourth) == b""
        wait_until("the others to be gone", lambda: _answers(server.base_url), 30)


def _answers(url: str) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(f"{url}/api/users/", timeout=30).status_code == 401
    return False


def test_when_all_places_are_taken_who_has_waited_longest_makes_room(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path / "var", environment={"FL_MAX_CONNECTIONS": "20"}) as server,
        strangers(server.base_url, HALF_A_HEADER, 20) as held,
    ):
        assert ask(server.base_url, header("GET", "/api/users/")).status == 401
        assert wait_for_end(held[0]) == b""
        assert not _has_ended(held[-1])


def test_when_all_places_are_taken_readers_that_do_not_read_make_room(tmp_path: Path) -> None:
    with (
        ServerProcess(tmp_path / "var", environment={"FL_MAX_CONNECTIONS": "20"}) as server,
        strangers(server.base_url, NO_READER, 20) as held,
    ):
        for one in held:
            assert one.recv(10)
        wait_until("a place", lambda: _answers(server.base_url), 30)


def test_a_stop_lets_requests_downloads_and_uploads_come_to_their_end(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "var") as server, ThreadPoolExecutor(3) as threads:
        url = server.base_url
        authorization = {"Authorization": f"Token {register(url)}"}
        told = threading.Event()
        poll = threads.submit(requests.get, f"{url}/api/notifications/?wait=4", headers=authorization, timeout=60)
        reader = threads.submit(_read_until, url, told)
        sender = threads.submit(_send_until, url, authorization["Authorization"], told)
        with strangers(url, HALF_A_BODY, 3):
            time.sleep(1.5)
            server.process.send_signal(signal.SIGTERM)
            told.set()
            assert poll.result().status_code == 200
            assert reader.result() > 1_500_000
            assert sender.result() == 400
            assert server.process.wait(30) == 0
        assert server.errors() == ""


def _read_until(url: str, told: threading.Event) -> int:
    """Download, the rest of it once told; the bytes that came."""
    with connected(url, receive_buffer=4096) as opened:
        opened.sendall(header("GET", LARGE_PAGE, connection="close"))
        size = len(opened.recv(1000))
        told.wait(30)
        time.sleep(0.5)
        return size + len(wait_for_end(opened))


def _send_until(url: str, authorization: str, told: threading.Event) -> int:
    """Upload, the rest of it once told; the status."""
    size = 1_000_000
    with connected(url) as opened:
        kind = "multipart/form-data; boundary=x"
        opened.sendall(
            header("POST", "/api/models/", authorization=authorization, content_type=kind, content_length=size)
        )
        opened.sendall(b"x" * 500_000)
        told.wait(30)
        time.sleep(0.5)
        opened.sendall(b"x" * 500_000)
        return read_reply(opened).status
