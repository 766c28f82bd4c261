"""A receiver that knows its secret can verify what is sent, with the library for the scheme, and detect forgeries."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import Webhook, WebhookVerificationError

from fl_server_ai.notification.client import Accepted, post
from fl_server_ai.notification.signing import signed_headers
from fl_server_core.selectors.notification_secrets import notification_secrets_of
from fl_server_core.services.notification_secrets import rotate_notification_secret
from tests.ai.notification.conftest import Queue
from tests.ai.notification.listener import PATIENCE, SECRET, Heard, Listener, listening
from tests.builders.deliveries import make_due
from tests.builders.world import World

OTHER = "whsec_" + "b3RoZXI=" * 3
PAYLOAD = {"notification_type": "TRAINING_START", "training_uuid": str(uuid4()), "body": {"name": "Zähler"}}

Commit = Callable[[], AbstractContextManager[Any]]


def verify(heard: Heard, secret: str = SECRET, **changes: str) -> Any:
    headers = {name.lower(): value for name, value in heard.headers.items()}
    return Webhook(secret).verify(heard.content, {**headers, **changes})


def is_refused(heard: Heard, secret: str = SECRET, **changes: str) -> bool:
    try:
        verify(heard, secret, **changes)
    except WebhookVerificationError:
        return True
    return False


def heard_with(*secrets: str) -> Heard:
    with listening() as listener:
        assert post(listener.url, PAYLOAD, delivery_id=uuid4(), secrets=secrets, seconds=PATIENCE) == Accepted(200)
    return listener.heard[0]


def test_the_signature_is_that_of_the_scheme_s_own_example() -> None:
    headers = signed_headers(
        b'{"test": 2432232314}', delivery_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, secrets=[SECRET]
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_notification_verifies_and_a_changed_one_does_not() -> None:
    heard = heard_with(SECRET)
    assert verify(heard) == PAYLOAD
    assert is_refused(Heard(heard.path, heard.headers, heard.content.replace(b"START", b"FINISHED")))
    assert is_refused(heard, OTHER)
    assert is_refused(heard, **{"webhook-id": str(uuid4())})
    assert is_refused(heard, **{"webhook-timestamp": str(int(heard.headers["webhook-timestamp"]) + 1)})


def test_an_old_notification_does_not_verify(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 310)
    assert is_refused(heard_with(SECRET))
    monkeypatch.setattr(time, "time", lambda: now - 240)
    assert verify(heard_with(SECRET)) == PAYLOAD


def test_each_secret_signs_so_that_a_receiver_needs_to_know_one_only() -> None:
    heard = heard_with(SECRET, OTHER)
    assert len(heard.headers["webhook-signature"].split(" ")) == 2
    assert verify(heard, SECRET) == verify(heard, OTHER) == PAYLOAD


@pytest.mark.django_db
def test_a_repeat_has_the_id_of_the_first_attempt_and_a_time_of_its_own(
    queue: Queue, commit: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    with listening(status=503) as listener:
        with commit():
            world = World([listener.url]).start()
        queue.run()
        delivery = world.delivery("TRAINING_START")
        make_due(delivery)
        monkeypatch.setattr(time, "time", lambda: now + 100)
        queue.do(delivery.pk)
    first, second = (heard.headers for heard in listener.heard)
    assert first["webhook-id"] == second["webhook-id"] == first["X-Delivery-Id"] == str(delivery.uuid)
    assert abs(int(first["webhook-timestamp"]) - now) < 60
    assert int(second["webhook-timestamp"]) == int(now + 100)
    (secret,) = notification_secrets_of(world.people[0])
    assert [is_refused(heard, secret) for heard in listener.heard] == [False, False]


@pytest.mark.django_db
def test_after_a_rotation_the_old_secret_signs_too_and_that_of_another_user_never(
    queue: Queue, commit: Commit, listener: Listener
) -> None:
    with commit():
        world = World([listener.url, ""]).start()
    old = notification_secrets_of(world.people[0])
    new = notification_secrets_of(rotate_notification_secret(user=world.people[0], author=world.people[0]))
    queue.run()
    heard = listener.heard[-1]
    assert new[1:] == old
    assert [is_refused(heard, secret) for secret in new] == [False, False]
    assert is_refused(heard, *notification_secrets_of(world.people[1]))
    assert len(heard.headers["webhook-signature"].split(" ")) == 2


@pytest.mark.django_db
def test_a_day_after_a_rotation_the_old_secret_no_longer_signs(
    queue: Queue, commit: Commit, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    with commit():
        world = World([listener.url]).start()
    (old,) = notification_secrets_of(world.people[0])
    new = notification_secrets_of(rotate_notification_secret(user=world.people[0], author=world.people[0]))[0]
    later = timezone.now() + timedelta(days=1, seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    queue.run()
    assert [(is_refused(heard, old), is_refused(heard, new)) for heard in listener.heard] == [(True, False)] * 2


@pytest.mark.django_db
def test_after_a_new_secret_key_a_receiver_that_knows_the_former_secret_verifies_as_long_as_it_is_a_fallback(
    queue: Queue, commit: Commit, listener: Listener, settings: Settings
) -> None:
    with commit():
        world = World([listener.url]).start()
    (known,) = notification_secrets_of(world.people[0])
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret key"
    queue.do(world.delivery("TRAINING_START").pk)
    settings.SECRET_KEY_FALLBACKS = []
    queue.run()
    assert [is_refused(heard, known) for heard in listener.heard] == [False, True]
    assert not is_refused(listener.heard[1], *notification_secrets_of(world.people[0]))
