"""How the example participant takes in notifications: at once, in order, without repeats, by push and by pull."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from fl_server_client import Agenda, Listener, Notification, ParticipantClient, Poller
from fl_server_client.receiving import PAUSE_SECONDS

pytestmark = pytest.mark.once


def message(kind: str = "UPDATE_ROUND_START", number: int = 0, training: str = "t") -> dict[str, Any]:
    body = {} if kind == "TRAINING_START" else {"round": number, "global_model_uuid": "m"}
    return {"notification_type": kind, "training_uuid": training, "body": body}


def notification(*args: Any, delivery: str = "", receiver: str = "", **kwargs: Any) -> Notification:
    return Notification.parse(message(*args, **kwargs), delivery=delivery, receiver=receiver)


def drain(agenda: Agenda) -> list[Notification]:
    """Everything that is waiting, up to a last message that ends it."""
    agenda.put(notification("TRAINING_FINISHED", training="the end"))
    done = []
    while (current := agenda.get()) is not None and current.training != "the end":
        done.append(current)
    return done


def test_notifications_are_worked_on_in_order_of_arrival() -> None:
    agenda, sent = Agenda(), [notification("TRAINING_START"), notification(number=0), notification("MODEL_TEST_ROUND")]
    for one in sent:
        agenda.put(one)
    assert drain(agenda) == sent


def test_a_repeated_delivery_is_ignored_and_another_delivery_is_not() -> None:
    agenda = Agenda()
    for delivery in ("a", "b", "a", "b"):
        agenda.put(notification(delivery=delivery))
    assert [one.delivery for one in drain(agenda)] == ["a", "b"]


def test_without_an_id_a_repeat_is_known_by_what_it_says() -> None:
    agenda = Agenda()
    for number, receiver in ((0, "x"), (0, "x"), (0, "y")):
        agenda.put(notification(number=number, receiver=receiver))
    assert [one.receiver for one in drain(agenda)] == ["x", "y"]


def test_rounds_that_are_over_are_skipped() -> None:
    agenda = Agenda()
    agenda.put(notification(number=3))
    agenda.put(notification(number=9, training="other"))
    agenda.put(notification("MODEL_TEST_ROUND", number=4))
    agenda.put(notification(number=4))
    assert [(one.type, one.round) for one in drain(agenda)] == [
        ("UPDATE_ROUND_START", 9),
        ("MODEL_TEST_ROUND", 4),
        ("UPDATE_ROUND_START", 4),
    ]


def test_what_a_removed_participant_had_still_to_do_is_dropped() -> None:
    agenda = Agenda()
    agenda.put(notification(number=5))
    agenda.put(Notification.parse({"notification_type": "CLIENT_REMOVED", "training_uuid": "t", "body": {}}))
    agenda.put(notification("TRAINING_START"))
    agenda.put(notification(number=2))
    assert [one.type for one in drain(agenda)] == ["CLIENT_REMOVED", "TRAINING_START", "UPDATE_ROUND_START"]


def test_closing_lets_the_waiting_worker_go() -> None:
    agenda, got = Agenda(), []
    worker = threading.Thread(target=lambda: got.append(agenda.get()))
    worker.start()
    agenda.close()
    worker.join(10)
    assert got == [None]


@pytest.fixture
def listener() -> Iterator[tuple[Listener, list[Notification]]]:
    taken: list[Notification] = []
    listener = Listener(taken.append)
    yield listener, taken
    listener.close()


def test_a_listener_takes_notifications_with_their_id_and_receiver(
    listener: tuple[Listener, list[Notification]],
) -> None:
    url = listener[0].url("p/7")
    answer = httpx.post(url, json=message(number=3), headers={"X-Delivery-Id": "d1"}, trust_env=False)
    assert answer.status_code == 200
    assert listener[1] == [Notification("UPDATE_ROUND_START", "t", message(number=3)["body"], "d1", "p/7")]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"no json", 400),
        (b"[]", 400),
        (b'{"notification_type": "X"}', 400),
        (json.dumps({**message(), "body": {}}).encode(), 400),
        (json.dumps({**message(), "body": {"round": "first", "global_model_uuid": "m"}}).encode(), 400),
        (b"x" * 70_000, 413),
    ],
)
def test_a_listener_refuses_what_is_no_notification(
    listener: tuple[Listener, list[Notification]], content: bytes, status: int
) -> None:
    assert httpx.post(listener[0].url(), content=content, trust_env=False).status_code == status
    assert listener[1] == []


def test_a_connection_that_stays_silent_holds_nobody_up(listener: tuple[Listener, list[Notification]]) -> None:
    url = httpx.URL(listener[0].url())
    with socket.create_connection((url.host, url.port or 0)):
        assert httpx.post(url, json=message(), trust_env=False).status_code == 200


def test_fetched_notifications_are_taken_in_and_then_acknowledged() -> None:
    log: list[tuple[str, Any]] = []
    finished = threading.Event()

    def server(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            log.append(("fetched", request.url.params["wait"]))
            if len([entry for entry in log if entry[0] == "fetched"]) > 1:
                finished.set()
                return httpx.Response(200, json=[])
            return httpx.Response(200, json=[{**message(number=1), "id": 5}, {"id": 6, "notification_type": "odd"}])
        log.append((request.url.path, json.loads(request.content)))
        return httpx.Response(200, json={})

    client = ParticipantClient("http://server", transport=httpx.MockTransport(server))
    poller = Poller(client, lambda taken: log.append(("taken", taken.delivery)), wait=7)
    assert finished.wait(10)
    poller.close()
    assert log[:4] == [
        ("fetched", "7"),
        ("taken", "5"),
        ("/api/notifications/5/ack/", {"accept": True}),
        ("/api/notifications/6/ack/", {"accept": False}),
    ]


def test_a_poller_pauses_where_it_is_not_let_wait() -> None:
    times: list[float] = []
    thrice = threading.Event()

    def server(_request: httpx.Request) -> httpx.Response:
        times.append(time.monotonic())
        if len(times) == 3:
            thrice.set()
        return httpx.Response(200, json=[])

    poller = Poller(ParticipantClient("http://server", transport=httpx.MockTransport(server)), lambda _taken: None)
    assert thrice.wait(20)
    poller.close()
    assert min(later - earlier for earlier, later in pairwise(times)) >= PAUSE_SECONDS


def test_a_poller_whose_client_is_closed_meanwhile_ends_quietly(caplog: pytest.LogCaptureFixture) -> None:
    asked, closed = threading.Event(), threading.Event()

    def server(_request: httpx.Request) -> httpx.Response:
        asked.set()
        assert closed.wait(20)
        return httpx.Response(200, json=[{**message(number=1), "id": 5}])

    client, before = ParticipantClient("http://server", transport=httpx.MockTransport(server)), threading.enumerate()
    poller = Poller(client, lambda _taken: None)
    assert asked.wait(20)
    [thread] = [one for one in threading.enumerate() if one not in before]
    poller.close()
    client.close()
    closed.set()
    thread.join(20)  # an exception in the thread fails this test
    assert not thread.is_alive()
    assert not caplog.records
