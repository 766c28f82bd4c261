"""Requests that meet in the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import torch
from django.db import transaction

from fl_server_core.exceptions import Conflict, DomainError, EntityNotFound
from fl_server_core.models import GlobalModel, LocalModel, Model, ModelVersion, SWAGModel, Training, User
from fl_server_core.models.model_version import FIRST_MOMENT, store_weights
from fl_server_core.selectors import trainings as selectors
from fl_server_core.selectors.models import lock_model
from fl_server_core.selectors.trainings import lock_training
from fl_server_core.services import models as services
from fl_server_core.services import trainings
from fl_server_core.services.accounts import delete_user
from fl_server_core.services.models import set_preprocessing
from fl_server_core.services.participants import accept_invitation, add_participants, remove_participants
from fl_server_core.services.versions import add_moments
from tests.builders.clients import make_operator
from tests.builders.files import saved_vector, scripted_linear, uploaded
from tests.builders.rows import (
    make_model,
    make_swag_model,
    make_training,
    make_training_invitation,
    make_update,
    make_user,
)
from tests.builders.storage import file_name_of, make_newer, stored_files, weight_files
from tests.builders.threads import at_once
from tests.builders.world import World

pytestmark = pytest.mark.django_db(transaction=True)


def create_training(actor: User, model: GlobalModel) -> Training:
    return trainings.create_training(
        actor=actor, model_id=model.pk, target_num_updates=1, metric_names=[], aggregation_method="FedAvg"
    )


def test_a_copy_names_the_files_of_its_model_and_keeps_them_when_that_is_deleted() -> None:
    before = stored_files()
    actor = make_user()
    model = make_model(actor)
    first, second = create_training(actor, model), create_training(actor, model)
    assert second.model_id != first.model_id
    assert weight_files() == {file_name_of(model)}
    first.model.delete()
    assert second.model.weights == scripted_linear()
    second.model.delete()
    assert stored_files() == before


def test_a_copy_of_a_model_whose_round_closes_meanwhile_is_that_of_the_newer_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    actor = make_user()
    model = make_model(actor)
    make_training(actor, [actor], model)

    def close_first(found: Any, *_method: Any) -> None:
        make_newer(found, scripted_linear(3.0), round=1)

    monkeypatch.setattr(trainings, "_require_trainable", close_first)
    copy = create_training(actor, model)
    assert copy.model.round == 1
    assert copy.model.weights == scripted_linear(3.0)
    assert list(ModelVersion.objects.filter(model_id=copy.model_id).values_list("number", flat=True)) == [0]


def test_a_copy_keeps_the_preprocessing_that_its_model_gives_up_before_the_copy_is_committed() -> None:
    actor = make_user()
    model = make_model(actor)
    set_preprocessing(model_id=model.pk, user=actor, file=uploaded(scripted_linear(1.0)))
    make_training(actor, [actor], model)
    copied = threading.Event()

    def copy() -> None:
        with transaction.atomic():
            create_training(actor, model)
            copied.set()
            time.sleep(0.5)  # long enough for the other one to be done, if nothing held it up

    def replace() -> None:
        assert copied.wait(30)
        set_preprocessing(model_id=model.pk, user=actor, file=uploaded(scripted_linear(2.0)))

    at_once(copy, replace)
    [clone] = GlobalModel.objects.exclude(pk=model.pk)
    assert clone.preprocessing == scripted_linear(1.0)
    assert GlobalModel.objects.get(pk=model.pk).preprocessing == scripted_linear(2.0)


def test_a_copy_keeps_the_moments_that_its_model_gives_up_before_the_copy_is_committed() -> None:
    actor = make_user()
    model = make_swag_model(actor)
    model.first_moment = torch.ones(8)
    model.save()
    make_training(actor, [actor], model)
    copied = threading.Event()

    def copy() -> None:
        with transaction.atomic():
            create_training(actor, model)
            copied.set()
            time.sleep(0.5)

    def replace() -> None:
        assert copied.wait(30)
        with transaction.atomic():
            newer = store_weights(saved_vector(*[2.0] * 8)).name
            add_moments(model=SWAGModel.objects.get(pk=model.pk), files={FIRST_MOMENT: newer})

    at_once(copy, replace)
    [clone] = SWAGModel.objects.exclude(pk=model.pk)
    assert torch.equal(clone.first_moment, torch.ones(8))
    assert torch.equal(SWAGModel.objects.get(pk=model.pk).first_moment, torch.full((8,), 2.0))


def test_files_given_up_in_a_savepoint_that_is_rolled_back_stay() -> None:
    kept, gone = (make_update(make_model(make_user()), make_user()) for _ in range(2))
    with transaction.atomic():
        gone.delete()
        with suppress(InterruptedError), transaction.atomic():
            kept.delete()
            raise InterruptedError
    assert LocalModel.objects.get().weights == scripted_linear(2.0)
    assert file_name_of(gone) not in stored_files()


def test_an_account_is_not_deleted_while_a_round_that_counts_its_update_is_written() -> None:
    world = World(2, options={"skip_model_tests": True}).start()
    world.claim_full_round()
    world.remove(1)
    leaver, operator = world.people[1], make_operator()
    locked = threading.Event()
    order: list[str] = []

    def write() -> None:
        with transaction.atomic():
            lock_training(world.training.pk)
            locked.set()
            time.sleep(0.5)
            order.append("written")

    def delete() -> None:
        assert locked.wait(30)
        delete_user(user=leaver, author=operator)
        order.append("deleted")

    at_once(write, delete)
    assert order == ["written", "deleted"]
    assert not User.objects.filter(pk=leaver.pk).exists()


def test_an_account_that_is_added_to_a_training_while_it_is_deleted_is_deleted_from_it_or_stays_whole() -> None:
    actor, leaver, operator = make_user(), make_user(), make_operator()
    leaver_id = leaver.pk
    training = make_training(actor, [actor])
    added = threading.Event()

    def add() -> None:
        with transaction.atomic():
            add_participants(training_id=training.pk, user=actor, user_ids=[leaver.pk])
            added.set()
            time.sleep(0.5)

    def delete() -> None:
        assert added.wait(30)
        with suppress(Conflict):  # on PostgreSQL: the training was not known when the deletion began
            delete_user(user=leaver, author=operator)

    at_once(add, delete)
    stayed = User.objects.filter(pk=leaver_id).exists()
    assert training.participants.count() == 1 + stayed
    if stayed:
        delete_user(user=User.objects.get(pk=leaver_id), author=operator)
    assert list(training.participants.all()) == [actor]
    assert not User.objects.filter(pk=leaver_id).exists()


def test_a_deleted_model_leaves_no_file_of_a_preprocessing_that_was_set_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = stored_files()
    actor = make_user()
    model = make_model(actor)
    lock = lock_model

    def set_first(model_id: UUID) -> Model | None:
        monkeypatch.setattr(selectors, "lock_model", lock)
        set_preprocessing(model_id=model.pk, user=actor, file=uploaded(scripted_linear(2.0)))
        return lock(model_id)

    monkeypatch.setattr(selectors, "lock_model", set_first)
    services.delete_model(model_id=model.pk, user=actor)
    assert stored_files() == before


def test_a_preprocessing_for_a_model_that_was_deleted_meanwhile_is_refused_and_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = stored_files()
    actor = make_user()
    model = make_model(actor)
    monkeypatch.setattr(services, "check_module", lambda *_: GlobalModel.objects.get(pk=model.pk).delete())
    with pytest.raises(EntityNotFound):
        set_preprocessing(model_id=model.pk, user=actor, file=uploaded(scripted_linear(2.0)))
    assert stored_files() == before


def test_an_account_that_is_deleted_twice_at_the_same_time_is_gone() -> None:
    operator, leaver = make_operator(), make_user()
    again = User.objects.get(pk=leaver.pk)
    delete_user(user=leaver, author=operator)
    delete_user(user=again, author=operator)
    assert not User.objects.filter(pk=again.pk).exists()


def refusal_of(service: Callable[..., object], **arguments: Any) -> str:
    """Call a service. Returns: the sentence in which it refuses; empty if it doesn't."""
    try:
        service(**arguments)
    except DomainError as error:
        return str(error)
    return ""


