"""A worker's claim on a round: which answers count, and a lease that the worker renews while it computes."""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from fl_server_core.models.answer import Answer
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind
from fl_server_core.services.history import record

MAX_ATTEMPTS = 5


class ClaimLost(Exception):
    """The round is no longer this worker's: stop and leave no trace."""


class Claim:
    """One worker's hold on one round of one training."""

    def __init__(self, training: Training, round: int, answers: list[Answer]) -> None:
        self.id = uuid.uuid4()
        self.training_id = training.id
        self.phase = Phase(training.phase)
        self.round = round
        self.answers = answers
        self.started = time.monotonic()
        self._renewed = self.started

    @classmethod
    def take(cls, training: Training, round: int) -> Self:
        """Claim the open round of a locked training; the answers there are now are the ones that count."""
        is_takeover = training.locked
        answers = training.answers.filter(phase=training.phase, round=round)
        if not is_takeover:
            answers.update(counted=True)
        counting = answers.filter(counted=True).select_related("local_model").order_by("participant_id")
        claim = cls(training, round, list(counting))
        training.locked = True
        training.claim = claim.id
        training.lease_until = timezone.now() + timedelta(seconds=settings.FL_LEASE_SECONDS)
        training.claim_attempts += 1
        training.save()
        if is_takeover:
            record(training=training, kind=EventKind.TAKEN_OVER, round=round, attempt=training.claim_attempts)
        return claim

    def heartbeat(self) -> None:
        """Renew the lease when a third of it is over.

        Raises:
            ClaimLost: somebody else has the round, or the training has ended.
        """
        if time.monotonic() - self._renewed < settings.FL_LEASE_SECONDS / 3:
            return
        until = timezone.now() + timedelta(seconds=settings.FL_LEASE_SECONDS)
        held = Training.objects.filter(pk=self.training_id, claim=self.id).update(lease_until=until)
        if held != 1:
            raise ClaimLost
        self._renewed = time.monotonic()

    def forgive(self) -> None:
        """This attempt does not count towards the last one: what it failed at passes."""
        Training.objects.filter(pk=self.training_id, claim=self.id).update(claim_attempts=F("claim_attempts") - 1)

    def is_held_by(self, training: Training | None) -> bool:
        """Is this still the claim on the training, as its locked row has it?"""
        return training is not None and training.claim == self.id

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)
