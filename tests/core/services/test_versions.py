"""Versions are made, restored, described and given up."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
import torch
from django.db import transaction

from fl_server_core.exceptions import Conflict, EntityNotFound, Gone, InvalidRequest, NotAllowed
from fl_server_core.models import EventKind, SWAGModel, Training, User
from fl_server_core.models.model_version import FIRST_MOMENT, store_weights
from fl_server_core.selectors import trainings
from fl_server_core.selectors.models import lock_model
from fl_server_core.services.models import delete_model
from fl_server_core.services.trainings import resume_training, stop_training
from fl_server_core.services.versions import add_moments, describe_version, restore_version
from tests.builders.clients import make_staff
from tests.builders.files import saved, saved_vector, scripted_linear
from tests.builders.rounds import events_of, mark_completed, passed_on, submissions
from tests.builders.rows import (
    make_model,
    make_round,
    make_running,
    make_swag_model,
    make_training,
    make_update,
    make_user,
)
from tests.builders.storage import stored_files
from tests.builders.versions import append, model_of, version
from tests.builders.world import World

pytestmark = pytest.mark.django_db


@pytest.fixture
def training(actor: User) -> Training:
    """A training, completed, of a model with version 0."""
    training = make_running(actor, [])
    mark_completed(training)
    return training


def restore(training: Training, number: int) -> int:
    return restore_version(model_id=training.model_id, number=number, user=training.actor)


def test_a_round_s_version_is_the_next_and_the_current_one(training: Training) -> None:
    append(training)
    model = model_of(training)
    made = version(training, 1)
    assert model.current_version == made
    assert (model.round, made.round, made.size) == (1, 1, len(b"version 1"))
    assert made.made_by == make_round(training, number=0)
    assert model.weights == b"version 1"


def test_a_restored_version_is_the_newest_with_the_same_file_and_the_round_stays(training: Training) -> None:
    append(training, 3)
    assert restore(training, 1) == 4
    old, new = version(training, 1), version(training, 4)
    assert new.weights == old.weights
    assert new.made_by == old.made_by  # so a server optimizer goes on from there
    assert new.file("optimizer_state") == old.file("optimizer_state")
    model = model_of(training)
    assert (model.current_version, model.round) == (new, 3)
    (event,) = events_of(training, EventKind.VERSION_RESTORED)
    assert (event.author, event.round, event.model) == (training.actor, 3, model)
    assert event.figures == {"version": 1, "restored_as": 4}


def test_a_model_without_a_training_is_restored_too(actor: User) -> None:
    model = make_model(actor)
    model.weights = b"second"
    model.save()
    assert restore_version(model_id=model.pk, number=0, user=actor) == 2
    model.refresh_from_db()
    assert model.weights == scripted_linear()
    assert model.events.get().training is None


def test_moments_are_restored_with_their_version(actor: User) -> None:
    model = make_swag_model(actor)
    model.swag_first_moment = saved_vector(1.0)
    model.save()
    model.weights = b"second"
    model.swag_first_moment = saved_vector(2.0)
    model.save()
    restore_version(model_id=model.pk, number=0, user=actor)
    assert SWAGModel.objects.get(pk=model.pk).first_moment.tolist() == [1.0]


def test_nothing_is_restored_while_the_training_runs(actor: User) -> None:
    training = make_running(actor, [make_user()])
    with pytest.raises(Conflict, match="Stop the training first"):
        restore(training, 0)
    assert model_of(training).versions.count() == 1


def test_nothing_is_restored_under_a_training_that_is_registered_meanwhile(
    actor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(actor)
    lock = lock_model

    def start_first(model_id: UUID) -> Any:
        make_running(actor, [make_user()], model=model)
        return lock(model_id)

    monkeypatch.setattr(trainings, "lock_model", start_first)
    with pytest.raises(Conflict, match="registered at the same moment"):
        restore_version(model_id=model.pk, number=0, user=actor)
    assert model.versions.count() == 1


def test_what_is_no_longer_kept_is_gone_and_what_never_was_is_not_there(training: Training) -> None:
    training.options = {"keep_versions": 2}
    append(training, 4)
    describe: dict[str, Any] = {"model_id": training.model_id, "user": training.actor, "name": "too late"}
    with pytest.raises(Gone, match=f"Version 1 of model {training.model_id} is no longer kept."):
        restore(training, 1)
    with pytest.raises(Gone):
        describe_version(number=1, **describe)
    with pytest.raises(InvalidRequest, match="has no version 9"):
        restore(training, 9)
    with pytest.raises(InvalidRequest, match="has no version 9"):
        describe_version(number=9, **describe)


def test_a_restored_version_makes_a_failed_training_ask_for_its_updates_again() -> None:
    world = World(2, options={"round_deadline": 60}).start()
    world.update(0, 1.0)
    world.pass_the_deadline()
    assert world.state == ("E", "update")
    restore_version(model_id=world.training.model_id, number=0, user=world.actor)
    assert submissions(world.training) == []
    resume_training(training_id=world.training.pk, user=world.actor)
    assert [row.status for row in world.sent("UPDATE_ROUND_START")][-2:] == ["pending", "pending"]


def test_a_restored_version_ends_the_chains_of_a_failed_training() -> None:
    options = {"daisy_chain_period": 3, "round_deadline": 60}
    world = World(2, aggregation_method="FedDC", options=options).start()
    for who in range(2):
        world.update(who, 1.0)
    world.advance().pass_the_deadline()
    assert passed_on() != []
    assert world.state == ("E", "update")
    restore_version(model_id=world.training.model_id, number=0, user=world.actor)
    assert passed_on() == []


@pytest.mark.parametrize("who", ["outsider", "participant"])
def test_others_may_neither_restore_nor_describe(who: str) -> None:
    world = World(1).start()
    stop_training(training_id=world.training.pk, user=world.actor)
    user = make_user("outsider") if who == "outsider" else world.people[0]
    for change in (restore_version, describe_version):
        with pytest.raises(NotAllowed):
            change(model_id=world.training.model_id, number=0, user=user)


def test_the_actor_and_operators_may(actor: User) -> None:
    training = make_training(actor, [], make_model(make_user("owner")))
    for user in (actor, training.model.owner, make_staff()):
        describe_version(model_id=training.model_id, number=0, user=user, name=user.username)
        assert version(training, 0).name == user.username
    assert restore_version(model_id=training.model_id, number=0, user=actor) == 1


def test_a_description_leaves_alone_what_is_not_given(training: Training) -> None:
    first: dict[str, Any] = {"model_id": training.model_id, "number": 0, "user": training.actor}
    describe_version(**first, name="start", pinned=True)
    describe_version(**first, pinned=False)
    assert (version(training, 0).name, version(training, 0).pinned) == ("start", False)
    describe_version(**first, name="")
    assert version(training, 0).name == ""


def test_an_update_has_no_versions_and_a_deleted_model_is_not_found(training: Training) -> None:
    update = make_update(model_of(training), training.actor)
    with pytest.raises(InvalidRequest, match="local model"):
        restore_version(model_id=update.pk, number=0, user=training.actor)
    delete_model(model_id=training.model_id, user=training.actor)
    for unknown in (training.model_id, uuid4()):
        with pytest.raises(EntityNotFound, match="GlobalModel"):
            restore_version(model_id=unknown, number=0, user=training.actor)


@pytest.mark.django_db(transaction=True)
def test_new_moments_replace_those_of_the_current_version(actor: User) -> None:
    model = make_swag_model(actor, weights=saved(torch.nn.Linear(1, 1)))
    before = stored_files()
    for number in (1.0, 2.0):
        name = store_weights(saved_vector(number)).name
        with transaction.atomic():
            add_moments(model=model, files={FIRST_MOMENT: name})
    assert SWAGModel.objects.get(pk=model.pk).first_moment.tolist() == [2.0]
    assert stored_files() - before == {name}
    bare = SWAGModel.objects.create(owner=actor, name="bare")
    with transaction.atomic(), pytest.raises(InvalidRequest, match="no version"):
        add_moments(model=bare, files={})
