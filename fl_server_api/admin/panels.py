"""The tables on a training's page: who is waited for, what happened, what was sent. Each is bounded."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import Model, QuerySet
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from fl_server_api.admin.html import NOTHING, link, list_link, moment, table
from fl_server_core.models import Delivery, Event, Submission, Training, User
from fl_server_core.selectors import rounds

MAX_PARTICIPANTS = 100
MAX_ROWS = 20


def participants(training: Training) -> SafeString | str:
    """Who takes part; in an open round also who has submitted, and what became of the notification of it."""
    people = list(training.participants.order_by("username")[: MAX_PARTICIPANTS + 1])
    shown = people[:MAX_PARTICIPANTS]
    ids = [person.pk for person in shown]
    row = rounds.open_round_of(training)
    submissions = row.submissions.filter(participant__in=ids) if row else Submission.objects.none()
    submitted = dict(submissions.values_list("participant_id", "submitted_at"))
    # A delivery that stands later replaces an earlier one to the same receiver.
    sent = {one.receiver_id: one for one in row.deliveries.filter(receiver__in=ids).order_by("id")} if row else {}
    waiting = "awaited" if training.is_running and not training.locked and row else NOTHING
    more = "" if len(people) == len(shown) else f"Only the first {MAX_PARTICIPANTS} are shown."
    return table(
        ["participant", "submission to the open round", "notification of it", "tries", "last error"],
        [
            (
                link(User, person.pk, person.username),
                moment(submitted[person.pk]) if person.pk in submitted else waiting,
                *_fate(sent.get(person.pk)),
            )
            for person in shown
        ],
        more=more,
    )


def _fate(delivery: Delivery | None) -> tuple[object, object, object]:
    if delivery is None:
        return NOTHING, NOTHING, NOTHING
    when = moment(delivery.settled_at or delivery.last_attempt_at)
    status = format_html("{}, {}", delivery.get_status_display(), when)
    return link(Delivery, delivery.pk, status), delivery.attempts, _short(delivery.last_error)


def history(training: Training) -> SafeString | str:
    """The last things that happened to a training, newest first."""
    events = Event.objects.filter(training=training).select_related("user", "author").order_by("-id")
    return table(
        ["at", "round", "what", "about", "by", "message", "figures"],
        [
            (
                moment(event.at),
                event.round,
                event.get_kind_display(),
                NOTHING if event.user is None else link(User, event.user_id, event.user.username),
                NOTHING if event.author is None else link(User, event.author_id, event.author.username),
                event.message or NOTHING,
                _short(json.dumps(event.figures, ensure_ascii=False)) if event.figures else NOTHING,
            )
            for event in events[:MAX_ROWS]
        ],
        more=_all_of(events, Event, training),
    )


def deliveries(training: Training) -> SafeString | str:
    """The last notifications, newest first."""
    rows = Delivery.objects.filter(training=training).select_related("receiver", "round").order_by("-id")
    return table(
        ["created", "notification", "round", "receiver", "status", "tries", "last error"],
        [
            (
                moment(row.created_at),
                link(Delivery, row.pk, row.notification_type),
                NOTHING if row.round is None else row.round.number,
                link(User, row.receiver_id, row.receiver.username),
                row.get_status_display(),
                row.attempts,
                _short(row.last_error),
            )
            for row in rows[:MAX_ROWS]
        ],
        more=_all_of(rows, Delivery, training),
    )


def _all_of(rows: QuerySet[Any], model: type[Model], training: Training) -> SafeString | str:
    total = rows.count()
    if total <= MAX_ROWS:
        return ""
    return format_html("<p>{}</p>", list_link(model, f"All {total}", training__id__exact=training.pk))


def _short(text: str) -> str:
    return Truncator(text).chars(120) or NOTHING
