"""A worker's claim on a round: which answers count, and a lease that the worker renews while it computes."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.utils import timezone

from fl_server_core.models.answer import Answer
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind
from fl_server_core.services.history import record
from fl_server_core.services.rounds import lock_training
from fl_server_core.storage import StorageUnavailable

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 5
FORGIVEN_FOR = timedelta(hours=24)
LASTING = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
"""What a storage that is full or away does not say."""
HANGING_LEASES = 10
"""A worker that shows no progress for so many leases hangs: it lets the round go."""


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
        self.started = self._progress = time.monotonic()
        self._lost = threading.Event()

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
        if is_takeover and not training.problem:  # else it is known why the last one let it lie
            record(training=training, kind=EventKind.TAKEN_OVER, round=round, attempt=training.claim_attempts)
        return claim

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lease meanwhile, in a thread of its own: reading one file may take longer than a lease."""
        done = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(done,), name=f"lease-{self.training_id}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def heartbeat(self) -> None:
        """Show that there is progress.

        Raises:
            ClaimLost: somebody else has the round, or the training has ended.
        """
        self._progress = time.monotonic()
        if self._lost.is_set():
            raise ClaimLost

    def _keep(self, done: threading.Event) -> None:
        try:
            while not done.wait(settings.FL_LEASE_SECONDS / 3):
                if time.monotonic() - self._progress > HANGING_LEASES * settings.FL_LEASE_SECONDS:
                    logger.error("Training %s, round %s: no progress, the lease ends.", self.training_id, self.round)
                    return
                self._renew()
        finally:
            connection.close()

    def _renew(self) -> None:
        until = timezone.now() + timedelta(seconds=settings.FL_LEASE_SECONDS)
        try:
            held = Training.objects.filter(pk=self.training_id, claim=self.id).update(lease_until=until)
        except (DatabaseError, InterfaceError):
            logger.warning("A lease could not be renewed; trying again.", exc_info=True)
            connection.close()
        else:
            if not held:
                self._lost.set()

    def report(self, error: Exception) -> None:
        """Write down why the round could not be closed. What may pass by itself is not counted, for a day."""
        words = error.strerror or "see the workers' logs" if isinstance(error, OSError) else ""
        problem = f"The file storage fails: {words}." if words else f"{type(error).__name__}; see the workers' logs."
        with transaction.atomic():
            training = lock_training(self.training_id)
            if training is None or not self.is_held_by(training):
                return
            training.problem, training.problem_since = problem[:256], training.problem_since or timezone.now()
            if _may_pass(error) and timezone.now() - training.problem_since < FORGIVEN_FOR:
                training.claim_attempts -= 1
            training.save(update_fields=["problem", "problem_since", "claim_attempts"])

    def is_held_by(self, training: Training | None) -> bool:
        """Is this still the claim on the training, as its locked row has it?"""
        return training is not None and training.claim == self.id

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)


def _may_pass(error: Exception) -> bool:
    reason = error.__cause__ if isinstance(error, StorageUnavailable) else error
    return isinstance(error, OSError) and not isinstance(reason, LASTING)
