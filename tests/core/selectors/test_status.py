from datetime import timedelta

import pytest
from pytest_django import DjangoAssertNumQueries

from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models import Delivery, EventKind, Round
from fl_server_core.selectors.status import training_history, training_status
from fl_server_core.services.models import delete_model
from fl_server_core.services.trainings import resume_training, stop_training
from tests.builders.rounds import deadline_of, open_since
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def test_the_status_says_who_was_told_and_who_is_awaited() -> None:
    world = World(2, options={"round_deadline": 60}).start()
    world.update(0, 1.0)
    status = training_status(world.now)
    assert (status["state"], status["phase"], status["round"]) == ("O", "update", 0)
    assert (status["deadline"], status["since"]) == (deadline_of(world.training), open_since(world.training))
    assert status["deadline"] - status["since"] == timedelta(seconds=60)
    first, second = status["participants"]
    assert first["awaited"] is False
    assert first["answered_at"] is not None
    assert second["awaited"] is True
    assert second["answered_at"] is None
    assert second["notification"]["notification_type"] == "UPDATE_ROUND_START"
    assert second["notification"]["status"] == "pending"
    assert second["notification"]["body"] == {"round": 0, "global_model_uuid": str(world.model.pk)}


def test_the_status_of_a_failed_training_says_why() -> None:
    world = World(2, options={"round_deadline": 60}).start()
    world.pass_the_deadline()
    assert "0 of 2 participants had submitted" in training_status(world.now)["failure"]


def test_the_status_says_that_a_kind_of_round_is_no_longer_installed() -> None:
    world = World(1).start()
    assert training_status(world.now)["problem"] is None
    Round.objects.update(kind="gone", phase="gone")
    sentence = "No installed package defines rounds of kind 'gone'. Install it again."
    assert (training_status(world.now)["state"], training_status(world.now)["problem"]) == ("O", sentence)


def test_a_training_that_was_resumed_and_then_stopped_has_not_failed() -> None:
    world = World(2, options={"round_deadline": 60}).start()
    world.pass_the_deadline()
    resume_training(training_id=world.training.pk, user=world.actor)
    assert training_status(world.now)["failure"] is None
    stop_training(training_id=world.training.pk, user=world.actor)
    assert (training_status(world.now)["state"], training_status(world.now)["failure"]) == ("E", None)


def test_after_a_resume_the_status_still_says_what_was_told_to_those_who_had_answered() -> None:
    world = World(2, options={"round_deadline": 60}).start()
    world.update(0, 1.0)
    world.pass_the_deadline()
    resume_training(training_id=world.training.pk, user=world.actor)
    told = [person["notification"]["status"] for person in training_status(world.now)["participants"]]
    assert told == ["superseded", "pending"]


def test_the_status_names_what_the_round_start_waits_behind() -> None:
    world = World(1).start()
    first = world.sent("TRAINING_START")[0]
    Delivery.objects.filter(pk=first.pk).update(attempts=3, last_error="Connection refused")
    (person,) = training_status(world.now)["participants"]
    assert (person["notification"]["notification_type"], person["notification"]["attempts"]) == (
        "UPDATE_ROUND_START",
        0,
    )
    assert person["waits_behind"]["notification_type"] == "TRAINING_START"
    assert person["waits_behind"]["last_error"] == "Connection refused"
    Delivery.objects.filter(pk=first.pk).update(status="accepted")
    assert training_status(world.now)["participants"][0]["waits_behind"] is None


def test_the_status_of_a_training_that_was_just_deleted_is_not_found() -> None:
    world = World(1).start()
    found = world.now
    delete_model(model_id=found.model_id, user=world.actor)
    with pytest.raises(EntityNotFound):
        training_status(found)


def test_the_status_takes_as_many_statements_for_many_as_for_few(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    world = World(20).start()
    now = world.now
    with django_assert_num_queries(7):
        assert len(training_status(now)["participants"]) == 20


def test_the_history_tells_what_happened_in_order_and_with_figures() -> None:
    world = World(2).start()
    world.update(0, 1.0, size=3)
    world.update(1, 1.0, size=4)
    world.advance()
    started, aggregated = training_history(world.now)
    assert started.kind == EventKind.STARTED
    assert started.user == world.actor
    assert aggregated.kind == EventKind.AGGREGATED
    assert (aggregated.figures["updates"], aggregated.figures["samples"]) == (2, 7)
