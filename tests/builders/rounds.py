"""How rounds stand, and how a test brings them there past the services."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models.fields.files import FieldFile
from django.utils import timezone

from fl_server_ai.trainer.claims import MAX_ATTEMPTS, Claim
from fl_server_core.models import GlobalModel, LocalModel, Model, Phase, Training, User
from fl_server_core.models.training import TrainingState
from fl_server_core.services.rounds import lock_training
from tests.builders.rows import Event, Submission


def _now(training: Training) -> Training:
    return Training.objects.get(pk=training.pk)


def _update(training: Training, **columns: Any) -> None:
    assert Training.objects.filter(pk=training.pk).update(**columns) == 1


# What a training waits for.


def phase_of(training: Training) -> str:
    """The kind of the open round: update, swag or test; idle if none is open."""
    return str(_now(training).phase)


def open_round_as(training: Training, kind: str) -> None:
    """The open round is one of this kind now; nobody is told."""
    _update(training, state=TrainingState.SWAG_ROUND if kind == "swag" else TrainingState.ONGOING, phase=Phase(kind))


def mark_failed(training: Training) -> None:
    """In error, with the round that failed still to be resumed."""
    _update(training, state=TrainingState.ERROR)


def mark_completed(training: Training) -> None:
    _update(training, state=TrainingState.COMPLETED, phase=Phase.IDLE)


def set_round(training: Training, number: int) -> None:
    """So many rounds of the training's model are closed; `training.model` is read again."""
    Model.objects.filter(pk=training.model_id).update(round=number)
    training.refresh_from_db()


def set_model_round(model: GlobalModel, number: int) -> None:
    Model.objects.filter(pk=model.pk).update(round=number)


def deadline_of(training: Training) -> datetime | None:
    return _now(training).deadline


def set_deadline(training: Training, when: datetime) -> None:
    _update(training, deadline=when)


def open_since(training: Training) -> datetime:
    since = _now(training).phase_since
    assert since is not None
    return since


# Claims on the open round.


def is_claimed(training: Training) -> bool:
    return _now(training).locked


def claim_round(training: Training) -> Claim:
    """Claim the open round as a worker does that then says nothing. What is submitted now counts."""
    with transaction.atomic():
        locked = lock_training(training.pk)
        assert locked is not None
        return Claim.take(locked, locked.model.round)


def mark_claimed(training: Training, *, lease_in: float = 0.0) -> None:
    """The open round is claimed by nobody that can be asked, for so many seconds; what is submitted counts."""
    lease = timezone.now() + timedelta(seconds=lease_in)
    _update(training, locked=True, lease_until=lease, claim_attempts=1)
    Submission.objects.filter(training=training, phase=phase_of(training)).update(counted=True)


def lease_of(training: Training) -> datetime:
    lease = _now(training).lease_until
    assert lease is not None
    return lease


def let_the_lease_run_out(training: Training) -> None:
    _update(training, lease_until=timezone.now() - timedelta(seconds=1))


def take_the_claim_away(training: Training) -> None:
    _update(training, claim=None)


def claim_attempts_of(training: Training) -> int:
    return _now(training).claim_attempts


def set_claim_attempts(training: Training, number: int = MAX_ATTEMPTS) -> None:
    """The open round was claimed so often and not closed; the default leaves no further attempt."""
    _update(training, claim_attempts=number)


def date_problem_back(training: Training, by: timedelta) -> None:
    """The storage has failed for so long already."""
    _update(training, problem_since=timezone.now() - by)


def fail_next_renewal(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[Exception]:
    """The database raises this once when a lease is renewed. Returns: a list that is empty when that has happened."""
    failures = [error]
    find = Training.objects.filter

    def fail_once(*args: Any, **filters: Any) -> Any:
        if "claim" in filters and failures:
            raise failures.pop()
        return find(*args, **filters)

    monkeypatch.setattr(Training.objects, "filter", fail_once)
    return failures


# Submissions, updates, history.


def submissions(training: Training | None = None, *, kind: str | None = None) -> list[Submission]:
    """Of this training and kind, or of all."""
    found = Submission.objects.all()
    if training is not None:
        found = found.filter(training=training)
    return list(found if kind is None else found.filter(phase=Phase(kind)))


def drop_submissions(training: Training, participant: User) -> None:
    Submission.objects.filter(training=training, participant=participant).delete()


def kind_of(submission: Submission) -> str:
    return str(submission.phase)


def update_in(submission: Submission) -> LocalModel | None:
    return submission.local_model


def moment_files_of(submission: Submission) -> tuple[FieldFile, FieldFile]:
    return submission.first_moment_file, submission.second_moment_file


def passed_on() -> list[LocalModel]:
    """The models that a participant is to train on (FedDC)."""
    return list(LocalModel.objects.exclude(passed_to=None))


def events_of(training: Training, kind: str | None = None) -> list[Event]:
    """The history, oldest first."""
    found = Event.objects.filter(training_id=training.pk)
    return list(found if kind is None else found.filter(kind=kind))


def event_of(training: Training, kind: str) -> Event:
    """The only one of its kind."""
    (event,) = events_of(training, kind)
    return event
