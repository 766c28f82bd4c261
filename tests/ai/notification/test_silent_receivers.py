"""Receivers that take a connection and say nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from pytest_django import Settings

from fl_server_ai.notification import breaker, sending
from fl_server_ai.notification.client import Accepted
from fl_server_ai.notification.lanes import Lanes
from fl_server_core.models import Delivery
from fl_server_core.models.training import TrainingState
from tests.ai.notification.conftest import Queue
from tests.ai.notification.listener import listening
from tests.builders.deliveries import make_due
from tests.builders.waiting import wait_until
from tests.builders.world import World

pytestmark = pytest.mark.django_db

Commit = Callable[[], AbstractContextManager[Any]]
START = "TRAINING_START"
TIMEOUT = 0.2


@pytest.fixture(autouse=True)
def impatient(settings: Settings) -> Iterator[None]:
    settings.FL_NOTIFICATION_TIMEOUT_SECONDS = TIMEOUT
    cache.clear()
    yield
    cache.clear()


class Silent:
    """A port on which connections are taken by the system, and by nobody else."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._socket.setblocking(False)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"

    def connections(self) -> int:
        """How many have come since the last time."""
        number = 0
        while True:
            try:
                connection, _address = self._socket.accept()
            except BlockingIOError:
                return number
            connection.close()
            number += 1

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    with ExitStack() as stack:
        receiver = Silent()
        stack.callback(receiver.close)
        yield receiver


def attempt(queue: Queue, delivery: Delivery) -> Delivery:
    make_due(delivery)
    queue.do(delivery.pk)
    delivery.refresh_from_db()
    return delivery


def test_after_three_timeouts_in_a_row_a_host_is_left_alone_and_no_attempt_is_counted(
    queue: Queue, commit: Commit, silent: Silent
) -> None:
    with commit():
        world = World([silent.url]).start()
    delivery = world.delivery(START)
    assert [attempt(queue, delivery).attempts for _ in range(3)] == [1, 2, 3]
    assert silent.connections() == 3
    # One of all that wait is let through, and finds nothing new: from then on none is, for a while.
    assert attempt(queue, delivery).attempts == 4
    assert [attempt(queue, delivery).attempts for _ in range(5)] == [4] * 5
    assert silent.connections() == 1
    assert (delivery.status, queue.later[-1]) == ("pending", (delivery.pk, 10.0))


def test_all_receivers_at_the_host_wait_together(queue: Queue, commit: Commit, silent: Silent) -> None:
    with commit():
        world = World([silent.url + str(number) for number in range(6)]).start()
    for number in range(6):
        attempt(queue, world.delivery(START, number))
    assert silent.connections() == 4
    assert [world.delivery(START, number).attempts for number in range(6)] == [1, 1, 1, 1, 0, 0]


def test_another_host_is_told_at_once(queue: Queue, commit: Commit, silent: Silent) -> None:
    with listening() as listener:
        with commit():
            world = World([silent.url, listener.url]).start()
        for _ in range(5):
            attempt(queue, world.delivery(START, 0))
        attempt(queue, world.delivery(START, 1))
    assert world.delivery(START, 1).status == "accepted"


def test_an_answer_lets_all_of_them_go(
    queue: Queue, commit: Commit, silent: Silent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(breaker, "SHORTEST_SECONDS", 0.1)
    with commit():
        world = World([silent.url, silent.url]).start()
    first, second = world.delivery(START, 0), world.delivery(START, 1)
    for _ in range(5):
        attempt(queue, first)
    assert attempt(queue, second).attempts == 0
    monkeypatch.setattr("fl_server_ai.notification.sending.post", lambda *_args, **_kwargs: Accepted(200))
    wait_until("the next attempt to be let through", lambda: attempt(queue, first).status == "accepted", 20)
    assert attempt(queue, second).status == "accepted"


def test_timeouts_between_answers_are_not_in_a_row(queue: Queue, commit: Commit, silent: Silent) -> None:
    host = breaker.host_of(silent.url)
    for _ in range(3):
        breaker.note_silence(host)
        breaker.note_silence(host)
        breaker.note_answer(host)
    assert breaker.seconds_to_wait(host) is None
    assert breaker.has_answered(host)


def test_a_delivery_that_waited_longer_than_its_attempts_take_is_given_up_in_the_end(
    queue: Queue, commit: Commit, silent: Silent
) -> None:
    for _ in range(3):
        breaker.note_silence(breaker.host_of(silent.url))
    assert breaker.seconds_to_wait(breaker.host_of(silent.url)) is None
    with commit():
        world = World([silent.url]).start()
    delivery = world.delivery(START)
    assert attempt(queue, delivery).attempts == 0
    Delivery.objects.update(created_at=timezone.now() - timedelta(seconds=600))
    for number in range(1, 7):
        assert attempt(queue, delivery).attempts == number
    assert (delivery.status, silent.connections()) == ("failed", 0)
    assert delivery.last_error.endswith("has not answered many times in a row.")
    attempt(queue, world.delivery("UPDATE_ROUND_START"))
    assert world.now.state == TrainingState.ERROR


def test_zero_tries_a_silent_host_each_time(queue: Queue, commit: Commit, silent: Silent, settings: Settings) -> None:
    settings.FL_NOTIFICATION_SILENT_ATTEMPTS = 0
    with commit():
        world = World([silent.url]).start()
    for _ in range(5):
        attempt(queue, world.delivery(START))
    assert silent.connections() == 5


def test_receivers_of_whom_no_answer_is_known_hold_half_of_the_threads_and_a_quarter_for_each_group() -> None:
    lanes = Lanes(8)
    with ExitStack() as stack:
        held = [stack.enter_context(lanes.place(group, 0.0)) for group in "aaabbbc"]
        assert held == [True, True, False, True, True, False, False]
    with lanes.place("c", 0.0) as is_free:
        assert is_free


def test_without_a_place_a_delivery_waits_and_one_to_a_host_that_answered_does_not(
    queue: Queue, commit: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = Lanes(1)
    monkeypatch.setattr(sending, "lanes", lambda: lanes)
    with listening() as known, listening() as unknown:
        with commit():
            world = World([known.url, unknown.url]).start()
        breaker.note_answer(breaker.host_of(known.url))
        with lanes.place("another actor"):
            attempts = [attempt(queue, world.delivery(START, number)) for number in range(2)]
        assert [(one.status, one.attempts) for one in attempts] == [("accepted", 1), ("pending", 0)]
        assert queue.later == [(attempts[1].pk, TIMEOUT / 2)]
        assert attempt(queue, attempts[1]).status == "accepted"
