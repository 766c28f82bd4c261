import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from django.db import InterfaceError, OperationalError
from django.db.models.fields.files import FieldFile
from django.utils import timezone
from pytest_django import Settings

from fl_server_ai.rounds import update as update_round
from fl_server_ai.rounds.update import Aggregated, UpdateRound
from fl_server_ai.trainer import ModelTrainer
from fl_server_core.archive import Archive
from fl_server_core.exceptions import WrongRound
from fl_server_core.models import EventKind
from fl_server_core.rounds.claims import Claim, ClaimLost
from fl_server_core.rounds.due import MAX_ATTEMPTS, due_rounds
from fl_server_core.selectors.status import training_status
from fl_server_core.services.files import NewFiles, open_stored, open_weights
from fl_server_core.services.trainings import resume_training, stop_training
from tests.builders.files import linear, saved
from tests.builders.rounds import (
    date_problem_back,
    fail_next_renewal,
    is_held,
    lease_of,
    set_claim_attempts,
    take_the_claim_away,
)
from tests.builders.storage import file_name_of, make_newer, stored_files
from tests.builders.waiting import wait_until
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def test_a_claimed_round_is_left_to_its_worker_until_the_lease_runs_out() -> None:
    world = World().start()
    world.claim_full_round()
    world.advance()
    assert world.round == 0
    world.let_the_lease_run_out()
    world.advance()
    assert world.round == 1
    assert world.weight == pytest.approx(2.0)
    assert EventKind.TAKEN_OVER in world.history()


def test_a_worker_that_lost_its_claim_writes_nothing_and_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(options={"skip_model_tests": True}).start()
    for who in range(3):
        world.update(who, float(who + 1))
    compute = UpdateRound.compute

    def compute_slowly(kind: UpdateRound, claim: Claim, files: NewFiles) -> Aggregated:
        result = compute(kind, claim, files)
        monkeypatch.setattr(UpdateRound, "compute", compute)
        world.let_the_lease_run_out()
        ModelTrainer(world.training).advance()  # somebody else takes over and closes the round
        return result

    monkeypatch.setattr(UpdateRound, "compute", compute_slowly)
    before = stored_files()
    world.advance()
    assert world.round == 1
    assert world.history().count(EventKind.AGGREGATED) == 1
    assert stored_files() - before == {file_name_of(world.model)}


def test_who_leaves_after_the_claim_still_counts() -> None:
    world = World().start()
    world.claim_full_round()
    world.remove(2)
    world.let_the_lease_run_out()
    world.advance()
    assert world.weight == pytest.approx(2.0)


def test_a_claimed_round_takes_no_other_update_but_the_same_bytes() -> None:
    world = World(1).start()
    world.claim_full_round()
    world.update(0, 1.0)
    with pytest.raises(WrongRound):
        world.update(0, 7.0)


def test_a_round_that_no_worker_can_close_puts_the_training_into_error() -> None:
    world = World().start()
    world.claim_full_round()
    set_claim_attempts(world.training)
    world.let_the_lease_run_out()
    world.advance()
    assert world.state == ("E", "update")
    assert "attempts" in world.event(EventKind.FAILED).message


def endless_link(folder: Path) -> Path:
    """A path at which every call fails with an error of the storage."""
    path = folder / "link"
    path.symlink_to(path)
    return path


def fail_often(world: World, error: type[OSError]) -> None:
    for _attempt in range(MAX_ATTEMPTS + 1):
        world.let_the_lease_run_out()
        if world.state != ("E", "update"):
            with suppress(error):
                world.advance()


def test_a_storage_that_fails_for_a_while_uses_up_no_attempt(settings: Settings, tmp_path: Path) -> None:
    world = World(options={"skip_model_tests": True}).start()
    world.claim_full_round()
    folder, settings.FILE_UPLOAD_TEMP_DIR = settings.FILE_UPLOAD_TEMP_DIR, endless_link(tmp_path)
    fail_often(world, OSError)
    status = training_status(world.now)
    assert status["problem"] == "The file storage fails: Too many levels of symbolic links."
    assert status["problem_since"] is not None
    assert world.history().count(EventKind.TAKEN_OVER) == 1  # from the one that claimed first
    settings.FILE_UPLOAD_TEMP_DIR = folder
    world.let_the_lease_run_out()
    world.advance()
    assert world.round == 1
    assert world.weight == pytest.approx(2.0)
    assert training_status(world.now)["problem"] is None


