"""`manage.py serve`, as a process."""

import http.client
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil
import pytest
import requests

from fl_server.management.commands.serve import is_loopback
from fl_server.processes.web import Server
from fl_server_ai.sandbox import summary
from tests.builders.waiting import wait_until
from tests.memory import anonymous_memory
from tests.server_process import ServerProcess, run_manage, server_environment

pytestmark = pytest.mark.once


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "var"


def test_a_new_folder_is_all_it_takes_to_serve_api_admin_and_static_files(data_dir: Path) -> None:
    with ServerProcess(data_dir) as server:
        assert server.process.stdout is not None
        assert server.process.stdout.readline().rstrip() == summary()
        assert requests.get(f"{server.base_url}/api/users/", timeout=30).status_code == 401
        login = requests.get(f"{server.base_url}/admin/", timeout=30)
        assert login.status_code == 200
        assert "csrfmiddlewaretoken" in login.text
        style = requests.get(f"{server.base_url}/static/admin/css/base.css", timeout=30)
        assert style.headers["Content-Type"].startswith("text/css")
        swagger = "drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js"
        assert requests.head(f"{server.base_url}/static/{swagger}", timeout=30).status_code == 200
    assert (data_dir / "db.sqlite3").exists()


def test_every_option_is_one_that_gunicorn_has() -> None:
    server = Server(host="127.0.0.1", port=0, threads=1, workers=1, on_listening=lambda _host, _port: None)
    assert {name: server.cfg.settings[name].get() for name in ("threads", "control_socket_disable")} == {
        "threads": 1,
        "control_socket_disable": True,
    }


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_when_told_to(data_dir: Path, with_signal: signal.Signals) -> None:
    with ServerProcess(data_dir) as server:
        children = psutil.Process(server.pid).children(recursive=True)
        # A kept-alive connection without a request must not hold up the end.
        with requests.Session() as session:
            session.get(f"{server.base_url}/admin/", timeout=30)
            assert server.stop(with_signal) == 0
        assert children
        assert not any(child.is_running() for child in children)
        assert server.errors() == ""


def test_a_second_server_on_the_same_folder_is_refused_with_a_sentence(data_dir: Path) -> None:
    with ServerProcess(data_dir):
        second = run_manage("serve", "--port", "0", environment=server_environment(data_dir))
    assert second.returncode == 1
    assert second.stdout == ""
    assert second.stderr.startswith(f"CommandError: Another server is running on the data folder {data_dir}")
    assert "Traceback" not in second.stderr


def test_a_server_that_was_killed_can_be_started_again_at_once(data_dir: Path) -> None:
    with ServerProcess(data_dir) as server:
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with ServerProcess(data_dir) as server:
        assert requests.get(f"{server.base_url}/admin/", timeout=30).status_code == 200


def test_a_worker_that_was_killed_is_replaced(data_dir: Path) -> None:
    with ServerProcess(data_dir) as server:
        [worker] = psutil.Process(server.pid).children()
        worker.kill()
        # The connection waits in the queue of the listening socket, which the first process holds.
        assert requests.get(f"{server.base_url}/admin/", timeout=60).status_code == 200
        assert [child.pid for child in psutil.Process(server.pid).children()] != [worker.pid]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_it_listens_beyond_loopback_with_development_settings_only_if_it_is_told_to(data_dir: Path, host: str) -> None:
    done = run_manage("serve", "--host", host, "--port", "0", environment=server_environment(data_dir))
    assert done.returncode == 1
    for part in (host, "fl_server.settings.production", "--allow-development"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (["--host", "127.0.0.2", "--allow-development"], {}),
        (["--host", "127.0.0.2"], {}),
        (["--host", "localhost"], {}),
        (["--host", "127.0.0.2"], {"DJANGO_SETTINGS_MODULE": "fl_server.settings.production"}),
    ],
)
def test_it_listens_on_loopback_with_any_settings(
    data_dir: Path, arguments: list[str], environment: dict[str, str]
) -> None:
    names = {"FL_DJANGO_ALLOWED_HOSTS": "127.0.0.2"}
    with ServerProcess(data_dir, *arguments, environment=names | environment) as server:
        assert requests.get(f"{server.base_url}/api/users/", timeout=30).status_code == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_is_what_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)


def test_more_processes_than_one_are_refused_without_a_broker(data_dir: Path) -> None:
    done = run_manage("serve", "--workers", "2", environment=server_environment(data_dir))
    assert done.returncode == 1
    assert "FL_REDIS_HOST" in done.stderr


@pytest.mark.parametrize("arguments", [["--threads", "0"], ["--port", "65536"], ["--workers", "0"]])
def test_arguments_that_make_no_sense_are_refused(data_dir: Path, arguments: list[str]) -> None:
    done = run_manage("serve", *arguments, environment=server_environment(data_dir))
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError")


