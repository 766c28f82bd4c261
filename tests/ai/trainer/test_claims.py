import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import InterfaceError, OperationalError, transaction
from django.db.models.fields.files import FieldFile
from django.utils import timezone
from pytest_django import Settings

from fl_server_ai.trainer import ModelTrainer, closing
from fl_server_ai.trainer.averaging import AveragingClosing
from fl_server_ai.trainer.claims import MAX_ATTEMPTS, Claim, ClaimLost
from fl_server_ai.trainer.due import trainings_to_look_at
from fl_server_core.exceptions import EntityNotFound, WrongRound
from fl_server_core.models import EventKind, GlobalModel, Training
from fl_server_core.models.files import folder_of_installation, new_file_name
from fl_server_core.models.training_event import TrainingEvent
from fl_server_core.selectors.status import training_status
from fl_server_core.services.files import NewFiles, local_path, open_weights
from fl_server_core.services.participants import remove_participants
from fl_server_core.services.rounds import lock_training
from fl_server_core.services.trainings import resume_training, stop_training
from tests.ai.trainer.world import World, linear, saved
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db


def full_round(world: World) -> Claim:
    """A round in which all updates are there, claimed by a worker that then says nothing."""
    for who in range(len(world.people)):
        world.update(who, float(who + 1))
    training = lock_training(world.training.pk)
    assert training is not None
    return Claim.take(training, world.round)


def let_the_lease_run_out(world: World) -> None:
    Training.objects.filter(pk=world.training.pk).update(lease_until=timezone.now() - timedelta(seconds=1))


def stored_files() -> set[str]:
    root = folder_of_installation()
    folders, _files = default_storage.listdir(root) if default_storage.exists(root) else ([], [])
    return {name for folder in folders for name in default_storage.listdir(f"{root}/{folder}")[1]}


def test_a_claimed_round_is_left_to_its_worker_until_the_lease_runs_out() -> None:
    world = World().start()
    full_round(world)
    world.advance()
    assert world.round == 0
    let_the_lease_run_out(world)
    world.advance()
    assert world.round == 1
    assert world.weight == pytest.approx(2.0)
    assert EventKind.TAKEN_OVER in world.events()


def test_a_worker_that_lost_its_claim_writes_nothing_and_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(options={"skip_model_tests": True}).start()
    for who in range(3):
        world.update(who, float(who + 1))
    compute = AveragingClosing.compute

    def compute_slowly(closing: AveragingClosing, files: NewFiles) -> None:
        compute(closing, files)
        monkeypatch.setattr(AveragingClosing, "compute", compute)
        let_the_lease_run_out(world)
        ModelTrainer(world.training).advance()  # somebody else takes over and closes the round

    monkeypatch.setattr(AveragingClosing, "compute", compute_slowly)
    before = stored_files()
    world.advance()
    assert world.round == 1
    assert world.events().count(EventKind.AGGREGATED) == 1
    named = {str(world.model.weights_file.name).rpartition("/")[2]}
    assert stored_files() - before == named


def test_who_leaves_after_the_claim_still_counts() -> None:
    world = World().start()
    full_round(world)
    remove_participants(training_id=world.training.pk, user=world.actor, user_ids=[world.people[2].pk])
    let_the_lease_run_out(world)
    world.advance()
    assert world.weight == pytest.approx(2.0)


def test_a_claimed_round_takes_no_other_update_but_the_same_bytes() -> None:
    world = World(1).start()
    full_round(world)
    world.update(0, 1.0)
    with pytest.raises(WrongRound):
        world.update(0, 7.0)


def test_a_round_that_no_worker_can_close_puts_the_training_into_error() -> None:
    world = World().start()
    full_round(world)
    Training.objects.filter(pk=world.training.pk).update(claim_attempts=MAX_ATTEMPTS)
    let_the_lease_run_out(world)
    world.advance()
    assert world.state == ("E", "update")
    assert "attempts" in TrainingEvent.objects.get(kind=EventKind.FAILED).message


def endless_link(folder: Path) -> Path:
    """A path at which every call fails with an error of the storage."""
    path = folder / "link"
    path.symlink_to(path)
    return path


def fail_often(world: World, error: type[OSError]) -> None:
    for _attempt in range(MAX_ATTEMPTS + 1):
        let_the_lease_run_out(world)
        if world.state != ("E", "update"):
            with suppress(error):
                world.advance()


def test_a_storage_that_fails_for_a_while_uses_up_no_attempt(settings: Settings, tmp_path: Path) -> None:
    world = World(options={"skip_model_tests": True}).start()
    full_round(world)
    folder, settings.FILE_UPLOAD_TEMP_DIR = settings.FILE_UPLOAD_TEMP_DIR, endless_link(tmp_path)
    fail_often(world, OSError)
    status = training_status(world.now)
    assert status["problem"] == "The file storage fails: Too many levels of symbolic links."
    assert status["problem_since"] is not None
    assert world.events().count(EventKind.TAKEN_OVER) == 1  # from the one that claimed first
    settings.FILE_UPLOAD_TEMP_DIR = folder
    let_the_lease_run_out(world)
    world.advance()
    assert world.round == 1
    assert world.weight == pytest.approx(2.0)
    assert training_status(world.now)["problem"] is None


