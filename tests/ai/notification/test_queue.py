"""The queue as a nudge: what is put there, what happens without it, and the sweep that makes up for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from kombu.exceptions import OperationalError
from redis.exceptions import ConnectionError as RedisConnectionError

from fl_server_ai.notification.tasks import deliver, enqueue, enqueue_due_deliveries
from fl_server_ai.trainer.receivers import nudge
from fl_server_ai.trainer.tasks import close_round
from fl_server_core.models import Delivery, DeliveryStatus
from fl_server_core.services.delivery_attempts import accept_delivery, claim_delivery
from fl_server_core.services.delivery_retries import retry_deliveries
from fl_server_core.signals import deliveries_due
from tests.ai.notification.conftest import Queue
from tests.ai.notification.listener import PATIENCE, Heard, Listener, listening
from tests.builders.clients import make_operator
from tests.builders.deliveries import make_due
from tests.builders.rounds import set_deadline
from tests.builders.world import NOWHERE, World

Commit = Callable[[], AbstractContextManager[Any]]


def lose_the_queue(**age: float) -> None:
    """As if what is in the queue had been put there that long ago, and was lost."""
    Delivery.objects.update(enqueued_at=timezone.now() - timedelta(**age))


@pytest.mark.django_db
def test_what_is_lost_from_the_queue_is_put_there_again(queue: Queue, listener: Listener) -> None:
    world = World([listener.url]).start()
    lose_the_queue(seconds=61)
    assert enqueue_due_deliveries() == 1
    assert queue.waiting == [world.delivery("TRAINING_START").pk]
    queue.run()
    assert listener.types == ["TRAINING_START", "UPDATE_ROUND_START"]


@pytest.mark.django_db
def test_what_was_put_into_the_queue_lately_is_left_there(queue: Queue) -> None:
    World([NOWHERE]).start()
    lose_the_queue(seconds=30)
    assert enqueue_due_deliveries() == 0


@pytest.mark.django_db
def test_a_second_sweep_finds_nothing_more(queue: Queue) -> None:
    World([NOWHERE, NOWHERE]).start()
    lose_the_queue(seconds=61)
    assert [enqueue_due_deliveries(), enqueue_due_deliveries()] == [2, 0]


@pytest.mark.django_db
def test_a_retry_is_the_queues_until_it_is_due(queue: Queue, commit: Commit) -> None:
    with commit():
        world = World([NOWHERE]).start()
    queue.run()
    start = world.delivery("TRAINING_START")
    assert start.next_attempt_at is not None
    assert start.enqueued_at == start.next_attempt_at
    make_due(start)
    assert enqueue_due_deliveries() == 0
    lose_the_queue(seconds=61)
    assert enqueue_due_deliveries() == 1


@pytest.mark.django_db
def test_a_receiver_without_an_endpoint_is_never_posted_to(queue: Queue, commit: Commit) -> None:
    with commit():
        world = World([""]).start()
    assert queue.waiting == []
    lose_the_queue(days=1)
    assert enqueue_due_deliveries() == 0
    queue.do(world.delivery("TRAINING_START").pk)
    assert world.delivery("TRAINING_START").attempts == 0
    assert world.statuses() == [("TRAINING_START", "pending"), ("UPDATE_ROUND_START", "pending")]


@pytest.mark.django_db
def test_who_gets_an_endpoint_later_is_posted_what_waits(queue: Queue, listener: Listener) -> None:
    world = World([""]).start()
    world.people[0].message_endpoint = listener.url
    world.people[0].save()
    lose_the_queue(seconds=61)
    enqueue_due_deliveries()
    queue.run()
    assert listener.types == ["TRAINING_START", "UPDATE_ROUND_START"]


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError("gone"), RedisConnectionError("gone")])
def test_a_broker_that_is_gone_is_asked_once_and_the_sweep_makes_up_for_it(
    queue: Queue, commit: Commit, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    asked = []

    def refuse(arguments: tuple[int], countdown: float) -> None:
        asked.append(arguments)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(deliver, "apply_async", refuse)
        with commit():
            world = World([NOWHERE, NOWHERE]).start()
    assert len(asked) == 1
    assert enqueue_due_deliveries() == 2
    assert queue.waiting == sorted(world.delivery("TRAINING_START", who).pk for who in (0, 1))


@pytest.mark.django_db
def test_a_broker_that_is_gone_does_not_put_off_a_retry_longer_than_planned(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OperationalError("gone")

    world = World([NOWHERE]).start()
    start = world.delivery("TRAINING_START")
    monkeypatch.setattr(deliver, "apply_async", refuse)
    enqueue([start.pk], countdown=8)
    start.refresh_from_db()
    assert start.enqueued_at is None


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError("gone"), RedisConnectionError("gone")])
def test_a_nudge_that_does_not_reach_the_broker_costs_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def refuse(*_args: object) -> None:
        raise error

    training = World([NOWHERE]).start().training
    set_deadline(training, timezone.now() - timedelta(seconds=1))
    monkeypatch.setattr(close_round, "delay", refuse)
    nudge(training.pk)
    assert "the sweep will find it" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_what_goes_wrong_after_the_commit_does_not_undo_it(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("a receiver with a bug")

    world = World([NOWHERE]).start()
    start = world.delivery("TRAINING_START")
    claimed = claim_delivery(delivery_id=start.pk)
    assert claimed is not None
    monkeypatch.setattr(deliveries_due, "send", fail)
    accept_delivery(delivery=claimed)
    assert world.delivery("TRAINING_START").status == DeliveryStatus.ACCEPTED
    retry_deliveries(deliveries=Delivery.objects.exclude(pk=start.pk), user=make_operator())


@pytest.mark.django_db(transaction=True)
def test_two_tasks_at_the_same_time_post_once(queue: Queue) -> None:
    may_answer = threading.Event()
    asked = threading.Event()

    def answer(_heard: Heard) -> int:
        asked.set()
        assert may_answer.wait(PATIENCE)
        return 200

    def run() -> None:
        try:
            deliver(start.pk)
        finally:
            connection.close()

    with listening(answer=answer) as slow:
        world = World([slow.url]).start()
        start = world.delivery("TRAINING_START")
        first = threading.Thread(target=run)
        first.start()
        assert asked.wait(PATIENCE)
        deliver(start.pk)
        assert len(slow.heard) == 1
        may_answer.set()
        first.join(PATIENCE)
    assert world.statuses()[0] == ("TRAINING_START", "accepted")
    start.refresh_from_db()
    assert start.attempts == 1


def wait_until_another_is_blocked() -> None:
    """Until another connection waits for a row of ours; SQLite lets no second one begin to write, and tells nobody."""
    end = monotonic() + PATIENCE
    while connection.vendor == "postgresql" and monotonic() < end:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            )
            if cursor.fetchone()[0]:
                return


@pytest.mark.django_db(transaction=True)
def test_a_claim_that_had_to_wait_for_another_comes_to_nothing() -> None:
    start = World([NOWHERE]).start().delivery("TRAINING_START")
    claims = []
    begun = threading.Event()

    def run() -> None:
        try:
            begun.set()
            claims.append(claim_delivery(delivery_id=start.pk))
        finally:
            connection.close()

    second = threading.Thread(target=run)
    with transaction.atomic():
        assert claim_delivery(delivery_id=start.pk) is not None
        second.start()
        assert begun.wait(PATIENCE)
        wait_until_another_is_blocked()
    second.join(PATIENCE)
    assert claims == [None]
    start.refresh_from_db()
    assert start.attempts == 1
