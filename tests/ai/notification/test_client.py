"""One POST: what is sent, and what each kind of answer, or silence, comes to."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from fl_server_ai.notification import client
from fl_server_ai.notification.client import Accepted, NoAnswer, Outcome, Rejected
from tests.ai.notification.listener import PATIENCE, SECRET, closed_port, listening, misbehaving

PAYLOAD = {"notification_type": "CLIENT_REMOVED", "training_uuid": str(uuid4()), "body": {}}


def post(endpoint: str, seconds: float = PATIENCE, **changes: Any) -> Outcome:
    arguments = {"delivery_id": uuid4(), "secrets": [SECRET], "seconds": seconds}
    return client.post(endpoint, PAYLOAD, **{**arguments, **changes})


def no_answer_of(outcome: Outcome) -> NoAnswer:
    assert isinstance(outcome, NoAnswer)
    return outcome


def test_the_receiver_gets_json_with_its_length_and_the_id_of_the_delivery() -> None:
    identifier = uuid4()
    with listening() as listener:
        assert post(f"{listener.url}inbox?who=me", delivery_id=identifier) == Accepted(200)
    [heard] = listener.heard
    assert heard.path == "/inbox?who=me"
    assert heard.notification == PAYLOAD
    assert heard.headers["Content-Type"] == "application/json"
    assert heard.headers["Content-Length"] == str(len(heard.content))
    assert heard.headers["Transfer-Encoding"] is None
    assert heard.headers["X-Delivery-Id"] == str(identifier)
    assert heard.headers["Connection"] == "close"
    assert heard.headers["Host"] == f"127.0.0.1:{listener.port}"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_status_of_2xx_accepts(status: int) -> None:
    with listening(status=status) as listener:
        assert post(listener.url) == Accepted(status)


@pytest.mark.parametrize("status", [300, 301, 304, 400, 401, 404, 409, 410, 500, 501, 505])
def test_another_status_rejects(status: int) -> None:
    with listening(status=status) as listener:
        assert post(listener.url) == Rejected(status)


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_status_that_asks_for_patience_is_no_answer(status: int) -> None:
    with listening(status=status) as listener:
        assert post(listener.url) == NoAnswer(f"Status {status}.")


def test_a_redirect_is_not_followed() -> None:
    with listening() as other, listening(status=307, headers={"Location": other.url}) as listener:
        assert post(listener.url) == Rejected(307)
    assert other.heard == []


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    with listening() as listener:
        assert post(listener.url) == Accepted(200)


def test_each_delivery_has_a_connection_of_its_own() -> None:
    ports = []
    with listening() as listener:
        original = socket.create_connection

        def connect(*args: Any, **kwargs: Any) -> socket.socket:
            connection = original(*args, **kwargs)
            ports.append(connection.getsockname()[1])
            return connection

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(socket, "create_connection", connect)
            assert [post(listener.url), post(listener.url)] == [Accepted(200)] * 2
    assert len(set(ports)) == 2


def test_a_closed_port_is_no_answer() -> None:
    outcome = no_answer_of(post(f"http://127.0.0.1:{closed_port()}/"))
    assert "refused" in outcome.error
    assert not outcome.is_permanent


def test_a_name_that_is_not_known_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    outcome = no_answer_of(post("http://client-01:8101/"))
    assert outcome == NoAnswer("client-01 cannot be resolved: Name or service not known")


def test_a_resolver_that_hangs_does_not_outlast_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hang(*_args: object, **_kwargs: object) -> list[object]:
        over.wait(PATIENCE)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    assert post("http://client-01:8101/", 0.2) == NoAnswer("No answer within 0.2 seconds.")
    over.set()


def test_the_next_address_of_a_host_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    original = socket.getaddrinfo

    def two(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if host != b"client-01":
            return original(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with listening() as listener:
        assert post(f"http://client-01:{listener.port}/") == Accepted(200)
    assert listener.heard[0].headers["Host"] == f"client-01:{listener.port}"


@pytest.mark.parametrize(
    "endpoint",
    ["", "nowhere", "ftp://127.0.0.1/", "http://", "http://[::1/", "http://127.0.0.1:99999/", "http://a\x00b/"],
)
def test_an_endpoint_that_is_no_url_needs_no_second_try(endpoint: str) -> None:
    assert no_answer_of(post(endpoint)).is_permanent


def silent(_connection: socket.socket, over: threading.Event) -> None:
    over.wait(PATIENCE)


def dripping_header(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.0 200 OK\r\nX-Slow: ")
    while not over.wait(0.02):
        connection.sendall(b"a")


def patient_for_ever(connection: socket.socket, over: threading.Event) -> None:
    while not over.wait(0.02):
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")


@pytest.mark.parametrize("talk", [silent, dripping_header, patient_for_ever])
def test_the_deadline_holds_for_the_whole_of_an_attempt(
    talk: Callable[[socket.socket, threading.Event], None],
) -> None:
    with misbehaving(talk) as endpoint:
        assert post(endpoint, 0.4) == NoAnswer("No answer within 0.4 seconds.")


def dripping_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.0 409 Conflict\r\nContent-Length: 1000\r\n\r\n")
    while not over.wait(0.02):
        connection.sendall(b"a")


def endless_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.0 409 Conflict\r\n\r\n")
    while not over.is_set():
        connection.sendall(b"a" * 65536)


@pytest.mark.parametrize("talk", [dripping_body, endless_body])
def test_the_status_counts_however_the_body_comes(talk: Callable[[socket.socket, threading.Event], None]) -> None:
    with misbehaving(talk) as endpoint:
        assert post(endpoint, 0.4) == Rejected(409)


def gone(_connection: socket.socket, _over: threading.Event) -> None:
    pass


def no_http(connection: socket.socket, _over: threading.Event) -> None:
    connection.sendall(b"220 mail.example ESMTP\r\n")


def endless_header(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.0 200 OK\r\n")
    while not over.is_set():
        connection.sendall(b"X-More: " + b"a" * 1000 + b"\r\n")


@pytest.mark.parametrize("talk", [gone, no_http, endless_header])
def test_what_is_no_http_is_no_answer(talk: Callable[[socket.socket, threading.Event], None]) -> None:
    with misbehaving(talk) as endpoint:
        outcome = no_answer_of(post(endpoint))
    assert outcome.error
    assert not outcome.is_permanent


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a self-signed certificate for localhost and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("No openssl to make a certificate with.")
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    request = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run(
        [openssl, *request.split(), "-keyout", str(path), "-out", f"{path}.crt"], check=True, capture_output=True
    )
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The certificate, which this process trusts."""
    monkeypatch.setitem(os.environ, "SSL_CERT_FILE", str(certificate))
    client._tls_context.cache_clear()
    yield certificate
    client._tls_context.cache_clear()


def tls_of(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_https_reaches_a_receiver_whose_certificate_is_trusted(trusted: Path) -> None:
    with listening(tls_of(trusted)) as listener:
        assert post(f"https://localhost:{listener.port}/") == Accepted(200)
    assert json.loads(listener.heard[0].content) == PAYLOAD


def test_a_certificate_that_is_not_trusted_is_no_answer(certificate: Path) -> None:
    with listening(tls_of(certificate)) as listener:
        outcome = no_answer_of(post(f"https://localhost:{listener.port}/"))
    assert "certificate" in outcome.error.lower()
    assert listener.heard == []


def test_a_handshake_that_never_ends_does_not_outlast_the_deadline() -> None:
    with misbehaving(silent) as endpoint:
        outcome = post(endpoint.replace("http:", "https:"), 0.4)
    assert outcome == NoAnswer("No answer within 0.4 seconds.")
