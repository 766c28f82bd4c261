"""A server that is backed up while it works, then lost, then restored: its trainings end as if nothing had happened."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch
from django.conf import settings
from fl_server_client import Notification, ParticipantClient, Refused

from tests.builders.files import linear, noisy, saved
from tests.builders.waiting import wait_until
from tests.e2e.people import People, Worker
from tests.e2e.sites import Site, execute, fresh_database
from tests.faults.harness.ledger import Ledger, PostgresDatabase, SqliteDatabase
from tests.object_store import object_store
from tests.server_process import ServerProcess, run_manage, server_environment

PARTICIPANTS = 3
ROUNDS = 3
BACKED_UP_IN, LOST_IN = 1, 2
UPDATES = {
    (number, told): saved(noisy(linear(0.1), 100 * number + told))
    for number in range(PARTICIPANTS)
    for told in range(ROUNDS)
}
"""By participant and round."""
pytestmark = pytest.mark.timeout(600)


@dataclass
class Place:
    """Where a server keeps its things: a data folder, and on PostgreSQL a database of its own."""

    data: Path
    connection: dict[str, Any] | None
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        own = {}
        if self.connection:
            own = {
                "FL_POSTGRES_HOST": self.connection["host"],
                "FL_POSTGRES_PORT": str(self.connection["port"]),
                "FL_POSTGRES_USER": self.connection["user"],
                "FL_POSTGRES_PASSWD": self.connection["password"],
                "FL_POSTGRES_DBNAME": self.connection["dbname"],
            }
        return server_environment(self.data) | own | self.settings

    @property
    def ledger(self) -> Ledger:
        known = self.connection
        return Ledger(PostgresDatabase(known) if known else SqliteDatabase(self.data / "db.sqlite3"))

    @contextmanager
    def serving(self, port: int = 0) -> Iterator[tuple[Site, ServerProcess]]:
        with ServerProcess(self.data, "--port", str(port), environment=self.environment) as server:
            yield Site(server.base_url, self.environment, self.ledger, "backed up"), server
            if server.process.poll() is None:
                server.stop()

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run_manage(*arguments, environment=self.environment)

    def take_key_of(self, key: str) -> None:
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.data / "secret_key").write_text(key, encoding="ascii")


@contextmanager
def a_place(data: Path) -> Iterator[Place]:
    """On the database of this pass of the suite."""
    if settings.FL_EMBEDDED:
        yield Place(data, None)
        return
    with fresh_database() as connection:
        yield Place(data, connection)


@dataclass
class Story:
    """What the participants wait for, in the training that is lost and restored."""

    training: str = ""
    first_is_in: threading.Event = field(default_factory=threading.Event)
    backed_up: threading.Event = field(default_factory=threading.Event)
    others_are_on: threading.Event = field(default_factory=threading.Event)
    restored: threading.Event = field(default_factory=threading.Event)

    def participant(self, client: ParticipantClient, number: int) -> Worker:
        def work(notification: Notification) -> None:
            if notification.type == "MODEL_TEST_ROUND":
                client.send_metrics(notification.model, {"accuracy": 1.0})
            if notification.type != "UPDATE_ROUND_START":
                return
            here, told = notification.training == self.training, notification.round
            if here and told == BACKED_UP_IN and number > 0:
                self.backed_up.wait()
            if here and told == LOST_IN and number == 0 and not self.restored.is_set():
                self.others_are_on.set()  # the backup does not know this round
                return
            # What was on its way when the server was lost may be of a round that the restored one does not know yet.
            with contextlib.suppress(Refused) if here and told == LOST_IN else contextlib.nullcontext():
                client.send_update(notification.model, told, number + 1, UPDATES[number, told])
            if here and told == BACKED_UP_IN and number == 0:
                self.first_is_in.set()

        return work

    def release(self) -> None:
        for event in (self.first_is_in, self.backed_up, self.others_are_on, self.restored):
            event.set()


def start(people: People, story: Story | None = None) -> tuple[str, str]:
    """A training with files that go and come: versions are pruned, updates deleted after aggregation."""
    model = people.actor.upload_model(saved(linear(0.1)), "linear")
    options = {"keep_versions": 2, "delete_local_models_after_aggregation": True}
    training = people.actor.create_training(model, rounds=ROUNDS, participants=people.ids, options=options)
    if story is not None:
        story.training = training
    people.actor.start(training)
    return training, model


def result_of(people: People, model: str) -> list[tuple[int, str]]:
    return [(version["version"], version["sha256"]) for version in people.actor.versions(model)]


def lose(place: Place) -> None:
    """Nothing is left of it, neither files nor rows."""
    shutil.rmtree(place.data)
    if place.connection:
        name = place.connection["dbname"]
        execute(place.connection, f"DROP DATABASE {name} WITH (FORCE)")
        execute(place.connection, f"CREATE DATABASE {name}")


@contextmanager
def models_that_come_and_go(people: People) -> Iterator[None]:
    """Somebody uploads a model and deletes it, again and again."""
    over = threading.Event()
    content = saved(torch.nn.Linear(64, 64))

    def come_and_go() -> None:
        while not over.is_set():
            model = people.actor.upload_model(content, "short-lived")
            people.actor.call("DELETE", f"/models/{model}/")

    coming = threading.Thread(target=come_and_go)
    coming.start()
    try:
        yield
    finally:
        over.set()
        coming.join()


def files_in(place: Place) -> set[str]:
    return {str(path.relative_to(place.data / "files")) for path in place.data.glob("files/models/*/*/*")}


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # warns of no file that is lost or damaged
    return done.stdout


def test_a_server_that_is_lost_and_restored_goes_on_and_ends_bit_by_bit_the_same(tmp_path: Path) -> None:
    backups = str(tmp_path / "backups")
    story = Story()
    with ExitStack() as stack:
        place = stack.enter_context(a_place(tmp_path / "var"))
        site, server = stack.enter_context(place.serving())
        people = stack.enter_context(People(site, PARTICIPANTS, story.participant))
        stack.callback(story.release)
        key = (place.data / "secret_key").read_text(encoding="ascii")

        with models_that_come_and_go(people):
            training, model = start(people)
            good(place.run("backup", backups))  # while updates arrive, rounds close, and files are deleted
            assert people.wait_for_end(training)["state"] == "C"
            undisturbed = result_of(people, model)

            training, model = start(people, story)
            assert story.first_is_in.wait(60)
            good(place.run("backup", backups))
            story.backed_up.set()
            assert story.others_are_on.wait(60)
        assert server.stop() == 0
        lose(place)
        assert good(place.run("backup", "verify", backups, "--all")).count("is good") == 2

        if settings.FL_EMBEDDED:  # here its files move from a folder to a bucket
            store = stack.enter_context(object_store(tmp_path))
            place.settings = store.settings(store.url)
        refused = place.run("restore", backups)
        assert (refused.returncode, "another secret key" in refused.stderr) == (1, True)
        place.take_key_of(key)
        assert "1 trainings go on" in good(place.run("restore", backups))
        assert place.ledger.file_names() == (set(store.objects()) if settings.FL_EMBEDDED else files_in(place))
        story.restored.set()
        site, _server = stack.enter_context(place.serving(int(urlsplit(site.url).port or 0)))
        refused = place.run("restore", backups)
        assert refused.returncode == 1
        assert "A server runs on the data folder" in refused.stderr

        assert people.wait_for_end(training)["state"] == "C"
        assert result_of(people, model) == undisturbed
        wanted = (training, "UPDATE_ROUND_START", BACKED_UP_IN)
        told = [note.receiver for note in people.heard if (note.training, note.type, note.round) == wanted]
        assert {name: told.count(name) for name in ("0", "1", "2")} == {"0": 1, "1": 2, "2": 2}
        assert people.count(training, "aggregated") == list(range(ROUNDS))
        if settings.FL_EMBEDDED:
            wait_until("files to go", lambda: set(store.objects()) == place.ledger.file_names())
