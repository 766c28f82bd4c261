"""How rounds stand, and how a test brings them there past the services."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db.models.fields.files import FieldFile
from django.utils import timezone

from fl_server_core.models import Event, GlobalModel, LocalModel, Model, Round, Submission, Training, User
from fl_server_core.models.training import TrainingState
from fl_server_core.rounds.claims import Claim, claim_due_round
from fl_server_core.rounds.due import MAX_ATTEMPTS
from fl_server_core.selectors.rounds import open_round_of
from tests.builders.rows import make_round


def _now(training: Training) -> Training:
    return Training.objects.get(pk=training.pk)


def _open(training: Training) -> Round:
    row = open_round_of(training)
    assert row is not None
    return row


def _update(training: Training, **columns: Any) -> None:
    """Change the open round."""
    assert Round.objects.filter(pk=_open(training).pk).update(**columns) == 1


# What a training waits for.


def phase_of(training: Training) -> str:
    """The phase of the open round: update, swag or test; idle if none is open."""
    row = open_round_of(training)
    return row.phase if row else "idle"


def open_round_as(training: Training, kind: str) -> None:
    """The open round is one of this kind now; nobody is told."""
    row = open_round_of(training)
    if row is not None:
        Round.objects.filter(pk=row.pk).update(closed_at=timezone.now())
    state = TrainingState.SWAG_ROUND if kind == "swag" else TrainingState.ONGOING
    Training.objects.filter(pk=training.pk).update(state=state)
    number = Model.objects.get(pk=training.model_id).round
    make_round(training, kind, number, opened_at=timezone.now(), closed_at=None)


def mark_failed(training: Training) -> None:
    """In error, with the round that failed still to be resumed."""
    Training.objects.filter(pk=training.pk).update(state=TrainingState.ERROR)


def mark_completed(training: Training) -> None:
    Training.objects.filter(pk=training.pk).update(state=TrainingState.COMPLETED)
    training.rounds.filter(closed_at=None).update(closed_at=timezone.now())


def set_round(training: Training, number: int) -> None:
    """So many rounds of the training's model are closed; `training.model` is read again."""
    Model.objects.filter(pk=training.model_id).update(round=number)
    _follow(training, number)
    training.refresh_from_db()


def set_model_round(model: GlobalModel, number: int) -> None:
    Model.objects.filter(pk=model.pk).update(round=number)
    for training in Training.objects.filter(model=model):
        _follow(training, number)


def _follow(training: Training, number: int) -> None:
    """The open round is over; one of its kind is open with this number."""
    row = open_round_of(training)
    if row is not None and row.number != number:
        Round.objects.filter(pk=row.pk).update(closed_at=timezone.now())
        make_round(training, row.kind, number, opened_at=row.opened_at)


def deadline_of(training: Training) -> datetime | None:
    return _open(training).deadline


def set_deadline(training: Training, when: datetime) -> None:
    _update(training, deadline=when)


def open_since(training: Training) -> datetime:
    since = _open(training).opened_at
    assert since is not None
    return since


# Claims on the open round.


def is_claimed(training: Training) -> bool:
    locked = _now(training).locked
    row = open_round_of(training)
    assert locked == (row is not None and row.claim is not None)
    return locked


def claim_round(training: Training) -> Claim:
    """Claim the open round as a worker does that then says nothing. What is submitted now counts."""
    claim = claim_due_round(training.pk)
    assert isinstance(claim, Claim)
    return claim


def is_held(claim: Claim) -> bool:
    """Is the round still this worker's?"""
    return Round.objects.filter(pk=claim.round.pk, claim=claim.round.claim).exists()


def mark_claimed(training: Training, *, lease_in: float = 0.0) -> None:
    """The open round is claimed by nobody that can be asked, for so many seconds; what is submitted counts."""
    lease = timezone.now() + timedelta(seconds=lease_in)
    Training.objects.filter(pk=training.pk).update(locked=True)
    _update(training, claim=uuid4(), lease_until=lease, attempts=1)
    _open(training).submissions.update(counted=True)


def lease_of(training: Training) -> datetime:
    lease = _open(training).lease_until
    assert lease is not None
    return lease


def let_the_lease_run_out(training: Training) -> None:
    _update(training, lease_until=timezone.now() - timedelta(seconds=1))


def take_the_claim_away(training: Training) -> None:
    _update(training, claim=uuid4())


def claim_attempts_of(training: Training) -> int:
    return _open(training).attempts


def set_claim_attempts(training: Training, number: int = MAX_ATTEMPTS) -> None:
    """The open round was claimed so often and not closed; the default leaves no further attempt."""
    _update(training, attempts=number)


def date_problem_back(training: Training, by: timedelta) -> None:
    """The storage has failed for so long already."""
    _update(training, problem_since=timezone.now() - by)


def fail_next_renewal(monkeypatch: pytest.MonkeyPatch, error: Exception) -> list[Exception]:
    """The database raises this once when a lease is renewed. Returns: a list that is empty when that has happened."""
    failures = [error]
    find = Round.objects.filter

    def fail_once(*args: Any, **filters: Any) -> Any:
        if "claim" in filters and failures:
            raise failures.pop()
        return find(*args, **filters)

    monkeypatch.setattr(Round.objects, "filter", fail_once)
    return failures


# Submissions, updates, history.


def submissions(training: Training | None = None, *, kind: str | None = None) -> list[Submission]:
    """Of this training and phase, or of all."""
    found = Submission.objects.all()
    if training is not None:
        found = found.filter(round__training=training)
    return list(found if kind is None else found.filter(round__phase=kind))


def drop_submissions(training: Training, participant: User) -> None:
    Submission.objects.filter(round__training=training, participant=participant).delete()


def kind_of(submission: Submission) -> str:
    return submission.round.kind


def update_in(submission: Submission) -> LocalModel | None:
    return submission.local_model


def moment_files_of(submission: Submission) -> list[FieldFile]:
    return [row.file for row in submission.files.all()]


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
