"""Alerts on their way: to a real mail server and a real receiver of webhooks, both on loopback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import Webhook

from fl_server_ai.alerts.tasks import look_for_alerts, send_alerts
from fl_server_ai.notification.network import ADDRESS_REFUSED
from fl_server_ai.trainer.tasks import sweep
from fl_server_core.models import Alert, AlertRule, Training, User
from fl_server_core.selectors.notification_secrets import notification_secrets_of
from tests.ai.notification.listener import Listener, closed_port, listening, misbehaving
from tests.builders.rows import make_alert_rule, make_event, make_running, make_training, make_user

pytestmark = pytest.mark.django_db
ADDRESS = "anna@example.org"


class Mailbox:
    """What a mail server got. refusal: what it says instead of taking it."""

    def __init__(self) -> None:
        self.letters: list[tuple[list[str], Message]] = []
        self.refusal = ""

    async def handle_RCPT(
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.refusal:
            return self.refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.letters.append((envelope.rcpt_tos, message_from_bytes(envelope.content)))
        return "250 OK"


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=closed_port())
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.FL_EMAIL_HOST = settings.EMAIL_HOST = "127.0.0.1"
    settings.EMAIL_PORT, settings.EMAIL_USE_TLS = controller.port, False
    try:
        yield mailbox
    finally:
        controller.stop()


@pytest.fixture(autouse=True)
def queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is enqueued is done at once."""
    monkeypatch.setattr(send_alerts, "apply_async", lambda arguments, **_options: send_alerts(*arguments))


@pytest.fixture
def anna() -> User:
    return make_user("anna", email=ADDRESS)


@pytest.fixture
def training(anna: User) -> Training:
    return make_training(anna, name="digits")


def come_round(rule: AlertRule) -> None:
    """Let the time of the rule's next message come."""
    AlertRule.objects.filter(pk=rule.pk).update(next_message_at=timezone.now() - timedelta(seconds=1))


def text_of(letter: Message) -> str:
    content = letter.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()


def test_a_failure_comes_by_email_and_then_a_digest_of_all_that_followed(
    mailbox: Mailbox, anna: User, training: Training
) -> None:
    rule = make_alert_rule(anna, channel="email", url="")
    make_event(training, "failed", round=3, message="All participants have left.")
    look_for_alerts()
    ((receivers, letter),) = mailbox.letters
    assert receivers == [ADDRESS]
    assert (letter["To"], letter["Subject"], letter["Auto-Submitted"]) == (
        ADDRESS,
        "1 alert: a training failed",
        "auto-generated",
    )
    assert f"Training “digits” ({training.pk}) failed in round 3: All participants have left." in text_of(letter)
    for number in range(20):
        make_event(training, "failed", round=number)
        look_for_alerts()
    assert len(mailbox.letters) == 1
    come_round(rule)
    look_for_alerts()
    look_for_alerts()
    assert len(mailbox.letters) == 2
    digest = mailbox.letters[1][1]
    assert (digest["Subject"], text_of(digest).count("Training “digits”")) == ("20 alerts: a training failed", 20)
    assert not Alert.objects.filter(sent_at=None).exists()


def test_what_users_wrote_is_in_no_header(mailbox: Mailbox, anna: User) -> None:
    rule = make_alert_rule(anna, "waiting", minutes=1, channel="email", url="")
    make_running(anna, [make_user()], name="x\r\nBcc: everybody@example.org")
    AlertRule.objects.update(minutes=1)
    rows = rule.user.actors.get().rounds
    rows.update(opened_at=timezone.now() - timedelta(minutes=5))
    look_for_alerts()
    ((receivers, letter),) = mailbox.letters
    assert (receivers, letter["Bcc"]) == ([ADDRESS], None)
    assert "x Bcc: everybody@example.org" in text_of(letter)


@pytest.mark.parametrize(
    ("refusal", "error", "minutes"),
    [
        ("550 no such user", "The mail server refuses the account's e-mail address, with code 550.", 60),
        ("450 try again", "The mail server refuses the account's e-mail address, with code 450.", 1),
    ],
)
def test_a_mail_server_that_refuses_is_asked_again(
    mailbox: Mailbox, anna: User, training: Training, refusal: str, error: str, minutes: int
) -> None:
    rule = make_alert_rule(anna, channel="email", url="")
    make_event(training, "failed")
    mailbox.refusal = refusal
    look_for_alerts()
    rule.refresh_from_db()
    assert rule.last_error == error
    assert rule.next_message_at is not None
    left = (rule.next_message_at - timezone.now()).total_seconds() / 60
    assert left == pytest.approx(minutes, abs=0.5)
    mailbox.refusal = ""
    come_round(rule)
    look_for_alerts()
    rule.refresh_from_db()
    assert (len(mailbox.letters), rule.last_error, rule.failures) == (1, "", 0)


def test_a_mail_server_that_is_away_costs_nothing_but_an_attempt(
    mailbox: Mailbox, anna: User, training: Training, settings: Settings
) -> None:
    settings.EMAIL_PORT = closed_port()
    rule = make_alert_rule(anna, channel="email", url="")
    make_event(training, "failed")
    look_for_alerts()
    rule.refresh_from_db()
    assert (rule.failures, "Connection refused" in rule.last_error) == (1, True)
    assert rule.alerts.filter(sent_at=None).count() == 1


