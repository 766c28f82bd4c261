"""How large a body may be, by who sends it and where to: decided at its header, on real sockets to a real server."""

from __future__ import annotations

import base64
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
import requests

from tests.builders.files import scripted_linear
from tests.builders.waiting import wait_until
from tests.house.front.sockets import Reply, ask, connected, header, read_reply, wait_for_end
from tests.server_process import ServerProcess

pytestmark = pytest.mark.once

KILOBYTE, MEGABYTE = 1024, 1024 * 1024
SETTINGS = {"FL_MAX_REQUEST_MB": "4", "FL_MAX_UPLOAD_MB": "6"}
ACCOUNT = {"username": "anna", "password": "a-Long-password-1"}
SOME_ID = "2f9b3a5e-8d0c-4f36-9a55-0b1f7d3d3c11"
PLAIN = ["/api/users/", "/api/groups/", f"/api/models/{SOME_ID}/metrics/", "/api/nothing/", "/admin/login/"]
FILES = [
    "/api/models/",
    "/api/models",
    f"/api/models/{SOME_ID}/",
    f"/api/models/{SOME_ID}/swag/",
    f"/api/models/{SOME_ID}/preprocessing/",
    f"/api/trainings/{SOME_ID}/rounds/count/",
]
CLASSES = [
    *((path, 2) for path in PLAIN),
    ("/api/inference/", 4),
    *((path, 6) for path in FILES),
]


