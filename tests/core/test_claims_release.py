import pytest

from fl_server_core.models import Delivery
from fl_server_core.services.rounds import lock_training, release_all_claims
from tests.ai.trainer.test_claims import full_round
from tests.ai.trainer.world import World

pytestmark = pytest.mark.django_db


def test_a_process_that_is_alone_takes_over_at_once_what_an_earlier_one_had_claimed() -> None:
    world = World().start()
    full_round(world)
    assert world.advance().round == 0
    release_all_claims()
    assert world.advance().round == 1
    assert lock_training(world.training.pk) is not None
    assert not Delivery.objects.filter(status="pending", enqueued_at__isnull=False, round=0).exists()