@pytest.mark.parametrize(
    ("host", "address", "word"), [("", ADDRESS, "FL_EMAIL_HOST"), ("mail", "", "no e-mail address")]
)
def test_without_a_mail_server_or_an_address_the_rule_says_so(
    anna: User, training: Training, settings: Settings, host: str, address: str, word: str
) -> None:
    settings.FL_EMAIL_HOST = host
    User.objects.update(email=address)
    rule = make_alert_rule(anna, channel="email", url="")
    make_event(training, "failed")
    look_for_alerts()
    rule.refresh_from_db()
    assert word in rule.last_error


def test_a_webhook_gets_json_that_chat_programs_show(anna: User, training: Training) -> None:
    with listening() as listener:
        rule = make_alert_rule(anna, "finished", url=listener.url)
        make_event(training, "finished", round=2)
        make_event(training, "stopped", round=2)
        look_for_alerts()
        look_for_alerts()
    (heard,) = listener.heard
    said = json.loads(heard.content)
    lines = [f"Training “digits” ({training.pk}) {what} in round 2." for what in ("finished", "was stopped")]
    assert (said["rule"], said["condition"], said["text"]) == (str(rule.pk), "finished", "\n".join(lines))
    assert [(one["training"], one["text"]) for one in said["alerts"]] == [(str(training.pk), line) for line in lines]
    assert heard.headers["X-Delivery-Id"]


def test_a_repeated_message_has_the_same_id(anna: User, training: Training) -> None:
    with listening(status=503) as listener:
        rule = make_alert_rule(anna, url=listener.url)
        make_event(training, "failed")
        look_for_alerts()
        come_round(rule)
        listener.status = 200
        look_for_alerts()
    first, second = listener.heard
    assert first.headers["X-Delivery-Id"] == second.headers["X-Delivery-Id"]
    assert first.content == second.content


@pytest.mark.parametrize(("status", "minutes"), [(503, 1), (404, 60), (302, 60)])
def test_a_receiver_that_refuses_is_asked_again(anna: User, training: Training, status: int, minutes: int) -> None:
    with listening(status=status) as listener:
        rule = make_alert_rule(anna, url=listener.url)
        make_event(training, "failed")
        look_for_alerts()
    rule.refresh_from_db()
    assert (len(listener.heard), rule.last_error) == (1, f"Status {status}.")
    assert rule.next_message_at is not None
    assert (rule.next_message_at - timezone.now()).total_seconds() / 60 == pytest.approx(minutes, abs=0.5)


def test_a_webhook_is_signed_with_the_secret_of_the_rules_account(anna: User, training: Training) -> None:
    with listening() as listener:
        make_alert_rule(anna, url=listener.url)
        make_event(training, "failed")
        look_for_alerts()
    [heard] = listener.heard
    [secret] = notification_secrets_of(anna)
    assert Webhook(secret).verify(heard.content, dict(heard.headers.items()))["condition"] == "failed"


def test_in_production_a_webhook_reaches_no_address_of_the_operators_network(
    anna: User, training: Training, settings: Settings
) -> None:
    settings.FL_PRODUCTION = True
    with listening() as listener:
        settings.FL_NOTIFICATION_PORTS = [urlsplit(listener.url).port]
        rule = make_alert_rule(anna, url=listener.url)
        make_event(training, "failed")
        look_for_alerts()
        rule.refresh_from_db()
        assert (listener.heard, rule.last_error) == ([], ADDRESS_REFUSED)
        settings.FL_NOTIFICATION_ALLOWED_NETWORKS = ["127.0.0.0/8"]
        come_round(rule)
        look_for_alerts()
    assert len(listener.heard) == 1


def test_receivers_behind_a_silent_host_wait_without_an_attempt(
    anna: User, training: Training, settings: Settings
) -> None:
    settings.FL_NOTIFICATION_TIMEOUT_SECONDS = 0.2
    settings.FL_NOTIFICATION_SILENT_ATTEMPTS = 1

    def stay_silent(_connection: socket.socket, over: threading.Event) -> None:
        over.wait(5)

    with misbehaving(stay_silent) as url:
        for number in range(3):
            make_alert_rule(make_user(f"p{number}"), url=url, trainings="taking_part")
        training.participants.set(User.objects.exclude(pk=anna.pk))
        make_event(training, "failed")
        look_for_alerts()
    # One attempt finds out, one looks whether it is still so, and the third waits without an attempt.
    rules = AlertRule.objects.order_by("failures")
    assert [(rule.failures, rule.last_error) for rule in rules] == [
        (0, ""),
        (1, "No answer within 0.2 seconds."),
        (1, "No answer within 0.2 seconds."),
    ]
    assert all(rule.next_message_at for rule in rules)


def test_the_sweep_looks_for_alerts(anna: User, training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(look_for_alerts, "apply_async", lambda **options: asked.append(options))
    sweep()
    assert len(asked) == 1


def test_a_message_is_sent_once_though_its_task_runs_twice(anna: User, training: Training) -> None:
    def answer(_heard: Any) -> int:
        send_alerts(str(rule.pk))  # while the first attempt is under way
        return 200

    listener: Listener
    with listening(answer=answer) as listener:
        rule = make_alert_rule(anna, url=listener.url)
        make_event(training, "failed")
        look_for_alerts()
    assert len(listener.heard) == 1
