from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction

from fl_server_ai.trainer.claims import MAX_ATTEMPTS, Claim, ClaimLost
from fl_server_ai.trainer.closing import Closing, open_next
from fl_server_ai.trainer.due import Due, what_is_due
from fl_server_ai.trainer.plans import closing_of
from fl_server_core.models.metric import Metric
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind
from fl_server_core.services.files import NewFiles
from fl_server_core.services.history import record
from fl_server_core.services.rounds import fail_training, lock_training

logger = logging.getLogger(__name__)


class ModelTrainer:
    """Brings one training to where its rows say it should be.

    May be called at any time, by several workers at once and again after a crash: the claim on the round decides who
    works, and the result is written only by the one whose claim it still is.
    """

    def __init__(self, training: Training | UUID | str) -> None:
        self.training_id = training.id if isinstance(training, Training) else UUID(str(training))

    def advance(self) -> None:
        """Do what is due, until nothing is."""
        while self._step():
            pass

    def _step(self) -> bool:
        with transaction.atomic():
            training = lock_training(self.training_id)
            due = None if training is None else what_is_due(training)
            if training is None or due is None:
                return False
            claim = self._settle_or_claim(training, due)
        if claim is not None:
            self._close(claim)
        return True

    def _settle_or_claim(self, training: Training, due: Due) -> Claim | None:
        """What needs no computing is done at once, under the lock; for the rest the round is claimed."""
        if due.failure:
            fail_training(training=training, round=due.round, reason=due.failure)
        elif training.claim_attempts >= MAX_ATTEMPTS:
            reason = f"The round could not be closed in {MAX_ATTEMPTS} attempts; the workers' logs say why."
            fail_training(training=training, round=due.round, reason=reason)
        elif training.phase == Phase.TEST:
            self._close_test(training, due)
        else:
            return Claim.take(training, due.round)
        return None

    def _close_test(self, training: Training, due: Due) -> None:
        reported = Metric.objects.filter(model_id=training.model_id, step=due.round)
        record(
            training=training,
            kind=EventKind.TESTED,
            round=due.round,
            arrived=due.arrived,
            expected=due.expected,
            metrics=reported.count(),
        )
        open_next(training, due.round, after=Phase.TEST)

    def _close(self, claim: Claim) -> None:
        """Compute outside of any transaction, then write in a short one, if the claim still holds."""
        try:
            with NewFiles() as files:
                closing = closing_of(claim)
                with claim.kept():
                    closing.compute(files)
                self._write(claim, closing, files)
        except ClaimLost:
            logger.info("Training %s, round %s: somebody else has it.", claim.training_id, claim.round)
        except Exception as error:
            claim.report(error)  # when the lease has run out, somebody tries again
            raise

    def _write(self, claim: Claim, closing: Closing, files: NewFiles) -> None:
        with transaction.atomic():
            training = lock_training(claim.training_id)
            if training is None or not claim.is_held_by(training):
                raise ClaimLost
            closing.write(training)
            logger.info(
                "Training %s, round %s: %s answers, %s files, %s s.",
                claim.training_id,
                claim.round,
                len(claim.answers),
                len(files.names),
                claim.seconds,
            )
