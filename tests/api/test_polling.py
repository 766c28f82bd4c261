"""Users who wait for their notifications."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import sleep

import pytest
from django.db import connection
from pytest_django import Settings

from fl_server_api import polling
from fl_server_api.polling import wait_for_notifications
from fl_server_core.models import Delivery
from fl_server_core.services.trainings import start_training
from tests.builders.rows import make_user
from tests.builders.world import World

PATIENCE = 20.0


@pytest.fixture
def seats(settings: Settings) -> Iterator[Settings]:
    """Settings whose FL_WEB_THREADS counts from now on."""
    polling._seats.cache_clear()
    yield settings
    polling._seats.cache_clear()


@pytest.mark.django_db(transaction=True)
def test_who_waits_is_answered_when_something_comes(seats: Settings) -> None:
    world = World([""])
    found: list[Delivery] = []
    about_to_wait = threading.Event()

    def wait() -> None:
        try:
            about_to_wait.set()
            found.extend(wait_for_notifications(user=world.people[0], seconds=PATIENCE))
        finally:
            connection.close()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert about_to_wait.wait(PATIENCE)
    start_training(training_id=world.training.pk, user=world.actor)
    waiting.join(PATIENCE)
    assert [delivery.notification_type for delivery in found] == ["TRAINING_START", "UPDATE_ROUND_START"]


@pytest.mark.django_db(transaction=True)
def test_who_waits_in_vain_is_answered_with_nothing(seats: Settings) -> None:
    user = make_user("somebody")
    assert list(wait_for_notifications(user=user, seconds=0.05)) == []


@pytest.mark.django_db(transaction=True)
def test_who_waits_holds_no_connection(seats: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World([""])
    connected = []

    def look(_seconds: float) -> None:
        connected.append(connection.connection is not None)
        start_training(training_id=world.training.pk, user=world.actor)

    monkeypatch.setattr(polling, "sleep", look)
    assert len(wait_for_notifications(user=world.people[0], seconds=PATIENCE)) == 2
    assert connected == [False]


@pytest.mark.django_db(transaction=True)
def test_no_more_than_half_of_the_threads_wait(seats: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seats.FL_WEB_THREADS = 4
    world = World([""])
    all_wait = threading.Barrier(3)
    over = threading.Event()
    found = []

    def hold(_seconds: float) -> None:
        all_wait.wait(PATIENCE)
        assert over.wait(PATIENCE)

    def wait() -> None:
        try:
            found.append(len(wait_for_notifications(user=world.people[0], seconds=PATIENCE)))
        finally:
            connection.close()

    monkeypatch.setattr(polling, "sleep", hold)
    threads = [threading.Thread(target=wait) for _ in range(2)]
    for thread in threads:
        thread.start()
    all_wait.wait(PATIENCE)
    # At once: to wait would be to call `hold`.
    assert list(wait_for_notifications(user=world.people[0], seconds=PATIENCE)) == []
    start_training(training_id=world.training.pk, user=world.actor)
    over.set()
    for thread in threads:
        thread.join(PATIENCE)
    assert found == [2, 2]


@pytest.mark.django_db(transaction=True)
def test_a_seat_is_free_again_when_its_user_was_answered(seats: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seats.FL_WEB_THREADS = 2
    user = make_user("somebody")
    rests: list[float] = []

    def rest(seconds: float) -> None:
        rests.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(polling, "sleep", rest)
    for waited in (1, 2):
        assert list(wait_for_notifications(user=user, seconds=0.3)) == []
        assert len(rests) >= waited


@pytest.mark.django_db(transaction=True)
def test_a_server_with_one_thread_lets_nobody_wait(seats: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    seats.FL_WEB_THREADS = 1
    user = make_user("somebody")
    monkeypatch.delattr(polling, "sleep")  # to wait would be a NameError
    assert list(wait_for_notifications(user=user, seconds=PATIENCE)) == []
