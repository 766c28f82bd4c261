"""What a restored server does first: leases end, deadlines are put off, everybody hears of the open round again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from fl_server_core.models import AuditEntry, BackupHold, Delivery, Round
from fl_server_core.rounds.due import due_rounds
from fl_server_core.services.backup_holds import begin_hold
from fl_server_core.services.delivery_attempts import claim_due_deliveries
from fl_server_core.services.restored import go_on_after_restore
from tests.builders.rounds import deadline_of
from tests.builders.world import NOWHERE, World

pytestmark = pytest.mark.django_db
A_DAY = timedelta(days=1)
TOLD = ["TRAINING_START", "UPDATE_ROUND_START"]


def restore() -> int:
    return go_on_after_restore(made_at=timezone.now() - A_DAY)


def kinds(world: World, who: int) -> list[str]:
    return [kind for kind, _status in world.statuses(who)]


def test_those_who_are_awaited_hear_of_the_round_again_and_all_that_the_training_starts() -> None:
    world = World(2).start()
    world.update(0, 1.0)
    begin_hold()
    assert restore() == 1
    assert kinds(world, 0) == [*TOLD, "TRAINING_START"]
    assert kinds(world, 1) == [*TOLD, *TOLD]
    assert not BackupHold.objects.exists()
    assert AuditEntry.objects.get(verb="restore").details["running_trainings"] == 1


def test_a_deadline_is_put_off_by_the_time_since_the_backup() -> None:
    world = World(2, options={"round_deadline": 60}).start()
    before = deadline_of(world.training)
    assert before is not None
    restore()
    after = deadline_of(world.training)
    assert after is not None
    assert abs((after - before) - A_DAY) < timedelta(minutes=1)


def test_the_claim_of_a_worker_that_is_gone_and_its_deliveries_are_taken_over_at_once() -> None:
    world = World([NOWHERE, NOWHERE]).start()
    world.claim_full_round()
    Round.objects.update(lease_until=timezone.now() + A_DAY)
    assert not due_rounds().exists()
    Delivery.objects.update(enqueued_at=timezone.now(), next_attempt_at=timezone.now())
    assert claim_due_deliveries() == []
    restore()
    assert due_rounds().get().training == world.training
    assert claim_due_deliveries()
    world.advance()
    assert world.weight == 1.5


def test_trainings_that_are_over_or_have_not_begun_are_left_alone() -> None:
    world = World(1)
    assert restore() == 0
    assert kinds(world, 0) == []