class Running:
    """A server, its folder, and an account on it."""

    def __init__(self, server: ServerProcess) -> None:
        self.url = server.base_url
        self.folder = server.data_dir
        self.pid = server.pid
        self.token = self.register(ACCOUNT["username"])

    def register(self, name: str) -> str:
        made = requests.post(f"{self.url}/api/users/", json={**ACCOUNT, "username": name}, timeout=30)
        assert made.status_code == 201, made.text
        return str(made.json()["token"])

    def stored(self) -> int:
        """Bytes of all files in the folder but for the database and logs, those without a name included."""
        named = [path for path in self.folder.rglob("*") if path.is_file() and path.parent.name != "logs"]
        sizes = [path.stat().st_size for path in named if not path.name.startswith("db.sqlite3")]
        for child in psutil.Process(self.pid).children():
            for descriptor in Path(f"/proc/{child.pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    if str(descriptor.readlink()).startswith(f"{self.folder}/tmp/"):
                        sizes.append(descriptor.stat().st_size)
        return sum(sizes)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with ServerProcess(tmp_path_factory.mktemp("limits") / "var", environment=SETTINGS) as server:
        yield Running(server)
        assert server.stop() == 0
        assert server.errors() == ""


def at_header(running: Running, path: str, size: int, **fields: object) -> Reply:
    """What a client hears that asks before it sends."""
    return ask(running.url, header("POST", path, content_length=size, expect="100-continue", **fields))


def assert_refused(reply: Reply, path: str, most: str) -> None:
    assert reply.status == 413
    assert reply.headers["connection"] == "close"
    if path.startswith("/api/"):
        assert reply.headers["content-type"] == "application/json"
        assert reply.json["detail"].startswith(f"The request is larger than {most}")
    else:
        assert reply.headers["content-type"].startswith("text/plain")
        assert reply.body.startswith(f"The request is larger than {most}".encode())


@pytest.mark.parametrize(("path", "megabytes"), CLASSES)
def test_each_class_of_path_has_its_limit_at_the_header(running: Running, path: str, megabytes: int) -> None:
    most, authorization = megabytes * MEGABYTE, f"Token {running.token}"
    assert at_header(running, path, most, authorization=authorization).status == 100
    assert_refused(at_header(running, path, most + 1, authorization=authorization), path, f"{megabytes} MB")
    assert at_header(running, path, 64 * KILOBYTE).status == 100
    assert_refused(at_header(running, path, 64 * KILOBYTE + 1), path, "64 KB")


@pytest.mark.parametrize("path", ["/api-auth/login/", "/admin/login/", "/static/admin/css/base.css", "/nothing"])
def test_pages_refuse_in_plain_text(running: Running, path: str) -> None:
    assert_refused(at_header(running, path, 200 * MEGABYTE), path, "2 MB")
    assert_refused(at_header(running, path, MEGABYTE), path, "64 KB")


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


MADE_UP = {
    "a token": {"authorization": "Token " + "0" * 40},
    "a null": {"authorization": basic("a\0", "b\0")},
    "a password": {"authorization": basic(ACCOUNT["username"], "wrong")},
    "nobody": {"authorization": basic("nobody", "wrong")},
    "no base64": {"authorization": "Basic ***"},
    "another scheme": {"authorization": "Bearer x"},
    "a session": {"cookie": "sessionid=abcdefghijklmnopqrstuvwxyz012345"},
    "an odd session": {"cookie": 'sessionid="\\000"; a=b'},
}


@pytest.mark.parametrize("fields", MADE_UP.values(), ids=MADE_UP.keys())
def test_made_up_credentials_lift_nothing(running: Running, fields: dict[str, str]) -> None:
    assert_refused(at_header(running, "/api/models/", MEGABYTE, **fields), "/api/", "64 KB")


def test_passwords_tokens_as_names_and_sessions_are_credentials(running: Running) -> None:
    with requests.Session() as session:
        page = session.get(f"{running.url}/api-auth/login/", timeout=30)
        assert page.status_code == 200
        form = {**ACCOUNT, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
        login = session.post(f"{running.url}/api-auth/login/", form, timeout=30, allow_redirects=False)
        assert login.status_code == 302
        cookie = f"sessionid={session.cookies['sessionid']}"
    good = [
        {"authorization": basic(ACCOUNT["username"], ACCOUNT["password"])},
        {"authorization": basic(running.token, "")},
        {"cookie": cookie},
    ]
    assert [at_header(running, "/api/models/", MEGABYTE, **fields).status for fields in good] == [100] * 3
    execute(running, "UPDATE fl_server_core_user SET is_active = 0 WHERE username = 'anna'")
    try:
        for fields in good:
            assert_refused(at_header(running, "/api/models/", MEGABYTE, **fields), "/api/", "64 KB")
    finally:
        execute(running, "UPDATE fl_server_core_user SET is_active = 1 WHERE username = 'anna'")


def execute(running: Running, statement: str) -> None:
    with closing(sqlite3.connect(running.folder / "db.sqlite3", timeout=20)) as connection, connection:
        assert connection.execute(statement).rowcount == 1


@pytest.mark.parametrize("path", ["/api/models/", "/api/users/", "/admin/login/", "/api-auth/login/"])
def test_a_stranger_stores_nothing_above_64_kilobytes(running: Running, path: str) -> None:
    before = running.stored()
    kind = "multipart/form-data; boundary=b"
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
    with connected(running.url) as opened:
        opened.sendall(header("POST", path, content_type=kind, content_length=50 * MEGABYTE) + head)
        sent = 0
        with suppress(ConnectionError):
            for _ in range(50):
                opened.sendall(bytes(MEGABYTE))
                sent += MEGABYTE
                assert running.stored() <= before + 64 * KILOBYTE
        assert read_reply(opened).status == 413
    assert running.stored() == before


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.mark.parametrize(
    ("path", "is_known", "most"),
    [
        ("/api/models/", False, 64 * KILOBYTE),
        ("/api/groups/", True, 2 * MEGABYTE),
        ("/api/inference/", True, 4 * MEGABYTE),
        ("/api/models/", True, 6 * MEGABYTE),
    ],
)
def test_chunks_are_counted_as_they_arrive(running: Running, path: str, is_known: bool, most: int) -> None:
    fields = {"authorization": f"Token {running.token}"} if is_known else {}
    piece = bytes(32 * KILOBYTE)
    with connected(running.url) as opened:
        opened.sendall(header("POST", path, transfer_encoding="chunked", **fields))
        for _ in range(most // len(piece)):
            opened.sendall(chunk(piece))
        assert not has_answered(opened)
        opened.sendall(chunk(b"x"))
        assert read_reply(opened).status == 413


def has_answered(opened: object) -> bool:
    time.sleep(0.5)
    opened.setblocking(False)  # type: ignore[attr-defined]
    try:
        opened.recv(1, 2)  # type: ignore[attr-defined]  # MSG_PEEK
    except BlockingIOError:
        return False
    finally:
        opened.settimeout(30)  # type: ignore[attr-defined]
    return True


def test_a_model_in_chunks_is_a_model(running: Running) -> None:
    parts = [
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\nm\r\n' % name for name in (b"name", b"description")
    ]
    parts.append(b'--b\r\nContent-Disposition: form-data; name="model_file"; filename="m.pt"\r\n\r\n')
    parts += [scripted_linear(), b"\r\n--b--\r\n"]
    answer = requests.post(
        f"{running.url}/api/models/",
        data=iter(parts),
        headers={"Authorization": f"Token {running.token}", "Content-Type": "multipart/form-data; boundary=b"},
        timeout=30,
    )
    assert (answer.status_code, answer.json()["detail"]) == (201, "Model Upload Accepted")


def test_a_client_that_sends_all_before_it_listens_hears_the_refusal(running: Running) -> None:
    with connected(running.url) as opened:
        opened.sendall(header("POST", "/api/users/", content_length=3 * MEGABYTE) + bytes(3 * MEGABYTE))
        assert_refused(read_reply(opened), "/api/", "2 MB")
        assert wait_for_end(opened) == b""


def test_an_upload_that_is_given_up_leaves_nothing(running: Running) -> None:
    before = running.stored()
    with connected(running.url) as opened:
        opened.sendall(
            header("POST", "/api/models/", authorization=f"Token {running.token}", content_length=6 * MEGABYTE)
        )
        opened.sendall(bytes(3 * MEGABYTE))
        wait_until("a part to be stored", lambda: running.stored() > before, 30)
    wait_until("nothing to be left", lambda: running.stored() == before, 30)
    assert list((Path(running.folder) / "tmp").iterdir()) == []


def test_json_beside_files_is_no_larger_than_elsewhere(running: Running) -> None:
    answer = requests.post(
        f"{running.url}/api/models/",
        data=b"[" + b"[]," * (MEGABYTE) + b"[]]",
        headers={"Authorization": f"Token {running.token}", "Content-Type": "application/json"},
        timeout=30,
    )
    assert (answer.status_code, answer.json()) == (413, {"detail": "The request is larger than 2 MB."})


def test_who_guesses_hears_when_to_try_again(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "var", environment={"FL_SIGN_IN_FAILURES": "2"}) as server:
        running = Running(server)
        guess = {"authorization": basic(ACCOUNT["username"], "wrong")}
        replies = [at_header(running, "/api/models/", MEGABYTE, **guess) for _ in range(3)]
        assert [reply.status for reply in replies] == [413, 413, 429]
        assert int(replies[2].headers["retry-after"]) > 0
        assert replies[2].json["detail"].startswith("Too many failed attempts to sign in.")
        assert at_header(running, "/api/models/", MEGABYTE, authorization=f"Token {running.token}").status == 100
