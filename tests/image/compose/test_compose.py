"""docker-compose.yml, run by Docker: every service, a training of invited participants, a crash, a new version."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from fl_server_client import Actor

from fl_server_demo.digits import build_model
from tests.builders.waiting import wait_until
from tests.image.compose.docker import engine, missing
from tests.image.compose.stack import PASSWORD, PATIENCE, PROXY, SERVICES, Stack, stack

PARTICIPANTS = 2
ROUNDS = 6
WEB = "http://127.0.0.1:8000"
NEW_VERSION = "0.1.0-next"

pytestmark = [pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if lacking := missing():
        reason = f"Docker can't run here, it lacks: {', '.join(lacking)}"
        assert "REQUIRE_SERVICES" not in os.environ, reason
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("compose")
    with engine(tmp_path_factory.mktemp("engine")) as docker, stack(docker, folder) as running:
        running.wait_until_healthy()
        yield running


@pytest.fixture(scope="module")
def secured(services: Stack) -> httpx.HTTPTransport:
    """Speaks TLS with the proxy, whose own authority it trusts."""
    root = services.folder / "root.crt"
    root.write_text(services.inside("caddy", "cat", "/data/caddy/pki/authorities/local/root.crt").stdout)
    return httpx.HTTPTransport(verify=ssl.create_default_context(cafile=str(root)))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text[:26].rstrip("Z"))


def test_all_start_in_their_order_once_the_database_is_up_to_date(services: Stack) -> None:
    states = services.states()
    assert set(SERVICES) <= states.keys()
    done = states["migrate"]["State"]
    assert (done["Status"], done["ExitCode"]) == ("exited", 0)
    for name in ("web", "worker", "notifier", "control", "beat"):
        assert moment(states[name]["State"]["StartedAt"]) >= moment(done["FinishedAt"]), name
        assert states[name]["RestartCount"] == 0, services.logs()
    ready = httpx.get(f"{WEB}/readyz?strict", trust_env=False)
    assert ready.status_code == 200, ready.text


def test_no_service_writes_anywhere_but_to_its_volumes(services: Stack) -> None:
    for name in SERVICES:
        refused = services.inside(name, "touch", "/new", check=False)
        assert "Read-only file system" in refused.stderr, name


def test_the_proxy_speaks_tls_and_hides_the_figures_which_prometheus_reads(
    services: Stack, secured: httpx.HTTPTransport
) -> None:
    with httpx.Client(base_url="https://localhost", transport=secured, trust_env=False) as client:
        assert client.get("/readyz").json()["status"] == "ok"
        assert client.get("/metrics").status_code == 404
    assert httpx.get("http://localhost/readyz", trust_env=False).status_code == 308
    assert services.states()["caddy"]["NetworkSettings"]["Networks"]["fl-test_default"]["IPAddress"] == PROXY
    wait_until(
        "Prometheus to have read the figures", lambda: prometheus("targets")["activeTargets"][0]["health"] == "up"
    )
    assert {group["name"] for group in prometheus("rules")["groups"]}


def prometheus(about: str) -> dict[str, Any]:
    return dict(httpx.get(f"http://127.0.0.1:9090/api/v1/{about}", trust_env=False).json()["data"])


def test_participants_reach_the_server_and_no_store(services: Stack) -> None:
    look = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    for host, port, reached in (("web", "8000", True), ("postgres", "5432", False), ("redis", "6379", False)):
        words = ["run", "--rm", "--network", "fl-participants", "fl-server", "python3", "-c", look, host, port]
        assert (services.docker.run(*words, check=False).returncode == 0) is reached, host


def test_a_training_goes_on_through_a_crash_of_each_service_and_a_new_version(
    services: Stack, secured: httpx.HTTPTransport
) -> None:
    services.make_actor("actor")
    services.add_participants(PARTICIPANTS)
    key = token("actor")
    with Actor("https://localhost", token=key, transport=secured) as actor:
        training = start(actor, services)
        reach(actor, training, 1, services)
        crash(services, "worker", "redis", "web", "postgres")
        reach(actor, training, 3, services)
        upgrade(services)
        wait_until("the training to end", lambda: actor.training(training)["state"] in "CE", PATIENCE, pause=0.5)
        found = actor.training(training)
        assert found["state"] == "C", services.logs()
        history = actor.history(training)
        assert [event["round"] for event in history if event["kind"] == "aggregated"] == list(range(ROUNDS))
        accuracy = actor.metrics(found["model"], "accuracy")[ROUNDS]
        assert len(accuracy) == PARTICIPANTS
        assert min(accuracy.values()) > 0.5


def start(actor: Actor, services: Stack) -> str:
    """A training of all participants, who agree to it."""
    wait_until("participants to register", lambda: len(people(actor)) == PARTICIPANTS, pause=0.5)
    model = actor.upload_model(build_model(1), "digits", input_shape=(None, 64))
    options = {"epochs": 1, "lr": 0.1}
    training = actor.create_training(model, rounds=ROUNDS, participants=people(actor), options=options)
    wait_until(
        f"participants to agree\n{services.logs()}",
        lambda: len(actor.training(training)["participants"]) == PARTICIPANTS,
        pause=0.5,
    )
    actor.start(training)
    return training


def people(actor: Actor) -> list[str]:
    return [str(user["id"]) for user in actor.users() if user["username"].startswith("participant-")]


def token(username: str) -> str:
    """The token of a person who signs in at the published port."""
    with httpx.Client(base_url=f"{WEB}/api/users", auth=(username, PASSWORD), timeout=60, trust_env=False) as client:
        (own,) = (user["id"] for user in client.get("/").json() if user["username"] == username)
        return str(client.get(f"/{own}/").json()["token"])


def reach(actor: Actor, training: str, number: int, services: Stack) -> None:
    model = actor.training(training)["model"]
    wait_until(f"round {number}", lambda: actor.round_of(training, model) >= number, PATIENCE, pause=0.2)


def crash(services: Stack, *names: str) -> None:
    """Kill processes behind the engine's back: it must start them again by itself."""
    before = services.states()
    for name in names:
        os.kill(before[name]["State"]["Pid"], signal.SIGKILL)
    wait_until(
        f"{names} to start again",
        lambda: all(services.states()[name]["RestartCount"] > before[name]["RestartCount"] for name in names),
        pause=1,
    )


def upgrade(services: Stack) -> None:
    """Give the name of the image to another, and start it as docs/deployment.md says."""
    before = services.states()
    made = services.docker.run("create", "fl-server").stdout.strip()
    label = f"LABEL org.opencontainers.image.version={NEW_VERSION}"
    services.docker.run("commit", "--change", label, made, "fl-server")
    services.up()
    services.wait_until_healthy()
    after = services.states()
    for name in ("migrate", "web", "worker", "notifier", "control", "beat"):
        assert after[name]["Config"]["Labels"]["org.opencontainers.image.version"] == NEW_VERSION, name
    for name in ("postgres", "redis"):
        assert after[name]["Id"] == before[name]["Id"], name
