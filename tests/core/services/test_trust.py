from __future__ import annotations

from uuid import uuid4

import pytest

from fl_server_core.exceptions import InvalidRequest
from fl_server_core.models import Event, EventKind, User
from fl_server_core.selectors.training_invitations import EVERYONE, trusted_actors_of, trusting
from fl_server_core.services.accounts import delete_user
from fl_server_core.services.trust import set_trusted_actors
from tests.builders.clients import make_operator

pytestmark = pytest.mark.django_db


def test_a_user_trusts_some_everyone_or_nobody(anna: User, actor: User, owner: User) -> None:
    assert trusted_actors_of(anna) == []
    set_trusted_actors(user=anna, actors=[owner.pk, actor.pk])
    assert trusted_actors_of(anna) == [actor.pk, owner.pk]
    assert trusting(actor.pk, {anna.pk, owner.pk}) == {anna.pk}
    set_trusted_actors(user=anna, actors=EVERYONE)
    assert trusted_actors_of(anna) == EVERYONE
    assert trusting(anna.pk, {anna.pk, owner.pk}) == {anna.pk}
    set_trusted_actors(user=anna, actors=[])
    assert trusted_actors_of(anna) == []
    assert trusting(actor.pk, {anna.pk}) == set()


def test_each_change_is_in_the_history_and_no_change_is_not(anna: User, actor: User) -> None:
    for actors in ([actor.pk], [actor.pk], EVERYONE, EVERYONE, []):
        set_trusted_actors(user=anna, actors=actors)
    events = list(Event.objects.filter(kind=EventKind.TRUST_CHANGED))
    assert [event.figures["trusted_actors"] for event in events] == [[str(actor.pk)], "everyone", []]
    assert {(event.user, event.author) for event in events} == {(anna, anna)}


def test_unknown_actors_and_one_twice_are_refused_and_the_trust_stays(anna: User, actor: User) -> None:
    set_trusted_actors(user=anna, actors=[actor.pk])
    for actors in ([uuid4()], [actor.pk, actor.pk]):
        with pytest.raises(InvalidRequest, match="Not all provided users"):
            set_trusted_actors(user=anna, actors=actors)
    assert trusted_actors_of(anna) == [actor.pk]


def test_a_deleted_actor_is_trusted_no_more(anna: User, actor: User) -> None:
    set_trusted_actors(user=anna, actors=[actor.pk])
    delete_user(user=actor, author=make_operator())
    assert trusted_actors_of(anna) == []
