"""Trainings are created, edited, started, stopped, resumed and deleted. With people: tests/ai/trainer/."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from fl_server_core.exceptions import EntityNotFound, InvalidRequest, NotAllowed
from fl_server_core.models import Delivery, Event, EventKind, GlobalModel, LocalModel, Training, User
from fl_server_core.services import trainings
from fl_server_core.services.trainings import (
    delete_training,
    discard_training,
    edit_training,
    resume_training,
    start_training,
    stop_training,
)
from fl_server_core.signals import training_resumed
from tests.builders.clients import make_staff
from tests.builders.deliveries import sent_to
from tests.builders.files import linear, saved
from tests.builders.rounds import events_of, mark_failed, set_round
from tests.builders.rows import (
    make_mean_model,
    make_model,
    make_running,
    make_swag_model,
    make_training,
    make_update,
    make_user,
)

pytestmark = pytest.mark.django_db


def create_training(actor: User, model: GlobalModel | LocalModel, **values: Any) -> Training:
    return trainings.create_training(
        actor=actor,
        model_id=model.pk,
        **{"target_num_updates": 1, "metric_names": [], "aggregation_method": "FedAvg", **values},
    )


def global_of(training: Training) -> GlobalModel:
    return GlobalModel.objects.get(pk=training.model_id)


def test_a_training_is_of_what_was_asked() -> None:
    actor, anna = make_user(), make_user()
    model = make_model(actor)
    training = create_training(actor, model, metric_names=("f1",), participant_ids=[anna.pk])
    training.refresh_from_db()
    assert (training.model_id, training.state, training.first_round) == (model.pk, "I", None)
    assert (training.metric_names, training.options) == (["f1"], {})
    assert list(training.participants.all()) == [anna]
    assert sent_to(anna) == []


def test_what_cannot_be_trained_is_refused() -> None:
    actor, other = make_user(), make_user()
    model = make_model(actor)
    clipped = make_model(actor, weights=saved(linear())[:-40])
    refused: list[tuple[GlobalModel | LocalModel, dict[str, Any], str]] = [
        (make_update(model, actor), {}, "is a local model"),
        (model, {"uncertainty_method": "SWAG"}, "needs a model of type SWAG"),
        (model, {"uncertainty_method": "ENSEMBLE"}, "needs a model of type MEAN"),
        (clipped, {}, "cannot be trained"),
        (make_mean_model(actor, [model]), {"uncertainty_method": "SWAG"}, "needs a model of type SWAG"),
        (GlobalModel.objects.create(owner=actor, name="empty"), {}, "has no weights to train"),
        (model, {"participant_ids": [uuid4()]}, "Not all provided users"),
    ]
    for subject, values, reason in refused:
        with pytest.raises(InvalidRequest, match=reason):
            create_training(actor, subject, **values)
    for user in (other, make_staff()):
        with pytest.raises(NotAllowed):
            create_training(user, model)
    assert not Training.objects.exists()
    assert create_training(actor, make_mean_model(actor, [model]), uncertainty_method="ENSEMBLE").state == "I"
    assert create_training(actor, make_swag_model(actor), uncertainty_method="SWAG").state == "I"


def test_a_start_tells_everybody_and_is_in_the_history() -> None:
    actor, anna = make_user(), make_user()
    training = make_training(actor, [anna], make_model(actor, round=3))
    start_training(training_id=training.pk, user=actor)
    training.refresh_from_db()
    assert (training.state, training.first_round) == ("O", 3)
    assert sent_to(anna) == ["TRAINING_START", "UPDATE_ROUND_START"]
    assert [(event.kind, event.author, event.round) for event in events_of(training)] == [("started", actor, 3)]
    with pytest.raises(InvalidRequest, match="is not in state INITIAL!"):
        start_training(training_id=training.pk, user=actor)


def test_a_training_without_participants_or_of_a_mean_does_not_start() -> None:
    actor = make_user()
    with pytest.raises(InvalidRequest, match="At least one participant must be registered!"):
        start_training(training_id=make_training(actor).pk, user=actor)
    mean = make_mean_model(actor, [make_model(actor)])
    with pytest.raises(InvalidRequest, match="Train these instead"):
        start_training(training_id=make_training(actor, [make_user()], mean).pk, user=actor)
    assert not Delivery.objects.exists()


def test_an_edit_is_in_the_history_and_touches_only_what_may_be_edited() -> None:
    actor = make_user()
    training = make_training(actor)
    values = {"target_num_updates": 9, "options": {"round_deadline": 60}}
    edit_training(training_id=training.pk, user=actor, values=values)
    training.refresh_from_db()
    assert (training.target_num_updates, training.options) == (9, {"round_deadline": 60})
    (event,) = events_of(training, EventKind.EDITED)
    assert (event.author, event.figures) == (actor, {"values": values})
    with pytest.raises(ValueError, match="Only metric_names, options, target_num_updates"):
        edit_training(training_id=training.pk, user=actor, values={"state": "C"})


def test_a_stopped_training_is_completed_only_if_it_has_closed_a_round() -> None:
    for closed, state in ((0, "E"), (1, "C")):
        training = make_running(make_user(), [make_user()])
        set_round(training, closed)
        stop_training(training_id=training.pk, user=training.actor)
        training.refresh_from_db()
        assert training.state == state
        with pytest.raises(InvalidRequest, match="is not running"):
            stop_training(training_id=training.pk, user=training.actor)


def test_a_resume_is_told_within_its_transaction_and_is_in_the_history() -> None:
    actor, anna = make_user(), make_user()
    training = make_running(actor, [anna])
    with pytest.raises(InvalidRequest, match="not in state ERROR"):
        resume_training(training_id=training.pk, user=actor)
    mark_failed(training)
    heard = []

    def listen(training_id: Any, **_others: Any) -> None:
        heard.append(training_id)

    training_resumed.connect(listen)
    try:
        resume_training(training_id=training.pk, user=actor)
    finally:
        training_resumed.disconnect(listen)
    assert heard == [training.pk]
    assert sent_to(anna) == ["UPDATE_ROUND_START"]
    assert [(event.kind, event.author) for event in events_of(training)] == [("resumed", actor)]


def test_a_failed_training_without_participants_is_not_resumed() -> None:
    training = make_running(make_user())
    mark_failed(training)
    with pytest.raises(InvalidRequest, match="At least one participant"):
        resume_training(training_id=training.pk, user=training.actor)


def test_a_deleted_training_leaves_its_model_updates_and_news() -> None:
    actor, anna = make_user(), make_user()
    training = make_running(actor, [anna])
    update = make_update(global_of(training), anna, passed_to=anna)
    delete_training(training_id=training.pk, user=actor)
    assert not Training.objects.exists()
    update.refresh_from_db()
    assert (GlobalModel.objects.count(), update.passed_to) == (1, None)
    delivery = Delivery.objects.get(receiver=anna)
    assert (delivery.notification_type, delivery.training, delivery.training_uuid) == (
        "CLIENT_REMOVED",
        None,
        training.pk,
    )
    discard_training(training.pk, author_id=actor.pk)  # once more: nothing
    event = Event.objects.get(kind=EventKind.DELETED)
    assert (event.author, event.model_id) == (actor, training.model_id)


def test_participants_and_outsiders_steer_nothing() -> None:
    anna = make_user()
    training = make_running(make_user(), [anna])
    for user in (anna, make_user()):
        for steer in (start_training, stop_training, resume_training, delete_training):
            with pytest.raises(NotAllowed):
                steer(training_id=training.pk, user=user)
        with pytest.raises(NotAllowed):
            edit_training(training_id=training.pk, user=user, values={"target_num_updates": 1})
    with pytest.raises(EntityNotFound):
        stop_training(training_id=uuid4(), user=anna)
    stop_training(training_id=training.pk, user=make_staff())
