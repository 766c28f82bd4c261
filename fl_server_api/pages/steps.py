"""The buttons of a training's page: what each asks, and the service that it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from fl_server_core import policies
from fl_server_core.exceptions import InvalidRequest
from fl_server_core.models import Training, User
from fl_server_core.models.training import TrainingState
from fl_server_core.services.participants import add_participants, leave_training, remove_participants
from fl_server_core.services.reminders import remind_participants
from fl_server_core.services.trainings import resume_training, start_training, stop_training

Form = Mapping[str, str]


@dataclass(frozen=True)
class Step:
    """take: does it, and returns what to tell. asks_user: whether a user is to be named. tone: "bad" if it can't be
    undone. may: who may take it."""

    name: str
    title: str
    question: str
    take: Callable[[UUID, User, Form], str]
    tone: str = ""
    asks_user: bool = False
    may: Callable[[User, Training], bool] = policies.may_steer_training


def _start(training_id: UUID, user: User, _form: Form) -> str:
    start_training(training_id=training_id, user=user)
    return "The training has started."


def _stop(training_id: UUID, user: User, _form: Form) -> str:
    stop_training(training_id=training_id, user=user)
    return "The training was stopped."


def _resume(training_id: UUID, user: User, _form: Form) -> str:
    resume_training(training_id=training_id, user=user)
    return "The training goes on."


def _remind(training_id: UUID, user: User, _form: Form) -> str:
    told = remind_participants(training_id=training_id, user=user)
    return f"Reminded: {len(told)}."


def _invite(training_id: UUID, user: User, form: Form) -> str:
    person = _person(form)
    asked = add_participants(training_id=training_id, user=user, user_ids=[person.pk])
    return f"{person.username} is invited." if asked else f"{person.username} takes part."


def _remove(training_id: UUID, user: User, form: Form) -> str:
    person = _person(form)
    remove_participants(training_id=training_id, user=user, user_ids=[person.pk])
    return f"{person.username} takes no part any more."


def _leave(training_id: UUID, user: User, _form: Form) -> str:
    leave_training(training_id=training_id, user=user)
    return "You take no part any more."


def _person(form: Form) -> User:
    name = form.get("user", "").replace("\0", "").strip()
    found = User.objects.filter(username=name).first()
    if found is None:
        raise InvalidRequest(f"There is no user {name!r}. Enter the user name as it is written in the list of users.")
    return found


_ALL = (
    Step("start", "Start", "All participants are notified, and the first round opens.", _start),
    Step("resume", "Resume", "It goes on in the round where it failed. Those who are awaited are notified.", _resume),
    Step("remind", "Remind", "All who are awaited are told again that the round is open.", _remind),
    Step("invite", "Invite", "Who takes part at once, and who is asked first, is set for the server.", _invite,
         asks_user=True),
    Step("stop", "Stop", "It ends for good and can't be resumed. Everyone is notified.", _stop, tone="bad"),
    Step("remove", "Remove", "The submission to the open round is discarded. The user is notified.", _remove,
         tone="bad", asks_user=True),
    Step("leave", "Leave", "You take no part any more. Your submission to the open round is discarded.", _leave,
         tone="bad", may=policies.is_participant),
)  # fmt: skip
STEPS = {step.name: step for step in _ALL}


def offered(training: Training, *, is_over: bool, may_steer: bool, takes_part: bool) -> list[Step]:
    """The steps that make sense in the training's state. `remove` stands beside each participant.

    is_over: it has ended for good.
    """
    if is_over:
        return []
    names = _steering(training) if may_steer else ()
    if takes_part:
        names = (*names, "leave")
    return [STEPS[name] for name in names]


def _steering(training: Training) -> tuple[str, ...]:
    if training.is_running:
        return ("remind", "invite", "stop")
    if training.state == TrainingState.INITIAL:
        return ("start", "invite")
    return ("resume", "invite")
