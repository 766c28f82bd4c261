"""A worker that is told to end hands over what it has claimed."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fl_server_ai.rounds.update import Aggregated, UpdateRound
from fl_server_core import stopping
from fl_server_core.models import EventKind
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.due import due_rounds
from fl_server_core.services.files import NewFiles
from fl_server_core.signals import round_handed_over
from tests.builders.rounds import claim_attempts_of, is_held
from tests.builders.storage import stored_files
from tests.builders.waiting import wait_until
from tests.builders.world import World

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nobody_has_said_anything() -> Iterator[None]:
    yield
    stopping.forget()


def full_world() -> World:
    world = World(2, options={"skip_model_tests": True}).start()
    for who in range(2):
        world.update(who, float(who + 1))
    return world


def test_a_closing_that_outlasts_the_stop_is_another_worker_s_at_once_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, told, before = full_world(), [], stored_files()
    compute = UpdateRound.compute

    def compute_until_handed_over(kind: UpdateRound, claim: Claim, files: NewFiles) -> Aggregated:
        result = compute(kind, claim, files)
        stopping.begin_to_stop(0)
        wait_until("the round to be handed over", lambda: not is_held(claim))
        return result

    def hear(training_id: object, **_: object) -> None:
        told.append(training_id)

    round_handed_over.connect(hear)
    monkeypatch.setattr(UpdateRound, "compute", compute_until_handed_over)
    try:
        world.advance()  # it ends, without taking the round again
    finally:
        round_handed_over.disconnect(hear)
    assert (world.round, claim_attempts_of(world.training), told) == (0, 0, [world.training.pk])
    assert stored_files() == before
    assert due_rounds().filter(training=world.training).exists()  # now, and not when the lease would have run out
    stopping.forget()
    monkeypatch.setattr(UpdateRound, "compute", compute)
    world.advance()
    assert world.round == 1
    assert world.weight == pytest.approx(1.5)
    assert EventKind.TAKEN_OVER not in world.history()


def test_a_closing_ends_by_itself_within_the_time_of_the_stop() -> None:
    world = full_world()
    claim = world.claim_full_round()
    stopping.begin_to_stop(60)
    with claim.kept():
        claim.heartbeat()
    assert is_held(claim)
    assert 0 < stopping.seconds_left() <= 60


def test_a_process_that_is_to_end_claims_nothing_more() -> None:
    world = full_world()
    stopping.begin_to_stop(60)
    world.advance()
    assert (world.round, claim_attempts_of(world.training)) == (0, 0)


def test_what_a_process_is_told_its_forks_know_unless_they_begin_anew() -> None:
    pid = os.fork()
    if pid == 0:
        try:
            wait_until("the parent's word", stopping.is_stopping)
            stopping.forget()
            os._exit(42 if not stopping.is_stopping() else 1)
        finally:
            os._exit(2)
    stopping.begin_to_stop(5)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    stopping.begin_to_stop(500)  # the first word holds
    assert stopping.seconds_left() <= 5
    stopping.forget()
    assert not stopping.is_stopping()
