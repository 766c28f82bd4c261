import pytest

from fl_server_core.exceptions import WrongRound, WrongState
from fl_server_core.models import LocalModel, Metric
from tests.builders.rounds import set_round, submissions
from tests.builders.rows import make_update
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def test_a_round_closes_with_the_mean_weighted_by_sample_size() -> None:
    world = World().start()
    for who, value, size in ((0, 1.0, 10), (1, 2.0, 20), (2, 6.0, 70)):
        world.update(who, value, size=size)
    world.advance()
    assert world.weight == pytest.approx((10 * 1 + 20 * 2 + 70 * 6) / 100)
    assert (world.round, *world.state) == (1, "O", "test")


def test_a_round_waits_for_the_last_participant() -> None:
    world = World().start()
    world.update(0, 1.0)
    world.update(1, 1.0)
    world.advance()
    assert (world.round, *world.state) == (0, "O", "update")


def test_a_training_ends_after_its_target_and_everybody_hears_of_it_once() -> None:
    world = World(target_num_updates=2).start()
    for _round in range(2):
        for who in range(3):
            world.update(who, 1.0)
        world.advance()
        for who in range(3):
            world.metrics(who)
        world.advance()
    assert (world.round, *world.state) == (2, "C", "idle")
    told = [delivery.receiver for delivery in world.sent("TRAINING_FINISHED")]
    assert sorted(user.username for user in told) == ["actor", "p0", "p1", "p2"]
    assert world.history() == ["started", "aggregated", "tested", "aggregated", "tested", "finished"]


def test_each_round_start_names_round_and_model() -> None:
    world = World(1).start()
    world.update(0, 1.0)
    world.advance()
    world.metrics(0)
    world.advance()
    model = str(world.training.model_id)
    assert [delivery.body for delivery in world.sent("UPDATE_ROUND_START")] == [
        {"round": 0, "global_model_uuid": model},
        {"round": 1, "global_model_uuid": model},
    ]
    assert [delivery.body for delivery in world.sent("MODEL_TEST_ROUND")] == [{"round": 1, "global_model_uuid": model}]


def test_updates_and_their_metrics_are_removed_after_aggregation() -> None:
    world = World(1).start()
    world.update(0, 1.0, metrics=[("loss", "0.25")])
    assert Metric.objects.count() == 1
    world.advance()
    assert not LocalModel.objects.exists()
    assert not Metric.objects.exists()


def test_a_later_training_of_the_same_model_leaves_the_updates_of_an_earlier_one() -> None:
    world = World(1).start()
    earlier = make_update(world.model, world.people[0])
    world.update(0, 1.0)
    world.advance()
    assert list(LocalModel.objects.all()) == [earlier]


def test_updates_stay_where_the_options_say_so() -> None:
    world = World(1, options={"delete_local_models_after_aggregation": False}).start()
    world.update(0, 1.0)
    world.advance()
    assert LocalModel.objects.count() == 1


def test_without_tests_the_next_round_follows_at_once() -> None:
    world = World(1, options={"skip_model_tests": True}).start()
    world.update(0, 1.0)
    world.advance()
    assert (world.round, *world.state) == (1, "O", "update")


def test_only_the_final_model_is_tested_where_the_options_say_so() -> None:
    world = World(1, options={"model_test_after_each_round": False}).start()
    world.update(0, 1.0)
    world.advance()
    assert world.state == ("O", "update")
    world.update(0, 1.0)
    world.advance()
    assert world.state == ("O", "test")


def test_a_copy_of_a_finished_model_trains_its_full_target() -> None:
    world = World(1, options={"skip_model_tests": True})
    set_round(world.training, 7)
    world.start()
    for expected in (8, 9):
        world.update(0, 1.0)
        world.advance()
        assert world.round == expected
    assert world.state == ("C", "idle")


def test_a_repeat_replaces_the_earlier_update() -> None:
    world = World(2).start()
    world.update(0, 100.0)
    world.update(0, 2.0)
    assert LocalModel.objects.count() == 1
    world.update(1, 4.0)
    world.advance()
    assert world.weight == pytest.approx(3.0)


def test_the_same_bytes_after_the_round_change_nothing_and_others_are_refused() -> None:
    world = World(2).start()
    world.update(0, 1.0)
    world.update(1, 3.0)
    world.advance()
    world.update(0, 1.0, number=0)
    assert not LocalModel.objects.exists()
    with pytest.raises(WrongRound) as refusal:
        world.update(0, 5.0, number=0)
    assert refusal.value.messages[1] == "The current round is 1."


def test_an_update_during_the_test_round_counts_for_the_next() -> None:
    world = World(1).start()
    world.update(0, 1.0)
    world.advance()
    world.update(0, 5.0, number=1)
    world.advance()
    assert (world.round, *world.state) == (1, "O", "test")
    world.metrics(0)
    world.advance()
    assert world.round == 2
    assert world.weight == pytest.approx(5.0)


def test_no_update_is_taken_during_the_final_test() -> None:
    world = World(1, target_num_updates=1).start()
    world.update(0, 1.0)
    world.advance()
    with pytest.raises(WrongRound):
        world.update(0, 1.5, number=1)


def test_a_finished_training_takes_no_update() -> None:
    world = World(1, target_num_updates=1, options={"skip_model_tests": True}).start()
    world.update(0, 1.0)
    world.advance()
    with pytest.raises(WrongState, match="is in state C"):
        world.update(0, 2.0)


def test_only_metrics_of_participants_answer_the_test_round() -> None:
    world = World(2).start()
    for who in range(2):
        world.update(who, 1.0)
    world.advance()
    world.people.append(world.actor)
    world.metrics(2)
    world.metrics(0)
    world.advance()
    assert world.state == ("O", "test")
    assert len(submissions(kind="test")) == 1
    world.metrics(1)
    world.advance()
    assert world.state == ("O", "update")