def test_a_storage_that_fails_for_a_day_ends_the_training(settings: Settings, tmp_path: Path) -> None:
    world = World().start()
    world.claim_full_round()
    settings.FILE_UPLOAD_TEMP_DIR = endless_link(tmp_path)
    world.let_the_lease_run_out()
    with pytest.raises(OSError, match="symbolic links"):
        world.advance()
    date_problem_back(world.training, timedelta(hours=25))
    fail_often(world, OSError)
    assert world.state == ("E", "update")


def test_a_folder_that_is_not_there_does_not_come_back_by_itself(settings: Settings, tmp_path: Path) -> None:
    world = World().start()
    world.claim_full_round()
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "nowhere"
    fail_often(world, FileNotFoundError)
    assert world.state == ("E", "update")


def test_a_training_stopped_while_a_worker_computes_stays_stopped() -> None:
    world = World().start()
    claim = world.claim_full_round()
    stop_training(training_id=world.training.pk, user=world.actor)
    assert not is_held(claim)
    world.advance()
    assert (world.round, *world.state) == (0, "E", "idle")


@pytest.mark.django_db(transaction=True)
def test_the_lease_is_renewed_while_the_worker_is_busy_with_something_long(settings: Settings) -> None:
    settings.FL_LEASE_SECONDS = 0.3
    world = World().start()
    claim = world.claim_full_round()
    first = lease_of(world.training)
    with claim.kept():
        wait_until("a renewed lease", lambda: lease_of(world.training) > first + timedelta(seconds=1))
        claim.heartbeat()
        take_the_claim_away(world.training)
        wait_until("the loss to be noticed", claim._lost.is_set)
        with pytest.raises(ClaimLost):
            claim.heartbeat()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("error", [OperationalError("away"), InterfaceError("already closed")])
def test_a_database_that_is_away_for_a_moment_costs_no_lease(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    settings.FL_LEASE_SECONDS = 0.3
    world = World().start()
    claim = world.claim_full_round()
    first = lease_of(world.training)
    failures = fail_next_renewal(monkeypatch, error)
    with claim.kept():
        wait_until("a renewed lease", lambda: lease_of(world.training) > first + timedelta(seconds=1))
    assert failures == []


@pytest.mark.django_db(transaction=True)
def test_a_worker_without_progress_lets_the_lease_run_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_server_core.rounds.claims.HANGING_LEASES", 0)
    settings.FL_LEASE_SECONDS = 0.3
    world = World().start()
    claim = world.claim_full_round()
    with claim.kept():
        wait_until("the end of the lease", lambda: lease_of(world.training) < timezone.now())
        world.advance()
    assert world.round == 1
    assert not is_held(claim)


@pytest.mark.django_db(transaction=True)
def test_files_that_come_slowly_cost_no_claim(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FL_LEASE_SECONDS = 0.3
    world = World(options={"skip_model_tests": True}).start()
    for who in range(3):
        world.update(who, float(who + 1))
    seen: list[bool] = []

    @contextmanager
    def slowly(file: FieldFile, like: Archive | None) -> Iterator[Archive]:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            seen.append(due_rounds().exists())
            time.sleep(0.05)
        with open_stored(file, like) as archive:
            yield archive

    monkeypatch.setattr(update_round, "open_stored", slowly)
    world.advance()
    assert world.round == 1
    assert len(seen) > 10
    assert not any(seen)


@pytest.mark.parametrize("method", ["averaging", "moments"])
def test_computing_a_round_shows_progress_with_each_file(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(3, swag=method == "moments").start()
    for who in range(3):
        world.update(who, 1.0)
    if method == "moments":
        world.advance()
        for who in range(3):
            world.moments(who, torch.ones(8), torch.ones(8))
    beats: list[Claim] = []
    monkeypatch.setattr(Claim, "heartbeat", lambda claim: beats.append(claim))
    world.advance()
    assert len(beats) >= 3
    assert world.round == 1


def test_after_an_error_a_claimed_answer_is_open_again_and_leaves_with_its_participant() -> None:
    world = World().start()
    world.claim_full_round()
    set_claim_attempts(world.training)
    world.let_the_lease_run_out()
    world.advance()
    world.remove(2)
    resume_training(training_id=world.training.pk, user=world.actor)
    world.advance()
    assert world.weight == pytest.approx(1.5)


def test_a_row_that_was_read_before_a_newer_version_came_still_opens_its_own() -> None:
    world = World(1, options={"skip_model_tests": True}).start()
    outdated = world.model
    make_newer(outdated, saved(linear(5.0)))
    with open_weights(outdated) as archive:
        assert float(archive.array("0.weight")[0, 0]) == 0.0
    with open_weights(world.model) as archive:
        assert float(archive.array("0.weight")[0, 0]) == 5.0
