"""A worker's claim on a round: which submissions count, and a lease that the worker renews while it computes."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F, Q
from django.utils import timezone

from fl_server_core.log_context import bound_ids, reason_of
from fl_server_core.models.event import EventKind
from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.registry import needs_computing
from fl_server_core.rounds.due import Decision, decide, due_rounds
from fl_server_core.rounds.ending import fail_training
from fl_server_core.rounds.opening import ensure_open
from fl_server_core.selectors.trainings import lock_training
from fl_server_core.services.history import record
from fl_server_core.signals import round_handed_over
from fl_server_core.stopping import seconds_left
from fl_server_core.storage import StorageUnavailable
from fl_server_core.tracing import span

logger = logging.getLogger(__name__)
FORGIVEN_FOR = timedelta(hours=24)
UNKNOWN_FOR = timedelta(hours=1)
"""How long a round waits for a worker that knows its kind and method: during an upgrade, old workers don't."""
LASTING = (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError)
"""What a full or unavailable storage does not raise."""
HANGING_LEASES = 10
"""A worker that shows no progress for so many leases hangs: it lets the round go."""
LOOK_SECONDS = 0.5
"""How often a worker checks whether it has to hand over its rounds."""
HANDED_OVER = UUID(int=0)
"""The claim on a round whose worker was stopped. No worker holds it; the submissions that count are already marked."""


class ClaimLost(Exception):
    """The round is no longer this worker's: stop and leave no trace."""


class Due(Enum):
    """What was found instead of a claim."""

    FAILED = auto()
    """The round could not be closed, so the training has failed."""
    TO_COMPUTE = auto()
    """The round is due, and left to a worker that computes."""


def claim_due_round(training_id: UUID, *, may_compute: bool = True) -> Claim | Due | None:
    """Claim the training's round if it is due; the submissions there are now are the ones that count.

    None: nothing is due, or another worker has it. A round that should be open, and is missing, has been opened.
    """
    with bound_ids(training_id=training_id), span("claim", training_id=training_id), transaction.atomic():
        training = lock_training(training_id)
        if training is None:
            return None
        row = due_rounds().filter(training_id=training_id).first()
        if row is None:
            ensure_open(training)
            return None
        decision = decide(training, row)
        if decision.failure:
            fail_training(training=training, reason=decision.failure)
            return Due.FAILED
        if not may_compute and needs_computing(row.kind):
            return Due.TO_COMPUTE
        return _take(training, row, decision)


def _take(training: Training, row: Round, decision: Decision) -> Claim | None:
    is_takeover = row.claim is not None
    is_expected = row.claim == HANDED_OVER or bool(row.problem)  # it is known why the last worker left it
    if not is_takeover:
        row.submissions.update(counted=True)
    now, claim_id = timezone.now(), uuid.uuid4()
    free = Q(claim=None) | Q(lease_until__lte=now)  # on the row itself: a subquery is not looked at again
    until = now + timedelta(seconds=settings.FL_LEASE_SECONDS)
    claimed = Round.objects.filter(free, pk=row.pk, closed_at=None).update(
        claim=claim_id, lease_until=until, attempts=F("attempts") + 1
    )
    if not claimed:
        return None  # another worker was faster
    row.claim, row.lease_until, row.attempts = claim_id, until, row.attempts + 1
    training.locked = True
    Training.objects.filter(pk=training.pk).update(locked=True, last_update=now)
    if is_takeover and not is_expected:
        record(training=training, kind=EventKind.TAKEN_OVER, number=row.number, attempt=row.attempts)
    if is_takeover:
        with bound_ids(round=row.number):
            logger.warning("%s is taken over: the lease of its worker has run out, attempt %s.", row, row.attempts)
    counting = row.submissions.filter(counted=True).select_related("local_model").order_by("participant_id")
    return Claim(training, row, claim_id, list(counting), decision.expected)


