"""The first page of the admin: what runs, what waits and for whom, what failed and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from fl_server_api.pages.system import Figure, system_figures
from fl_server_core import policies
from fl_server_core.models import Delivery, Round, Training, User
from fl_server_core.models.delivery import DeliveryStatus
from fl_server_core.models.training import RUNNING_STATES, TrainingState
from fl_server_core.selectors import overview as selectors

DAWDLING = timedelta(seconds=60)
"""A round that has been due for longer than this waits for a worker that isn't there."""


@dataclass(frozen=True)
class Overview:
    """figures: each with a link to the list behind it. None of what the user may not view."""

    figures: list[Figure] = field(default_factory=list)
    running: list[selectors.OpenRound] = field(default_factory=list)
    failed: list[selectors.Stopped] = field(default_factory=list)
    sees_trainings: bool = False


def overview_of(user: User) -> Overview:
    """What the user may see of it, by the permissions to view trainings, rounds and deliveries."""
    now = timezone.now()
    sees_trainings = policies.permits(user, "view", Training)
    figures: list[Figure] = []
    if sees_trainings:
        figures += _of_trainings()
    if policies.permits(user, "view", Round):
        figures += [_pace(now), _queue(now)]
    if policies.permits(user, "view", Delivery):
        figures += _of_notifications(now)
    figures += [_linked(figure) for figure in system_figures()]
    if not sees_trainings:
        return Overview(figures)
    return Overview(figures, selectors.open_rounds(), selectors.failed_trainings(), sees_trainings=True)


def _of_trainings() -> Iterator[Figure]:
    numbers = selectors.trainings_by_state()
    running = sum(numbers.get(state, 0) for state in RUNNING_STATES)
    failed = numbers.get(TrainingState.ERROR, 0)
    states = ",".join(RUNNING_STATES)
    yield Figure("Running", str(running), "trainings", _list("training", state__in=states), *_if(running, "busy", ""))
    yield Figure("In error", str(failed), "trainings", _in_state(TrainingState.ERROR), *_if(failed, "bad", "failed"))
    waiting = str(numbers.get(TrainingState.INITIAL, 0))
    yield Figure("Initial", waiting, "trainings", _in_state(TrainingState.INITIAL))
    done = str(numbers.get(TrainingState.COMPLETED, 0))
    yield Figure("Completed", done, "trainings", _in_state(TrainingState.COMPLETED))


def _pace(now: datetime) -> Figure:
    pace = selectors.pace(now)
    since = (now - timedelta(hours=1)).isoformat()
    note = f"closed in the last hour; {pace.day} in the last day"
    return Figure("Rounds", str(pace.hour), note, _list("round", closed_at__gte=since))


def _queue(now: datetime) -> Figure:
    queue = selectors.queue(now)
    is_slow = queue.since is not None and now - queue.since > DAWDLING
    note = f"rounds due; {queue.claimed} being closed"
    return Figure("Queue", str(queue.due), note, _list("round", closed_at__isnull=True), *_if(is_slow, "bad", "stuck"))


def _of_notifications(now: datetime) -> Iterator[Figure]:
    found = selectors.notifications(now)
    pending, failed = DeliveryStatus.PENDING, DeliveryStatus.FAILED
    word = _if(found.failing, "bad", "failing")
    yield Figure("Being retried", str(found.failing), "notifications", _in_status(pending), *word)
    note = "notifications, in the last day"
    yield Figure("Given up", str(found.failed), note, _in_status(failed), *_if(found.failed, "bad", "failed"))


def _if(condition: object, tone: str, word: str) -> tuple[str, str]:
    return (tone, word) if condition else ("", "")


def _linked(figure: Figure) -> Figure:
    return Figure(figure.title, figure.value, figure.note, reverse("admin:system"), figure.tone, figure.word)


def _list(kind: str, **filters: object) -> str:
    return f"{reverse(f'admin:fl_server_core_{kind}_changelist')}?{urlencode(filters)}"


def _in_state(state: TrainingState) -> str:
    return _list("training", state__exact=state)


def _in_status(status: DeliveryStatus) -> str:
    return _list("delivery", status__exact=status)
