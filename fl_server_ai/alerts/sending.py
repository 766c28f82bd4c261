"""One message of a rule: claimed, sent outside any transaction, settled by what came of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from smtplib import SMTPException, SMTPRecipientsRefused
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from fl_server_ai.notification import breaker
from fl_server_ai.notification.client import Accepted, NoAnswer, Outcome, Rejected, post
from fl_server_ai.notification.lanes import lanes
from fl_server_ai.notification.sending import address_policy
from fl_server_core.models import AlertChannel, AlertRule
from fl_server_core.selectors.alerts import rules_with_message_due
from fl_server_core.selectors.notification_secrets import notification_secrets_of
from fl_server_core.services.alert_rules import NO_ADDRESS, NO_EMAIL
from fl_server_core.services.alerts import Message, claim_message, note_failure, note_sent, put_off_message

LEASE_SLACK = 5.0
# A mail server is asked several times in one sending, each with the timeout.
EMAIL_TURNS = 12
PERMANENT_CODE = 500
"""Codes below are temporary, for example of a server that lets unknown senders try twice."""


def send_message(rule_id: UUID) -> None:
    """Send what a rule has to tell, if it is time for it and nobody else does so.

    A failure is kept with the rule; the sweep tries again later.
    """
    rule = rules_with_message_due(timezone.now()).filter(pk=rule_id).first()
    if rule is not None:
        CHANNELS[AlertChannel(rule.channel)](rule)


def _by_email(rule: AlertRule) -> None:
    message = claim_message(rule_id=rule.pk, seconds=EMAIL_TURNS * settings.EMAIL_TIMEOUT + LEASE_SLACK)
    if message is None:
        return
    if not settings.FL_EMAIL_HOST:
        note_failure(message, NO_EMAIL, is_permanent=True)
    elif not message.rule.user.email:
        note_failure(message, NO_ADDRESS, is_permanent=True)
    else:
        _send_email(message)


def _send_email(message: Message) -> None:
    try:
        email_of(message).send()
    except SMTPRecipientsRefused as error:
        codes = [code for code, _reason in error.recipients.values()]
        sentence = f"The mail server refuses the account's e-mail address, with code {codes[0]}."
        note_failure(message, sentence, is_permanent=min(codes) >= PERMANENT_CODE)
    except (SMTPException, OSError) as error:
        note_failure(message, f"The mail server could not be used: {error or type(error).__name__}")
    else:
        note_sent(message)


def email_of(message: Message) -> EmailMessage:
    """The message as plain text. Its subject has nothing that a user has written."""
    number = len(message.alerts)
    lines = [f"{alert.created_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC: {alert.text}" for alert in message.alerts]
    footer = (
        f"This is your alert rule {message.rule.pk}: {message.rule}. "
        f"Change or delete it at /api/users/myself/alerts/{message.rule.pk}/."
    )
    return EmailMessage(
        subject=f"{number} alert{'' if number == 1 else 's'}: {message.rule.get_condition_display()}",
        body="\n\n".join([*lines, footer]),
        to=[message.rule.user.email],
        headers={"X-Delivery-Id": str(message.id), "Auto-Submitted": "auto-generated"},
    )


def _by_webhook(rule: AlertRule) -> None:
    """As notifications are sent: a host that stays silent holds no more than its part of the threads."""
    host = breaker.host_of(rule.url)
    with lanes().place(rule.user_id) as held:
        pause = breaker.seconds_to_wait(host) if held else settings.FL_NOTIFICATION_TIMEOUT_SECONDS
        if pause is None:
            _post(rule, host)
            return
    put_off_message(rule_id=rule.pk, seconds=pause)


def _post(rule: AlertRule, host: str) -> None:
    message = claim_message(rule_id=rule.pk, seconds=settings.FL_NOTIFICATION_TIMEOUT_SECONDS + LEASE_SLACK)
    if message is None:
        return
    outcome = post(
        message.rule.url,
        payload_of(message),
        delivery_id=message.id,
        seconds=settings.FL_NOTIFICATION_TIMEOUT_SECONDS,
        policy=address_policy(),
        secrets=notification_secrets_of(message.rule.user),
    )
    breaker.note_outcome(host, outcome)
    _settle(message, outcome)


def payload_of(message: Message) -> dict[str, Any]:
    """The JSON of a message. `text` is what chat programs show."""
    alerts = [
        {"id": alert.pk, "training": str(alert.training_id), "text": alert.text, "at": alert.created_at.isoformat()}
        for alert in message.alerts
    ]
    return {
        "rule": str(message.rule.pk),
        "condition": message.rule.condition,
        "text": "\n".join(alert.text for alert in message.alerts),
        "alerts": alerts,
    }


def _settle(message: Message, outcome: Outcome) -> None:
    match outcome:
        case Accepted():
            note_sent(message)
        case Rejected(status):
            note_failure(message, f"Status {status}.", is_permanent=True)
        case NoAnswer(error, is_permanent):
            note_failure(message, error, is_permanent=is_permanent)


CHANNELS: dict[AlertChannel, Callable[[AlertRule], None]] = {
    AlertChannel.EMAIL: _by_email,
    AlertChannel.WEBHOOK: _by_webhook,
}
