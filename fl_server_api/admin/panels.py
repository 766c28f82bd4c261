"""Tables on the pages of trainings and models: participants, events, notifications, versions. Each is bounded."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models import QuerySet
from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from fl_server_api.admin.html import figures_line, link, list_link, readable_figure, table
from fl_server_api.pages.html import NOTHING, moment
from fl_server_core.models import (
    Delivery,
    Event,
    GlobalModel,
    Model,
    ModelVersion,
    NotificationType,
    Round,
    Submission,
    Training,
    TrainingInvitation,
    User,
)
from fl_server_core.selectors import rounds
from fl_server_core.selectors.figures import BY_PARTICIPANT, REPLAY_OF
from fl_server_core.selectors.training_invitations import open_invitations
from fl_server_core.selectors.versions import versions_of

MAX_PARTICIPANTS = 100
MAX_ROWS = 20
DIGEST_LENGTH = 12


def participants(training: Training, *, shows_errors: bool) -> SafeString | str:
    """The participants; in an open round also their submissions, and whether its notification reached them."""
    people = list(training.participants.order_by("username")[: MAX_PARTICIPANTS + 1])
    shown = people[:MAX_PARTICIPANTS]
    ids = [person.pk for person in shown]
    row = rounds.open_round_of(training)
    submissions = row.submissions.filter(participant__in=ids) if row else Submission.objects.none()
    submitted = dict(submissions.values_list("participant_id", "submitted_at"))
    # The newest delivery to a receiver is the one that counts.
    sent = {one.receiver_id: one for one in row.deliveries.filter(receiver__in=ids).order_by("id")} if row else {}
    waiting = "awaited" if training.is_running and not training.locked and row else NOTHING
    more = "" if len(people) == len(shown) else f"Shows the first {MAX_PARTICIPANTS} participants."
    return table(
        ["participant", "submission to the open round", "notification", "attempts", "last error"],
        [
            (
                link(User, person.pk, person.username),
                moment(submitted[person.pk]) if person.pk in submitted else waiting,
                *_fate(sent.get(person.pk), shows_errors),
            )
            for person in shown
        ],
        more=more,
    )


def invitations(training: Training, *, shows_errors: bool) -> SafeString | str:
    """Who is invited and has not answered; whether the invitation arrived."""
    rows = open_invitations(training).select_related("user", "invited_by")
    shown = list(rows[:MAX_ROWS])
    sent = Delivery.objects.filter(
        training=training,
        notification_type=NotificationType.TRAINING_INVITATION,
        receiver__in=[row.user_id for row in shown],
    )
    told = {delivery.receiver_id: delivery for delivery in sent.order_by("id")}
    return table(
        ["invited", "by", "time", "notification", "attempts", "last error"],
        [
            (
                link(User, row.user_id, row.user.username),
                NOTHING if row.invited_by is None else link(User, row.invited_by_id, row.invited_by.username),
                moment(row.created_at),
                *_fate(told.get(row.user_id), shows_errors),
            )
            for row in shown
        ],
        more=_all_of(rows, TrainingInvitation, training__id__exact=training.pk),
    )


def _fate(delivery: Delivery | None, shows_error: bool) -> tuple[object, object, object]:
    if delivery is None:
        return NOTHING, NOTHING, NOTHING
    when = delivery.settled_at or delivery.last_attempt_at
    status: str = delivery.get_status_display()
    status = status if when is None else format_html("{}, {}", status, moment(when))
    if not shows_error:
        return status, delivery.attempts, NOTHING
    return link(Delivery, delivery.pk, status), delivery.attempts, _short(delivery.last_error)


def history(training: Training, *, shows_errors: bool) -> SafeString | str:
    """The latest events of a training, newest first."""
    events = Event.objects.filter(training=training).select_related("user", "author").order_by("-id")
    return table(
        ["time", "round", "event", "about", "by", "message", "figures"],
        [
            (
                moment(event.at),
                event.round,
                event.get_kind_display(),
                NOTHING if event.user is None else link(User, event.user_id, event.user.username),
                NOTHING if event.author is None else link(User, event.author_id, event.author.username),
                event.message or NOTHING,
                _short(figures_line(event.figures if shows_errors else without_error(event.figures))),
            )
            for event in events[:MAX_ROWS]
        ],
        more=_all_of(events, Event, training__id__exact=training.pk),
    )


def without_error(figures: Any) -> Any:
    """An event's figures for staff who may not view deliveries."""
    is_mapping = isinstance(figures, dict)
    return {name: value for name, value in figures.items() if name != "error"} if is_mapping else figures


def deliveries(training: Training) -> SafeString | str:
    """The latest notifications of a training, newest first."""
    rows = Delivery.objects.filter(training=training).select_related("receiver", "round").order_by("-id")
    return table(
        ["created", "notification", "round", "receiver", "status", "attempts", "last error"],
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
        more=_all_of(rows, Delivery, training__id__exact=training.pk),
    )


FIGURES = ("norm", "buffer_norm", "cosine", "share", "clipped_to", REPLAY_OF)


def updates_table(row: Round) -> SafeString | str:
    """How each update of a round was, beside the others, by participant."""
    figures: dict[str, dict[str, Any]] = row.figures.get(BY_PARTICIPANT, {})
    names = {str(person.pk): person.username for person in User.objects.filter(pk__in=list(figures)[:MAX_PARTICIPANTS])}
    lines = [
        (
            link(User, who, names[who]) if who in names else who,
            *(readable_figure(found[name]) if name in found else NOTHING for name in FIGURES),
        )
        for who, found in list(figures.items())[:MAX_PARTICIPANTS]
    ]
    return table(["participant", *(name.replace("_", " ") for name in FIGURES)], lines)


def versions(model: GlobalModel) -> SafeString | str:
    """The latest versions of a model, newest first."""
    rows = model.versions.order_by("-number")
    means = means_of_versions(model)
    return table(
        ["version", "round", "created", "size", "SHA-256", "state", "name", "metrics (means)"],
        [
            (
                link(ModelVersion, row.pk, row.number),
                row.round,
                moment(row.created_at),
                filesizeformat(row.size),
                row.digest[:DIGEST_LENGTH] or NOTHING,
                version_state(row, model.current_version_id),
                row.name or NOTHING,
                figures_line(means.get(row.number)),
            )
            for row in rows[:MAX_ROWS]
        ],
        more=_all_of(rows, ModelVersion, model__id__exact=model.pk),
    )


def version_state(version: ModelVersion, current_id: int | None) -> str:
    """Is the file current, kept and pinned? In words."""
    words = ["current"] if version.pk == current_id else []
    words.append("kept" if version.is_available else "no longer kept")
    return ", ".join([*words, "pinned"] if version.pinned else words)


def means_of_versions(model: Model) -> dict[int, dict[str, float]]:
    """By version number: the mean of each metric that participants reported of it."""
    return {row["version"]: row["metrics"] for row in versions_of(model)}


def _all_of(rows: QuerySet[Any], model: type[models.Model], **filters: Any) -> SafeString | str:
    total = rows.count()
    if total <= MAX_ROWS:
        return ""
    return format_html("<p>{}</p>", list_link(model, f"All {total}", **filters))


def _short(text: str) -> str:
    return Truncator(text).chars(120) or NOTHING