def test_a_port_that_is_taken_is_named(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run_manage("serve", "--port", str(port), environment=server_environment(data_dir))
    assert done.returncode == 1
    assert f"CommandError: Can't listen on 127.0.0.1 port {port}: Address already in use." in done.stderr
    assert "Traceback" not in done.stderr


def test_a_malformed_setting_is_a_sentence_with_an_id(data_dir: Path) -> None:
    environment = server_environment(data_dir) | {"FL_WEB_THREADS": "many"}
    done = run_manage("serve", "--port", "0", environment=environment)
    assert done.returncode == 1
    assert "fl_server.E003" in done.stderr
    assert "FL_WEB_THREADS must be a whole number" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_does_not_answer_is_a_sentence(data_dir: Path) -> None:
    environment = server_environment(data_dir) | {"FL_POSTGRES_HOST": "127.0.0.1", "FL_POSTGRES_PORT": "1"}
    done = run_manage("serve", "--port", "0", environment=environment)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: The database cannot be used")
    assert "Traceback" not in done.stderr


def test_an_upload_goes_to_the_disk_and_not_into_memory(data_dir: Path) -> None:
    size = 128 * 1024 * 1024
    with ServerProcess(data_dir) as server:
        user = {"username": "anna", "password": "a-Long-password-1"}
        made = requests.post(f"{server.base_url}/api/users/", json=user, timeout=30)
        head, tail = b"".join(form_field("name", b"m") + form_field("description", b"d")), b"\r\n--x--\r\n"
        head += b"".join(form_field("model_file", b"", ' filename="m.pt"'))[:-2]
        sizes: list[int] = []

        def body() -> Iterator[bytes]:
            yield head
            for _ in range(size >> 20):
                yield bytes(1 << 20)
                sizes.append(memory_of_children(server.pid))
            yield tail

        # Not by `requests`, which would send an iterator in chunks.
        connection = http.client.HTTPConnection(server.base_url.removeprefix("http://"), timeout=120)
        headers = {
            "Authorization": f"Token {made.json()['token']}",
            "Content-Type": "multipart/form-data; boundary=x",
            "Content-Length": str(len(head) + size + len(tail)),
        }
        with closing(connection):
            connection.request("POST", "/api/models/", body(), headers)
            answer = connection.getresponse()
            assert answer.status == 400
            assert b"Invalid model file" in answer.read()
        assert max(sizes) - sizes[0] < 32 * 1024 * 1024
        # It goes with the request, which the server closes when it has answered.
        wait_until("the upload to be removed", lambda: not list((data_dir / "tmp").iterdir()), 30)


def form_field(name: str, value: bytes, parameters: str = "") -> list[bytes]:
    disposition = f'--x\r\nContent-Disposition: form-data; name="{name}";{parameters}\r\n\r\n'
    return [disposition.encode(), value, b"\r\n"]


def memory_of_children(pid: int) -> int:
    """Of the processes that a server forked, in bytes."""
    return sum(anonymous_memory(child.pid) for child in psutil.Process(pid).children())


def test_a_charset_that_decodes_no_text_is_no_error_of_the_server(data_dir: Path) -> None:
    with ServerProcess(data_dir) as server:
        headers = {"Content-Type": "application/json; charset=zlib"}
        assert requests.get(f"{server.base_url}/api/users/?a=1", headers=headers, timeout=30).status_code == 401


def test_a_folder_that_others_can_enter_shows_them_nothing(data_dir: Path) -> None:
    data_dir.mkdir(mode=0o755)
    with ServerProcess(data_dir) as server:
        assert server.base_url
        assert {
            path.name: path.stat().st_mode & 0o077 for path in data_dir.iterdir() if path.stat().st_mode & 0o077
        } == {}


def test_the_bare_address_leads_to_the_api_s_pages(data_dir: Path) -> None:
    with ServerProcess(data_dir) as server:
        assert requests.get(f"{server.base_url}/", timeout=30).url.endswith("/sign-in/?next=/")


def test_the_threads_that_may_wait_are_half_of_those_that_there_are(data_dir: Path) -> None:
    account = {"username": "poller", "password": "a-good-password"}
    with ServerProcess(data_dir, "--threads", "2") as server:
        url = f"{server.base_url}/api"
        registered = requests.post(f"{url}/users/", json={**account, "message_endpoint": ""}, timeout=30)
        assert registered.status_code == 201, registered.text
        login = (account["username"], account["password"])
        poll = partial(requests.get, f"{url}/notifications/?wait=20", auth=login, timeout=60)
        with ThreadPoolExecutor(3) as threads:
            waiting = [threads.submit(poll) for _ in range(3)]
            wait_until("all but one to be answered", lambda: sum(one.done() for one in waiting) == 2, 15)
            assert requests.get(f"{url}/users/myself/", auth=login, timeout=30).status_code == 200
            assert sum(one.done() for one in waiting) == 2
            server.stop()


def test_at_a_stop_who_waits_is_answered_and_who_comes_meanwhile_is_served(data_dir: Path) -> None:
    account = {"username": "poller", "password": "a-good-password"}
    with ServerProcess(data_dir, environment={"FL_DRAIN_SECONDS": "10"}) as server:
        url = f"{server.base_url}/api"
        requests.post(f"{url}/users/", json={**account, "message_endpoint": ""}, timeout=30).raise_for_status()
        login = (account["username"], account["password"])
        poll = partial(requests.get, f"{url}/notifications/?wait=25", auth=login, timeout=60)
        with ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(poll)
            wait_until("the request to wait", lambda: is_connected(server), 15)
            server.process.send_signal(signal.SIGTERM)
            answer = waiting.result(60)  # now, and not when its 25 seconds are over
        assert (answer.status_code, answer.json(), answer.headers["Connection"]) == (200, [], "close")
        late = requests.get(f"{url}/users/myself/", auth=login, timeout=30)
        assert (late.status_code, late.headers["Connection"]) == (200, "close")
        ready = requests.get(f"{server.base_url}/readyz", timeout=30)  # so that a load balancer sends no more
        assert (ready.status_code, ready.json()["status"], ready.json()["failing"]) == (503, "stopping", [])
        assert requests.get(f"{server.base_url}/livez", timeout=30).status_code == 200
        assert poll().json() == []  # nobody begins to wait any more
        assert server.process.wait(60) == 0


def is_connected(server: ServerProcess) -> bool:
    """Does a client have a connection to the process that serves?"""
    [worker, *_] = psutil.Process(server.pid).children()
    return any(one.status == psutil.CONN_ESTABLISHED and one.raddr for one in worker.net_connections("tcp"))