@dataclass(eq=False)
class Claim:
    """One worker's hold on one round.

    training: as it was when the round was claimed. round: as it was then, and from `lock` on as it is now.
    key: what the round's row holds as long as the claim holds. submissions: those that count, in the order of their
    participants' ids. expected: how many participants there were.
    """

    training: Training
    round: Round
    key: UUID
    submissions: list[Submission]
    expected: int = 0
    started: float = field(default_factory=time.monotonic)
    _progress: float = field(default_factory=time.monotonic)
    _lost: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Renew the lease meanwhile, in a thread of its own: reading one file may take longer than a lease."""
        done = threading.Event()
        ids = copy_context()  # so that the thread's log lines carry the same ids
        keeper = threading.Thread(target=ids.run, args=(self._keep, done), name=f"lease-{self.round.pk}", daemon=True)
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

    def lock(self) -> tuple[Training, Round]:
        """The training, locked until the transaction ends, and the round as it is now.

        Raises:
            ClaimLost: the round is no longer this worker's.
        """
        training = lock_training(self.training.pk)
        row = Round.objects.filter(pk=self.round.pk, claim=self.key).first()
        if training is None or row is None:
            raise ClaimLost
        self.round = row
        return training, row

    def _keep(self, done: threading.Event) -> None:
        every = settings.FL_LEASE_SECONDS / 3
        renewed = float("-inf")
        try:
            while not done.wait(min(every, LOOK_SECONDS)):
                now = time.monotonic()
                if not seconds_left():
                    self._hand_over()
                    return
                if now - self._progress > HANGING_LEASES * settings.FL_LEASE_SECONDS:
                    logger.error("%s: no progress, the lease ends.", self.round)
                    return
                if now - renewed >= every:
                    self._renew()
                    renewed = now
        finally:
            connection.close()

    def _hand_over(self) -> None:
        """Let go of the round for another worker to take at once. This attempt doesn't count."""
        self._lost.set()
        try:
            held = Round.objects.filter(pk=self.round.pk, claim=self.key).update(
                claim=HANDED_OVER, lease_until=timezone.now(), attempts=F("attempts") - 1
            )
        except (DatabaseError, InterfaceError) as error:
            logger.warning("%s could not be handed over; its lease will run out. %s", self.round, reason_of(error))
            return
        if held:
            logger.info("%s: handed over, this worker stops.", self.round)
            round_handed_over.send(sender=Round, training_id=self.training.pk)

    def _renew(self) -> None:
        until = timezone.now() + timedelta(seconds=settings.FL_LEASE_SECONDS)
        try:
            held = Round.objects.filter(pk=self.round.pk, claim=self.key).update(lease_until=until)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("A lease could not be renewed; trying again. %s", reason_of(error))
            connection.close()
        else:
            if not held:
                self._lost.set()

    def report(self, error: Exception) -> None:
        """Write down why the round could not be closed. What may pass by itself is not counted, for a day."""
        words = error.strerror or "see the workers' logs" if isinstance(error, OSError) else ""
        problem = f"The file storage fails: {words}." if words else f"{type(error).__name__}; see the workers' logs."
        with transaction.atomic():
            try:
                _training, row = self.lock()
            except ClaimLost:
                return
            row.problem, row.problem_since = problem[:256], row.problem_since or timezone.now()
            if _may_pass(error) and timezone.now() - row.problem_since < FORGIVEN_FOR:
                row.attempts -= 1
            row.save(update_fields=["problem", "problem_since", "attempts"])

    def leave_to_others(self, reason: str) -> None:
        """Let the lease run out: this worker can't close the round, one of another version may."""
        with transaction.atomic():
            try:
                training, row = self.lock()
            except ClaimLost:
                return
            row.problem, row.problem_since = reason[:256], row.problem_since or timezone.now()
            row.attempts -= 1
            row.save(update_fields=["problem", "problem_since", "attempts"])
            if timezone.now() - row.problem_since >= UNKNOWN_FOR:
                fail_training(training=training, reason=reason)

    @property
    def seconds(self) -> float:
        """How long the round has been claimed."""
        return round(time.monotonic() - self.started, 3)


def _may_pass(error: Exception) -> bool:
    reason = error.__cause__ if isinstance(error, StorageUnavailable) else error
    return isinstance(error, OSError) and not isinstance(reason, LASTING)
