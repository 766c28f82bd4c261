import pytest
from pytest_django import DjangoAssertNumQueries

from fl_server_core.models import EventKind
from fl_server_core.selectors.status import training_history, training_status
from tests.ai.trainer.test_people import pass_the_deadline
from tests.ai.trainer.world import World

pytestmark = pytest.mark.django_db


def test_the_status_says_who_was_told_and_who_is_awaited() -> None:
    world = World(2, options={"round_deadline": 60}).start()
    world.update(0, 1.0)
    status = training_status(world.now)
    assert (status["state"], status["phase"], status["round"]) == ("O", "update", 0)
    assert status["deadline"] - status["since"] == world.now.deadline - world.now.phase_since  # type: ignore[operator]
    first, second = status["participants"]
    assert first["awaited"] is False
    assert first["answered_at"] is not None
    assert second["awaited"] is True
    assert second["answered_at"] is None
    assert second["notification"]["notification_type"] == "UPDATE_ROUND_START"
    assert second["notification"]["status"] == "pending"


def test_the_status_of_a_failed_training_says_why() -> None:
    world = World(2, options={"round_deadline": 60}).start()
    pass_the_deadline(world)
    assert "0 of 2 participants had answered" in training_status(world.now)["failure"]


def test_the_status_takes_as_many_statements_for_many_as_for_few(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    world = World(20).start()
    now = world.now
    with django_assert_num_queries(4):
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
