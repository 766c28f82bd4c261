"""A server that is backed up while it works, then lost, then restored: its trainings end as if nothing had happened."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from django.conf import settings
from fl_server_client import Notification, ParticipantClient, Refused

from tests.builders.files import linear, noisy, saved
from tests.builders.waiting import wait_until
from tests.e2e.people import PATIENCE, People, Worker
from tests.e2e.places import a_place, in_bucket, in_folder
from tests.faults.harness.mode import IS_LONG
from tests.object_store import object_store

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


FOLDER, BUCKET = "a folder", "a bucket"
OTHER_WAYS = [(FOLDER, BUCKET), (BUCKET, FOLDER)] if IS_LONG else []
WAYS = [(FOLDER, FOLDER)] if not settings.FL_EMBEDDED else [(BUCKET, BUCKET), *OTHER_WAYS]
"""Where the files are when they are backed up, and where they are restored to."""


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


def good(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # warns of no file that is lost or damaged
    return done.stdout


@pytest.mark.parametrize(("before", "after"), WAYS)
def test_a_server_that_is_lost_and_restored_goes_on_and_ends_bit_by_bit_the_same(
    tmp_path: Path, before: str, after: str
) -> None:
    backups, data = str(tmp_path / "backups"), tmp_path / "var"
    story = Story()
    with ExitStack() as stack:
        store = stack.enter_context(object_store(tmp_path)) if BUCKET in (before, after) else None
        files = in_bucket(store, prefix="servers/one") if store and before == BUCKET else in_folder(data)
        place = stack.enter_context(a_place(data, files))
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
            assert story.first_is_in.wait(PATIENCE)
            good(place.run("backup", backups))
            story.backed_up.set()
            assert story.others_are_on.wait(PATIENCE)
        assert server.stop() == 0
        place.kill_celery()
        place.lose()
        assert place.files.names() == set()

        if store and after == BUCKET:
            place.files = in_bucket(store, "others", "servers/two")
        elif after == FOLDER:
            place.files = in_folder(data)
        assert good(place.run("backup", "verify", backups, "--all")).count("is good") == 2
        refused = place.run("restore", backups)
        assert (refused.returncode, "another secret key" in refused.stderr) == (1, True)
        place.take_key_of(key)
        assert "1 trainings go on" in good(place.run("restore", backups))
        assert place.files.names() == place.ledger.file_names()
        story.restored.set()
        site, _server = stack.enter_context(place.serving(int(urlsplit(site.url).port or 0)))
        refused = place.run("restore", backups)
        assert (refused.returncode, "Stop i" in refused.stderr) == (1, True), refused.stderr

        assert people.wait_for_end(training)["state"] == "C"
        assert result_of(people, model) == undisturbed
        wanted = (training, "UPDATE_ROUND_START", BACKED_UP_IN)
        told = [note.receiver for note in people.heard if (note.training, note.type, note.round) == wanted]
        assert {name: told.count(name) for name in ("0", "1", "2")} == {"0": 1, "1": 2, "2": 2}
        assert people.count(training, "aggregated") == list(range(ROUNDS))
        wait_until("files to go", lambda: place.files.names() == place.ledger.file_names())