def test_an_invitation_that_is_accepted_and_withdrawn_at_once_leaves_nobody_in_the_training() -> None:
    """Whoever comes first: a participant is removed again, and who was withdrawn is refused."""
    actor = make_user()
    for _ in range(5):
        training, guest = make_training(actor), make_user()
        invitation = make_training_invitation(training, guest)
        refused, _none = at_once(
            partial(refusal_of, accept_invitation, training_id=training.pk, user=guest),
            partial(refusal_of, remove_participants, training_id=training.pk, user=actor, user_ids=[guest.pk]),
        )
        invitation.refresh_from_db()
        assert refused in ("", f"You are not invited to training {training.pk}!")
        assert training.participants.count() == 0
        assert invitation.state == ("withdrawn" if refused else "accepted")
        kinds = ["participant_uninvited"] if refused else ["participant_accepted", "participant_removed"]
        assert list(training.events.values_list("kind", flat=True)) == kinds


def test_a_start_that_meets_the_only_acceptance_waits_for_it_or_is_refused() -> None:
    actor = make_user()
    for _ in range(5):
        training, guest = make_training(actor), make_user()
        make_training_invitation(training, guest)
        refused, _none = at_once(
            partial(refusal_of, trainings.start_training, training_id=training.pk, user=actor),
            partial(refusal_of, accept_invitation, training_id=training.pk, user=guest),
        )
        training.refresh_from_db()
        assert refused in ("", "At least one participant must be registered!")
        assert training.state == ("I" if refused else "O")
        assert list(training.participants.all()) == [guest]
        told = [] if refused else ["TRAINING_START", "UPDATE_ROUND_START"]
        assert list(guest.deliveries.order_by("pk").values_list("notification_type", flat=True)) == told


def test_who_accepts_while_the_training_starts_for_another_is_told_once() -> None:
    actor, other = make_user(), make_user()
    for _ in range(5):
        training, guest = make_training(actor, [other]), make_user()
        make_training_invitation(training, guest)
        refusals = at_once(
            partial(refusal_of, trainings.start_training, training_id=training.pk, user=actor),
            partial(refusal_of, accept_invitation, training_id=training.pk, user=guest),
        )
        assert refusals == ["", ""]
        told = guest.deliveries.order_by("pk").values_list("notification_type", flat=True)
        assert list(told) == ["TRAINING_START", "UPDATE_ROUND_START"]


def test_an_account_that_is_deleted_while_it_accepts_leaves_no_participant() -> None:
    actor, operator = make_user(), make_operator()
    for _ in range(3):
        training, guest = make_training(actor), make_user()
        make_training_invitation(training, guest)
        again = User.objects.get(pk=guest.pk)
        at_once(
            partial(refusal_of, accept_invitation, training_id=training.pk, user=again),
            partial(refusal_of, delete_user, user=guest, author=operator),  # refused if it has just joined
        )
        assert training.participants.count() == User.objects.filter(pk=again.pk).count()
