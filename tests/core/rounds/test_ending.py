import pytest

from fl_server_core.rounds.ending import release_all_claims
from fl_server_core.selectors.trainings import lock_training
from tests.builders.deliveries import deliveries_of_round
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def test_a_process_that_is_alone_takes_over_at_once_what_an_earlier_one_had_claimed() -> None:
    world = World().start()
    world.claim_full_round()
    assert world.advance().round == 0
    release_all_claims()
    assert world.advance().round == 1
    assert lock_training(world.training.pk) is not None
    assert not deliveries_of_round(world.training, 0).filter(status="pending", enqueued_at__isnull=False).exists()
