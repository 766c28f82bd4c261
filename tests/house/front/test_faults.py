"""Applications that don't keep to the rules, behind the front: it answers or closes, and goes on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest
from pytest_django import Settings

from fl_server.front.answer import Answer
from fl_server.front.front import Front
from fl_server.front.limits import Limits
from tests.house.front.sockets import connected, header, read_reply, wait_for_end

pytestmark = pytest.mark.once

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LIMITS = Limits(header=20, silence=60, rate=0, connections=100, per_address=0)


@contextmanager
def served(
    application: WSGIApplication, at_once: Callable[[WSGIEnvironment], Answer | None] = lambda _environ: None
) -> Iterator[str]:
    """The front, with two threads for requests, in a thread of this process."""
    urls: list[str] = []
    ready = Event()
    control: list[Any] = []

    async def serve() -> None:
        told = asyncio.Event()
        front = Front(application, threads=2, limits=LIMITS, at_once=at_once)
        server = await asyncio.get_running_loop().create_server(front.connect, "127.0.0.1", 0)
        urls.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        control.extend([asyncio.get_running_loop(), told])
        ready.set()
        await told.wait()
        server.close()
        await front.stop(5)

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(30)
    try:
        yield urls[0]
    finally:
        control[0].call_soon_threadsafe(control[1].set)
        thread.join(30)


def saying(*headers: tuple[str, str], content: Iterable[bytes] = (b"abc",), status: str = "200 OK") -> WSGIApplication:
    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, list(headers))
        return content

    return application


def problems(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged besides the requests."""
    return [record for record in caplog.records if record.name != "fl_server.access"]


def raising(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize(
    "application",
    [raising, saying(("X", "a\r\nb")), saying(("Ü", "a")), saying(("X", "\u20ac"))],
    ids=["raises", "two lines", "odd name", "odd value"],
)
def test_what_cannot_be_sent_is_a_500_and_is_logged(
    application: WSGIApplication, caplog: pytest.LogCaptureFixture
) -> None:
    with served(application) as url, connected(url) as opened:
        opened.sendall(header("GET", "/api/x/"))
        reply = read_reply(opened)
        sentence = "The server has made an error. It is in the server's log, under the request "
        assert (reply.status, reply.json["detail"]) == (500, f"{sentence}{reply.headers['x-request-id']}.")
    assert [record.levelno for record in problems(caplog)] == [logging.ERROR]


@pytest.mark.parametrize("size", [2, 4, 1_000_000])
def test_a_length_that_is_not_the_content_s_ends_the_connection(size: int, caplog: pytest.LogCaptureFixture) -> None:
    with served(saying(("Content-Length", str(size)))) as url, connected(url) as opened:
        opened.sendall(header("GET", "/"))
        assert wait_for_end(opened) == b""
    assert [record.levelno for record in problems(caplog)] == [logging.ERROR]


@pytest.mark.parametrize("size", [0, 10, 70_000, 3_000_000])
def test_content_of_any_size_arrives_whole(size: int) -> None:
    pieces = [b"x" * min(65_536, size - start) for start in range(0, size, 65_536)]
    with served(saying(content=pieces)) as url, connected(url) as opened:
        for _ in range(2):
            opened.sendall(header("GET", "/"))
            assert read_reply(opened).body == b"x" * size


def test_a_file_that_is_shorter_than_promised_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "10")])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](open("/dev/null", "rb"))  # noqa: SIM115
        return wrapped

    with served(application) as url, connected(url) as opened:
        opened.sendall(header("GET", "/"))
        assert wait_for_end(opened).endswith(b"\r\n\r\n")
    assert [record.getMessage() for record in problems(caplog)] == ["An answer broke off."]


def test_what_is_refused_at_once_needs_no_thread_however_much_of_it_comes() -> None:
    blocked = Event()

    def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        blocked.wait(60)
        start_response("200 OK", [])
        return [b"slow"]

    def at_once(environ: WSGIEnvironment) -> Answer | None:
        return Answer(429, "Too Many Requests", [("Content-Length", "0")]) if environ["PATH_INFO"] == "/guess" else None

    with served(application, at_once) as url, connected(url) as one, connected(url) as other, connected(url) as third:
        for waiting in (one, other):
            waiting.sendall(header("GET", "/"))
        third.sendall(header("GET", "/guess") * 1500)  # more than Python's functions may call each other
        assert {read_reply(third).status for _ in range(1500)} == {429}
        blocked.set()
        assert [read_reply(waiting).body for waiting in (one, other)] == [b"slow", b"slow"]


def test_a_body_that_the_disk_does_not_take_is_a_503_and_one_warning(
    caplog: pytest.LogCaptureFixture, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = "/nowhere"
    monkeypatch.setattr("fl_server.front.body.BLOCK_BYTES", 1000)
    body = b"x" * 30_000
    with served(saying()) as url, connected(url) as opened:
        opened.sendall(header("POST", "/api/x/", content_length=len(body)))
        with suppress(OSError):
            opened.sendall(body)
        reply = read_reply(opened)
        assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    [record] = problems(caplog)
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
