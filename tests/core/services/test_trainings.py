"""Trainings as they are asked for, edited and removed."""

from __future__ import annotations

from typing import Any

import pytest

from fl_server_core.exceptions import InvalidRequest, NotAllowed
from fl_server_core.models import Event, EventKind, GlobalModel, Training, User
from fl_server_core.services.trainings import create_training, delete_training, edit_training
from tests.builders.rounds import event_of
from tests.builders.rows import make_mean_model, make_model, make_user
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def create(actor: User, model: GlobalModel, **changes: str) -> Training:
    values: dict[str, Any] = {"aggregation_method": "FedAvg", "uncertainty_method": "NONE", **changes}
    return create_training(actor=actor, model_id=model.pk, target_num_updates=1, metric_names=[], **values)


def test_only_the_owner_of_a_model_trains_it() -> None:
    with pytest.raises(NotAllowed):
        create(make_user(), make_model(make_user()))


@pytest.mark.parametrize(("method", "needed"), [("SWAG", "SWAG"), ("ENSEMBLE", "MEAN")])
def test_a_method_names_the_kind_of_model_that_it_needs(method: str, needed: str) -> None:
    actor = make_user()
    with pytest.raises(InvalidRequest, match=f"{method} needs a model of type {needed}"):
        create(actor, make_model(actor), uncertainty_method=method)


def test_a_model_without_weights_cannot_be_trained() -> None:
    actor = make_user()
    empty = GlobalModel.objects.create(owner=actor, name="empty", description="")
    with pytest.raises(InvalidRequest, match="has no weights to train"):
        create(actor, empty)
    assert create(actor, make_mean_model(actor, [make_model(actor)]), uncertainty_method="ENSEMBLE").state == "I"


def test_an_edit_names_its_author_and_a_higher_target_makes_another_round() -> None:
    world = World(1, target_num_updates=1).start()
    world.update(0, 1.0)
    world.advance()
    edit_training(training_id=world.training.pk, user=world.actor, values={"target_num_updates": 2})
    world.metrics(0)
    world.advance()
    assert world.state == ("O", "update")
    event = event_of(world.training, EventKind.EDITED)
    assert event.author == world.actor
    assert event.figures == {"values": {"target_num_updates": 2}}


def test_only_what_is_asked_of_a_training_can_be_edited() -> None:
    world = World(1)
    with pytest.raises(ValueError, match="Only metric_names, options, target_num_updates can be edited"):
        edit_training(training_id=world.training.pk, user=world.actor, values={"state": "C"})
    with pytest.raises(NotAllowed):
        edit_training(training_id=world.training.pk, user=world.people[0], values={"options": {}})


def test_a_deleted_training_leaves_its_model_with_an_event_and_tells_the_participants() -> None:
    world = World(2).start()
    delete_training(training_id=world.training.pk, user=world.actor)
    assert GlobalModel.objects.get().pk == world.training.model_id
    assert [world.statuses(who)[-1][0] for who in range(2)] == ["CLIENT_REMOVED"] * 2
    event = Event.objects.get(kind=EventKind.DELETED)
    assert (event.author, event.model_id) == (world.actor, world.training.model_id)
