"""People come and go, and are told of it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from fl_server_core.exceptions import InvalidRequest, NotAllowed
from fl_server_core.models import EventKind, LocalModel, Training, TrainingInvitation, User
from fl_server_core.services.participants import (
    accept_invitation,
    add_participants,
    drop_participants,
    leave_training,
    newcomers_of,
    remove_participants,
)
from fl_server_core.services.trust import set_trusted_actors
from tests.builders.clients import staff_with
from tests.builders.deliveries import rounds_told_to, sent_to
from tests.builders.rounds import events_of, mark_claimed, mark_completed, mark_failed, passed_on, submissions
from tests.builders.rows import (
    make_delivery,
    make_event,
    make_running,
    make_submission,
    make_training,
    make_training_invitation,
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


def accept(training: Training, user: User) -> None:
    accept_invitation(training_id=training.pk, user=user)


def test_where_consent_is_asked_for_who_is_added_takes_part_once_it_has_accepted(settings: Any) -> None:
    settings.FL_ENROLMENT = "consent"
    training, anna, ben = make_training(make_user("actor")), make_user("anna"), make_user("ben")
    asked = add_participants(training_id=training.pk, user=training.actor, user_ids=[ben.pk, anna.pk])
    assert asked == sorted([anna.pk, ben.pk])
    accept(training, anna)
    accept(training, anna)
    assert list(training.participants.all()) == [anna]
    (event,) = events_of(training, EventKind.PARTICIPANT_ACCEPTED)
    assert (event.user, event.author) == (anna, anna)


def test_who_accepts_in_the_middle_joins_as_one_who_is_added_late(running: Training, settings: Any) -> None:
    settings.FL_ENROLMENT = "consent"
    late = make_user()
    add(running, late)
    assert rounds_told_to(late) == [("TRAINING_INVITATION", None)]
    accept(running, late)
    assert rounds_told_to(late)[1:] == [("TRAINING_START", None), ("UPDATE_ROUND_START", 0)]


def test_who_accepts_while_the_training_is_in_error_hears_of_it_when_it_goes_on(
    running: Training, people: list[User], settings: Any
) -> None:
    settings.FL_ENROLMENT = "consent"
    late = make_user()
    add(running, late)
    make_event(running, EventKind.FAILED)
    mark_failed(running)
    accept(running, late)
    assert sent_to(late) == ["TRAINING_INVITATION"]
    assert newcomers_of(running, [late.pk, people[0].pk]) == [late.pk]


def test_trust_at_the_moment_of_inviting_makes_a_participant_at_once(running: Training, settings: Any) -> None:
    settings.FL_ENROLMENT = "consent"
    trusting, all_trusting, other, later = (make_user() for _ in range(4))
    set_trusted_actors(user=trusting, actors=[running.actor_id])
    set_trusted_actors(user=all_trusting, actors="everyone")
    set_trusted_actors(user=other, actors=[other.pk])
    add(running, trusting, all_trusting, other, later)
    set_trusted_actors(user=later, actors="everyone")  # too late for this invitation
    joined = {trusting, all_trusting}
    assert joined <= set(running.participants.all())
    assert not {other, later} & set(running.participants.all())
    assert rounds_told_to(trusting) == [("TRAINING_START", None), ("UPDATE_ROUND_START", 0)]
    added = events_of(running, EventKind.PARTICIPANT_ADDED)
    assert {(event.user, event.author, event.message) for event in added} == {
        (user, running.actor, "Takes part without being asked.") for user in joined
    }
    assert {row.user for row in TrainingInvitation.objects.filter(state="accepted", settled_at__isnull=False)} == joined
    add(running, later)  # asked again: now the trust counts
    assert running.participants.filter(pk=later.pk).exists()
    assert list(later.training_invitations.values_list("state", flat=True)) == ["accepted"]


def test_who_adds_itself_has_consented(running: Training, settings: Any) -> None:
    settings.FL_ENROLMENT = "consent"
    add(running, running.actor)
    clerk = staff_with("change_training")
    add_participants(training_id=running.pk, user=clerk, user_ids=[clerk.pk])
    assert {running.actor, clerk} <= set(running.participants.all())


def test_nobody_is_invited_to_a_training_that_has_ended(running: Training, settings: Any) -> None:
    settings.FL_ENROLMENT = "consent"
    mark_completed(running)
    with pytest.raises(InvalidRequest, match="has ended"):
        add(running, make_user())
    assert not TrainingInvitation.objects.exists()


def test_an_invitation_of_before_is_settled_where_who_is_added_takes_part_at_once(running: Training) -> None:
    anna = make_user()
    make_training_invitation(running, anna)
    add(running, anna)
    assert list(anna.training_invitations.values_list("state", flat=True)) == ["accepted"]
    assert running.participants.filter(pk=anna.pk).exists()


def test_open_enrolment_makes_no_invitation(running: Training) -> None:
    add(running, make_user())
    assert not TrainingInvitation.objects.exists()


def test_who_leaves_is_told_as_one_who_is_removed_and_its_submission_goes(
    running: Training, people: list[User]
) -> None:
    make_submission(running, people[0], update=make_update(running.model, people[0]))  # type: ignore[arg-type]
    leave_training(training_id=running.pk, user=people[0])
    assert sent_to(people[0]) == ["CLIENT_REMOVED"]
    assert submissions(running) == []
    (event,) = events_of(running)
    assert (event.kind, event.user, event.author) == ("participant_left", people[0], people[0])
    with pytest.raises(NotAllowed, match=f"You are not a participant of training {running.pk}!"):
        leave_training(training_id=running.pk, user=people[0])
    leave_training(training_id=running.pk, user=people[1])
    assert Training.objects.get(pk=running.pk).state == "E"  # without participants
