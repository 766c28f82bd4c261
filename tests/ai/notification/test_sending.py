"""Deliveries on their way: posted in order, and what the receivers' answers do to a training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from pytest_django import Settings

from fl_server_ai.notification.network import ADDRESS_REFUSED
from fl_server_core.models import Delivery, EventKind
from fl_server_core.services.trainings import delete_training
from tests.ai.notification.conftest import Queue
from tests.ai.notification.listener import Listener, closed_port, listening
from tests.builders.deliveries import make_due, pause_of
from tests.builders.rounds import mark_claimed
from tests.builders.rows import make_submission
from tests.builders.world import World

pytestmark = pytest.mark.django_db

Commit = Callable[[], AbstractContextManager[Any]]
START = "TRAINING_START"
ROUND = "UPDATE_ROUND_START"


def test_a_receiver_hears_everything_in_order(queue: Queue, commit: Commit, listener: Listener) -> None:
    with commit():
        world = World([listener.url]).start()
    assert len(queue.waiting) == 1
    queue.run()
    model = str(world.training.model_id)
    training = str(world.training.pk)
    assert [heard.notification for heard in listener.heard] == [
        {"notification_type": START, "training_uuid": training, "body": {"global_model_uuid": model}},
        {"notification_type": ROUND, "training_uuid": training, "body": {"round": 0, "global_model_uuid": model}},
    ]
    assert world.statuses() == [(START, "accepted"), (ROUND, "accepted")]


def test_the_id_in_the_header_is_that_of_the_delivery(queue: Queue, commit: Commit, listener: Listener) -> None:
    with commit():
        world = World([listener.url]).start()
    queue.run()
    assert listener.heard[0].headers["X-Delivery-Id"] == str(world.delivery(START).uuid)


def test_a_delivery_waits_for_the_one_before_it(queue: Queue, commit: Commit, listener: Listener) -> None:
    with commit():
        world = World([listener.url]).start()
    queue.do(world.delivery(ROUND).pk)
    assert listener.heard == []
    assert world.delivery(ROUND).attempts == 0


def test_a_receiver_that_cannot_be_reached_keeps_nobody_else_waiting(
    queue: Queue, commit: Commit, listener: Listener
) -> None:
    with commit():
        world = World([f"http://127.0.0.1:{closed_port()}/", listener.url]).start()
    queue.run()
    assert listener.types == [START, ROUND]
    assert world.statuses(0) == [(START, "pending"), (ROUND, "pending")]


def test_a_task_that_runs_again_posts_nothing(queue: Queue, commit: Commit, listener: Listener) -> None:
    with commit():
        world = World([listener.url]).start()
    queue.run()
    queue.do(world.delivery(START).pk)
    queue.do(world.delivery(ROUND).pk)
    assert listener.types == [START, ROUND]


def test_a_task_of_a_delivery_that_is_gone_does_nothing(queue: Queue) -> None:
    queue.do(123456)
    assert queue.waiting == []


def answer_by_type(**statuses: int) -> Callable[[Any], int]:
    return lambda heard: statuses.get(heard.notification["notification_type"], 200)


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_who_rejects_the_start_of_a_round_leaves_the_training(queue: Queue, commit: Commit, status: int) -> None:
    with listening(answer=answer_by_type(UPDATE_ROUND_START=status)) as refusing, listening() as other:
        with commit():
            world = World([refusing.url, other.url]).start()
        queue.run()
    assert (world.takes_part(0), world.takes_part(1)) == (False, True)
    assert world.delivery(ROUND).status == "rejected"
    [event] = world.events(EventKind.PARTICIPANT_REJECTED)
    assert event.user == world.people[0]
    assert event.message == "p0 rejected UPDATE_ROUND_START."
    assert event.figures == {"error": f"Status {status}."}
    assert refusing.types == [START, ROUND]  # who rejected is not told of the removal
    assert world.now.state == "O"


def test_the_last_one_who_rejects_ends_the_training(queue: Queue, commit: Commit) -> None:
    with listening(answer=answer_by_type(UPDATE_ROUND_START=500)) as refusing:
        with commit():
            world = World([refusing.url]).start()
        queue.run()
    assert world.now.state == "E"


def test_to_reject_another_type_has_no_consequences(queue: Queue, commit: Commit) -> None:
    with listening(answer=answer_by_type(TRAINING_START=400)) as listener:
        with commit():
            world = World([listener.url]).start()
        queue.run()
    assert world.statuses() == [(START, "rejected"), (ROUND, "accepted")]
    assert world.takes_part()


def unreachable_world(queue: Queue, commit: Commit, **options: Any) -> tuple[World, Delivery]:
    """A participant who heard of the training and then went away."""
    with listening(answer=answer_by_type(UPDATE_ROUND_START=503)) as listener:
        with commit():
            world = World([listener.url, listener.url], options=options).start()
        queue.run()
    queue.later.clear()
    return world, world.delivery(ROUND)


def delivery_error(world: World) -> str:
    return world.delivery(ROUND).last_error


def exhaust(queue: Queue, delivery: Delivery) -> None:
    for _ in range(5):
        make_due(delivery)
        queue.do(delivery.pk)


def test_no_answer_is_tried_again_after_growing_pauses(queue: Queue, commit: Commit) -> None:
    world, delivery = unreachable_world(queue, commit)
    pauses = [pause_of(delivery)]
    for _ in range(4):
        make_due(delivery)
        queue.do(delivery.pk)
        pauses.append(pause_of(delivery))
    for pause, expected in zip(pauses, [2, 8, 30, 120, 300], strict=True):
        assert timedelta(seconds=expected) <= pause < timedelta(seconds=expected + 2)
    assert [countdown for _delivery, countdown in queue.later] == [8, 30, 120, 300]
    assert world.now.state == "O"


def test_a_retry_before_its_time_posts_nothing(queue: Queue, commit: Commit) -> None:
    _world, delivery = unreachable_world(queue, commit)
    queue.do(delivery.pk)
    delivery.refresh_from_db()
    assert delivery.attempts == 1


def test_after_five_retries_the_training_fails_and_says_whom_it_could_not_reach(queue: Queue, commit: Commit) -> None:
    world, delivery = unreachable_world(queue, commit)
    exhaust(queue, delivery)
    assert world.now.state == "E"
    assert world.delivery(ROUND).status == "failed"
    [given_up] = world.events(EventKind.DELIVERY_FAILED)
    [failed] = world.events(EventKind.FAILED)
    assert given_up.user == failed.user == world.people[0]
    assert given_up.message == failed.message
    assert failed.message == "p0 could not be reached with UPDATE_ROUND_START (attempts: 6)."
    assert given_up.figures == {"error": delivery_error(world)}
    assert "refused" in delivery_error(world)
    assert world.statuses(1)[-1] == (ROUND, "superseded")


def test_with_a_deadline_who_cannot_be_reached_is_merely_awaited(queue: Queue, commit: Commit) -> None:
    world, delivery = unreachable_world(queue, commit, round_deadline=3600)
    exhaust(queue, delivery)
    assert world.now.state == "O"
    assert world.takes_part()
    assert world.delivery(ROUND).status == "failed"
    assert len(world.events(EventKind.DELIVERY_FAILED)) == 1


def test_who_has_answered_the_round_all_the_same_fails_nothing(queue: Queue, commit: Commit) -> None:
    world, delivery = unreachable_world(queue, commit)
    make_submission(world.training, world.people[0])
    exhaust(queue, delivery)
    assert world.now.state == "O"
    assert len(world.events(EventKind.DELIVERY_FAILED)) == 1


def test_a_round_that_is_being_closed_is_not_failed(queue: Queue, commit: Commit) -> None:
    world, delivery = unreachable_world(queue, commit)
    mark_claimed(world.training, lease_in=60)
    exhaust(queue, delivery)
    assert world.now.state == "O"


def test_what_waited_behind_a_failure_is_tried_once(queue: Queue, commit: Commit) -> None:
    with commit():
        world = World([f"http://127.0.0.1:{closed_port()}/"]).start()
    queue.run()
    exhaust(queue, world.delivery(START))
    queue.later.clear()
    assert world.statuses() == [(START, "failed"), (ROUND, "pending")]
    assert world.events(EventKind.DELIVERY_FAILED) == []  # of a type without consequences
    queue.run()
    assert world.statuses() == [(START, "failed"), (ROUND, "failed")]
    assert world.delivery(ROUND).attempts == 1
    assert queue.later == []
    assert world.now.state == "E"


def test_who_is_back_when_the_next_one_comes_hears_it(queue: Queue, commit: Commit, listener: Listener) -> None:
    with commit():
        world = World([f"http://127.0.0.1:{closed_port()}/"]).start()
    queue.run()
    exhaust(queue, world.delivery(START))
    world.people[0].message_endpoint = listener.url
    world.people[0].save()
    queue.run()
    assert listener.types == [ROUND]
    assert world.now.state == "O"


def test_an_address_that_may_not_be_notified_is_given_up_at_once(
    queue: Queue, commit: Commit, listener: Listener, settings: Settings
) -> None:
    settings.FL_PRODUCTION = True
    settings.FL_NOTIFICATION_PORTS = [listener.port]
    with commit():
        world = World([listener.url]).start()
    queue.run()
    assert world.statuses() == [(START, "failed"), (ROUND, "failed")]
    assert world.delivery(ROUND).last_error == ADDRESS_REFUSED
    assert world.now.state == "E"
    assert listener.heard == []


def test_the_news_of_a_removal_outlives_the_training(queue: Queue, commit: Commit, listener: Listener) -> None:
    with commit():
        world = World([listener.url]).start()
    queue.run()
    with commit():
        delete_training(training_id=world.training.pk, user=world.actor)
    queue.run()
    assert listener.types == [START, ROUND, "CLIENT_REMOVED"]
    assert listener.heard[-1].notification == {
        "notification_type": "CLIENT_REMOVED",
        "training_uuid": str(world.training.pk),
        "body": {},
    }
    removal = Delivery.objects.get(notification_type="CLIENT_REMOVED")
    assert (removal.training, removal.status) == (None, "accepted")


def test_nobody_is_missed_by_a_training_that_is_gone(queue: Queue, commit: Commit) -> None:
    world, _delivery = unreachable_world(queue, commit)
    with commit():
        delete_training(training_id=world.training.pk, user=world.actor)
    queue.run()
    removal = world.delivery("CLIENT_REMOVED")
    exhaust(queue, removal)
    removal.refresh_from_db()
    assert removal.status == "failed"