def test_a_storage_that_fails_for_a_day_ends_the_training(settings: Settings, tmp_path: Path) -> None:
    world = World().start()
    full_round(world)
    settings.FILE_UPLOAD_TEMP_DIR = endless_link(tmp_path)
    let_the_lease_run_out(world)
    with pytest.raises(OSError, match="symbolic links"):
        world.advance()
    Training.objects.update(problem_since=timezone.now() - timedelta(hours=25))
    fail_often(world, OSError)
    assert world.state == ("E", "update")


def test_a_folder_that_is_not_there_does_not_come_back_by_itself(settings: Settings, tmp_path: Path) -> None:
    world = World().start()
    full_round(world)
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "nowhere"
    fail_often(world, FileNotFoundError)
    assert world.state == ("E", "update")


def test_a_training_stopped_while_a_worker_computes_stays_stopped() -> None:
    world = World().start()
    claim = full_round(world)
    stop_training(training_id=world.training.pk, user=world.actor)
    assert not claim.is_held_by(world.now)
    world.advance()
    assert (world.round, *world.state) == (0, "E", "idle")


def lease_of(world: World) -> datetime:
    lease = world.now.lease_until
    assert lease is not None
    return lease


def claimed_in_a_transaction(world: World) -> Claim:
    with transaction.atomic():
        return full_round(world)


@pytest.mark.django_db(transaction=True)
def test_the_lease_is_renewed_while_the_worker_is_busy_with_something_long(settings: Settings) -> None:
    settings.FL_LEASE_SECONDS = 0.3
    world = World().start()
    claim = claimed_in_a_transaction(world)
    first = lease_of(world)
    with claim.kept():
        wait_until("a renewed lease", lambda: lease_of(world) > first + timedelta(seconds=1))
        claim.heartbeat()
        Training.objects.filter(pk=world.training.pk).update(claim=None)
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
    claim = claimed_in_a_transaction(world)
    first, failures = lease_of(world), [error]
    find = Training.objects.filter

    def fail_once(*args: Any, **filters: Any) -> Any:
        if "claim" in filters and failures:
            raise failures.pop()
        return find(*args, **filters)

    monkeypatch.setattr(Training.objects, "filter", fail_once)
    with claim.kept():
        wait_until("a renewed lease", lambda: lease_of(world) > first + timedelta(seconds=1))
    assert failures == []


@pytest.mark.django_db(transaction=True)
def test_a_worker_without_progress_lets_the_lease_run_out(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fl_server_ai.trainer.claims.HANGING_LEASES", 0)
    settings.FL_LEASE_SECONDS = 0.3
    world = World().start()
    claim = claimed_in_a_transaction(world)
    with claim.kept():
        wait_until("the end of the lease", lambda: lease_of(world) < timezone.now())
        world.advance()
    assert world.round == 1
    assert not claim.is_held_by(world.now)


@pytest.mark.django_db(transaction=True)
def test_files_that_come_slowly_cost_no_claim(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FL_LEASE_SECONDS = 0.3
    world = World(options={"skip_model_tests": True}).start()
    for who in range(3):
        world.update(who, float(who + 1))
    seen: list[bool] = []

    @contextmanager
    def slowly(file: FieldFile) -> Iterator[Path]:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            seen.append(trainings_to_look_at().exists())
            time.sleep(0.05)
        with local_path(file) as path:
            yield path

    monkeypatch.setattr(closing, "local_path", slowly)
    world.advance()
    assert world.round == 1
    assert len(seen) > 10
    assert not any(seen)


@pytest.mark.parametrize("method", ["averaging", "passing", "moments"])
def test_every_way_to_close_a_round_shows_progress_with_each_file(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    daisy = {"aggregation_method": "FedDC", "options": {"daisy_chain_period": 2}} if method == "passing" else {}
    world = World(3, swag=method == "moments", **daisy).start()  # type: ignore[arg-type]
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
    full_round(world)
    Training.objects.filter(pk=world.training.pk).update(claim_attempts=MAX_ATTEMPTS)
    let_the_lease_run_out(world)
    world.advance()
    remove_participants(training_id=world.training.pk, user=world.actor, user_ids=[world.people[2].pk])
    resume_training(training_id=world.training.pk, user=world.actor)
    world.advance()
    assert world.weight == pytest.approx(1.5)


def test_a_model_whose_file_was_replaced_since_its_row_was_read_is_read_again() -> None:
    world = World(1, options={"skip_model_tests": True}).start()
    outdated = world.model
    default_storage.delete(str(outdated.weights_file.name))
    replaced = default_storage.save(new_file_name(None, ""), ContentFile(saved(linear(5.0))))
    GlobalModel.objects.filter(pk=outdated.pk).update(weights_file=replaced)
    with open_weights(outdated) as archive:
        assert float(archive.array("0.weight")[0, 0]) == 5.0
    world.training.model.delete()
    default_storage.delete(replaced)
    with pytest.raises(EntityNotFound), open_weights(outdated):
        pass
