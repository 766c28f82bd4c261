"""People come and go, and are told of it."""

from __future__ import annotations

from uuid import uuid4

import pytest

from fl_server_core.exceptions import InvalidRequest, NotAllowed
from fl_server_core.models import EventKind, LocalModel, Training, User
from fl_server_core.services.participants import (
    add_participants,
    drop_participants,
    newcomers_of,
    remove_participants,
)
from tests.builders.deliveries import rounds_told_to, sent_to
from tests.builders.rounds import events_of, mark_claimed, mark_failed, passed_on, submissions
from tests.builders.rows import (
    make_delivery,
    make_event,
    make_running,
    make_submission,
    make_training,
    make_update,
    make_user,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(people: list[User]) -> Training:
    return make_running(make_user("actor"), people)


def add(training: Training, *joining: User) -> None:
    add_participants(training_id=training.pk, user=training.actor, user_ids=[user.pk for user in joining])


def remove(training: Training, *leaving: User) -> None:
    remove_participants(training_id=training.pk, user=training.actor, user_ids=[user.pk for user in leaving])


def test_who_joins_before_the_start_is_told_when_it_starts() -> None:
    training, anna = make_training(make_user("actor")), make_user()
    add(training, anna)
    assert sent_to(anna) == []
    (event,) = events_of(training, EventKind.PARTICIPANT_ADDED)
    assert (event.user, event.author) == (anna, training.actor)


def test_who_takes_part_already_is_not_told_again(running: Training, people: list[User]) -> None:
    late = make_user()
    add(running, people[0], late)
    assert sent_to(people[0]) == []
    assert rounds_told_to(late) == [("TRAINING_START", None), ("UPDATE_ROUND_START", 0)]
    assert [event.user for event in events_of(running, EventKind.PARTICIPANT_ADDED)] == [late]


def test_who_joins_while_a_round_is_closed_is_not_asked_for_it(running: Training) -> None:
    mark_claimed(running, lease_in=60)
    late = make_user()
    add(running, late)
    assert sent_to(late) == ["TRAINING_START"]


def test_who_is_removed_is_told_that_alone_and_its_submission_goes(running: Training, people: list[User]) -> None:
    add(running, make_user())
    for person in people:
        make_submission(running, person, update=make_update(running.model, person))  # type: ignore[arg-type]
    remove(running, people[0])
    assert sent_to(people[0]) == ["CLIENT_REMOVED"]
    assert sent_to(people[1]) == []
    assert [submission.participant for submission in submissions(running)] == [people[1]]
    assert [update.owner for update in LocalModel.objects.all()] == [people[1]]


def test_who_leaves_a_claimed_round_still_counts_in_it(running: Training, people: list[User]) -> None:
    for person in people:
        make_submission(running, person, update=make_update(running.model, person))  # type: ignore[arg-type]
    mark_claimed(running, lease_in=60)
    remove(running, people[0])
    assert (len(submissions(running)), LocalModel.objects.count()) == (2, 2)


def test_the_last_to_leave_a_claimed_round_does_not_fail_its_training(running: Training, people: list[User]) -> None:
    for person in people:
        make_submission(running, person)
    mark_claimed(running, lease_in=60)
    remove(running, *people)
    assert Training.objects.get().state == "O"
    assert events_of(running, EventKind.FAILED) == []


def test_who_leaves_is_not_told_of_the_round_that_it_has_left(running: Training, people: list[User]) -> None:
    announced = [make_delivery(running, person) for person in people]
    remove(running, people[0])
    for delivery in announced:
        delivery.refresh_from_db()
    assert [delivery.status for delivery in announced] == ["superseded", "pending"]


def test_a_claimed_round_keeps_the_models_passed_on_to_who_leaves(running: Training, people: list[User]) -> None:
    make_update(running.model, people[1], passed_to=people[0])  # type: ignore[arg-type]
    mark_claimed(running, lease_in=60)
    remove(running, people[0])
    assert [model.passed_to for model in passed_on()] == [people[0]]


def test_who_leaves_trains_no_passed_on_model_any_more(running: Training, people: list[User]) -> None:
    for receiver in people:
        make_update(running.model, make_user(), passed_to=receiver)  # type: ignore[arg-type]
    remove(running, people[0])
    assert [model.passed_to for model in passed_on()] == [people[1]]


def test_without_participants_a_running_training_fails_and_a_waiting_one_waits(
    running: Training, people: list[User]
) -> None:
    remove(running, *people)
    assert events_of(running, EventKind.FAILED)[0].message == "All participants have left."
    assert Training.objects.get(pk=running.pk).state == "E"
    waiting = make_training(make_user(), people)
    remove(waiting, *people)
    assert Training.objects.get(pk=waiting.pk).state == "I"
    assert sent_to(people[0]) == ["CLIENT_REMOVED"]  # of the one that ran


def test_who_does_not_take_part_does_not_leave(running: Training) -> None:
    outsider = make_user()
    remove(running, outsider)
    assert (sent_to(outsider), events_of(running)) == ([], [])


def test_who_rejects_is_not_told_and_the_history_says_why(running: Training, people: list[User]) -> None:
    drop_participants(
        training=running, leaving=[people[0].pk], kind=EventKind.PARTICIPANT_REJECTED, message="Declined."
    )
    assert sent_to(people[0]) == []
    (event,) = events_of(running)
    assert (event.kind, event.user, event.author, event.message) == (
        "participant_rejected",
        people[0],
        None,
        "Declined.",
    )


def test_unknown_users_and_the_same_one_twice_change_nothing(running: Training, people: list[User]) -> None:
    for change in (add_participants, remove_participants):
        for ids in ([uuid4()], [people[0].pk, people[0].pk]):
            with pytest.raises(InvalidRequest):
                change(training_id=running.pk, user=running.actor, user_ids=ids)
    assert running.participants.count() == 2


def test_participants_and_outsiders_change_nobody(running: Training, people: list[User]) -> None:
    for change in (add_participants, remove_participants):
        for user in (people[0], make_user("outsider" + change.__name__)):
            with pytest.raises(NotAllowed):
                change(training_id=running.pk, user=user, user_ids=[people[1].pk])
    assert running.participants.count() == 2


def test_newcomers_are_those_who_joined_since_the_training_failed(running: Training, people: list[User]) -> None:
    make_event(running, EventKind.PARTICIPANT_ADDED, user=people[0])
    make_event(running, EventKind.FAILED)
    mark_failed(running)
    make_event(running, EventKind.PARTICIPANT_ADDED, user=people[1])
    ids = [person.pk for person in people]
    assert newcomers_of(running, ids) == [people[1].pk]
    assert newcomers_of(running, ids[:1]) == []
