"""Who takes part in a training: coming, going, and being told of it."""

from __future__ import annotations

import pytest

from fl_server_core.exceptions import InvalidRequest, NotAllowed
from fl_server_core.models import EventKind
from fl_server_core.services.participants import add_participants, remove_participants
from tests.builders.deliveries import sent_to
from tests.builders.rounds import events_of, submissions
from tests.builders.rows import make_user
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def test_one_who_joins_a_running_training_is_told_of_it_and_of_the_open_round() -> None:
    world, newcomer = World(1).start(), make_user()
    for _time in range(2):  # the second changes nothing
        add_participants(training_id=world.training.pk, user=world.actor, user_ids=[newcomer.pk])
    assert sent_to(newcomer) == ["TRAINING_START", "UPDATE_ROUND_START"]
    [event] = events_of(world.training, EventKind.PARTICIPANT_ADDED)
    assert (event.user, event.author) == (newcomer, world.actor)


def test_one_who_joins_while_the_round_is_closed_hears_of_the_next_round_only() -> None:
    world, newcomer = World(1).start(), make_user()
    world.claim_full_round()
    add_participants(training_id=world.training.pk, user=world.actor, user_ids=[newcomer.pk])
    assert sent_to(newcomer) == ["TRAINING_START"]


def test_what_a_leaver_submitted_goes_along_and_the_others_close_the_round() -> None:
    world = World(2).start()
    world.update(0, 1.0)
    world.update(1, 5.0)
    remove_participants(training_id=world.training.pk, user=world.actor, user_ids=[world.people[1].pk])
    assert [one.participant for one in submissions(world.training)] == [world.people[0]]
    assert world.advance().weight == 1.0
    assert sent_to(world.people[1])[-1] == "CLIENT_REMOVED"


def test_without_participants_a_running_training_fails() -> None:
    world = World(2).start()
    world.remove(0, 1)
    assert world.state == ("E", "update")
    assert world.event(EventKind.FAILED).message == "No participant is left."


def test_unknown_and_repeated_users_and_strangers_are_refused() -> None:
    world = World(1)
    twice = [world.people[0].pk] * 2
    for ids in (twice, [world.training.pk]):
        with pytest.raises(InvalidRequest, match="Not all provided users were found!"):
            add_participants(training_id=world.training.pk, user=world.actor, user_ids=ids)
    with pytest.raises(NotAllowed):
        remove_participants(training_id=world.training.pk, user=world.people[0], user_ids=[world.people[0].pk])
