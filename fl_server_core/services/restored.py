"""What to do after a database was restored from a backup."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from fl_server_core.models.audit import AuditEntry, Credential
from fl_server_core.models.backup_hold import BackupHold
from fl_server_core.models.round import Round
from fl_server_core.models.training import RUNNING_STATES, Training
from fl_server_core.rounds.ending import release_all_claims
from fl_server_core.rounds.opening import announce
from fl_server_core.selectors import rounds
from fl_server_core.selectors.trainings import lock_training
from fl_server_core.services.participants import tell_of_training


def go_on_after_restore(*, made_at: datetime) -> int:
    """Let running trainings go on from a backup made at that time. Returns: how many there are.

    Leases end: their workers are gone. Deadlines are put off by the time since. Participants are told of the training
    and its open round again: some of what they sent and heard may be newer than the backup, and lost.
    """
    away = max(timezone.now() - made_at, timedelta())
    with transaction.atomic():
        release_all_claims()
        Round.objects.filter(closed_at=None, deadline__isnull=False).update(deadline=F("deadline") + away)
        running = list(Training.objects.filter(state__in=RUNNING_STATES).values_list("pk", flat=True))
        for training_id in running:
            _tell_again(training_id)
        details = {"made_at": made_at.isoformat(timespec="seconds"), "running_trainings": len(running)}
        AuditEntry.objects.create(credential=Credential.SERVER, verb="restore", object_kind="server", details=details)
        BackupHold.objects.all().delete()
    return len(running)


def _tell_again(training_id: UUID) -> None:
    training = lock_training(training_id)
    row = None if training is None else rounds.open_round_of(training)
    if training is None or row is None:
        return
    participants = rounds.participant_ids(training)
    # Participants that know of later rounds ignore earlier ones until they are told that the training starts.
    tell_of_training(training, participants)
    submitted = rounds.submitted_ids(row)
    awaited = [person for person in participants if person not in submitted]
    if row.claim is None and awaited:
        announce(training, row, awaited)
