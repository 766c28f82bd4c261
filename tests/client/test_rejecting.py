"""What a participant rejects where it takes notifications, by push and by pull."""

import json
import threading
from typing import Any

import httpx
import pytest
from fl_server_client import Listener, Notification, ParticipantClient, Poller, Rejected

pytestmark = pytest.mark.once
BODY = {"round": 1, "global_model_uuid": "m"}
STARTED = {"notification_type": "UPDATE_ROUND_START", "training_uuid": "t", "body": BODY}


def reject(_notification: Notification) -> None:
    raise Rejected


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_listener_answers_403(host: str) -> None:
    taken: list[Notification] = []
    for take, status in ((reject, 403), (taken.append, 200)):
        listener = Listener(take, host=host)
        try:
            assert httpx.post(listener.url("anna"), json=STARTED, trust_env=False).status_code == status
        finally:
            listener.close()
    [notification] = taken
    assert (notification.receiver, notification.round) == ("anna", 1)


def test_a_poller_acknowledges_with_accept_false() -> None:
    answered, acknowledged = threading.Event(), []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            acknowledged.append((request.url.path, json.loads(request.read())))
            answered.set()
            return httpx.Response(204)
        waiting: list[Any] = [] if acknowledged else [{"id": "d1", **STARTED}]
        return httpx.Response(200, json=waiting)

    client = ParticipantClient("http://x", token="key", transport=httpx.MockTransport(answer))
    poller = Poller(client, reject)
    assert answered.wait(30)
    poller.close()
    client.give_up()
    assert acknowledged == [("/api/notifications/d1/ack/", {"accept": False})]
