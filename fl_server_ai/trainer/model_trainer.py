from __future__ import annotations

from uuid import UUID

from fl_server_core.log_context import bound_ids
from fl_server_core.models.training import Training
from fl_server_core.rounds.claims import Claim, Due, claim_due_round
from fl_server_core.rounds.closing import close_claimed
from fl_server_core.stopping import is_stopping


class ModelTrainer:
    """Brings one training to where its rows say it should be.

    May be called at any time, by several workers at once and again after a crash: the claim on the round decides who
    works, and the result is written only by the one whose claim it still is.
    """

    def __init__(self, training: Training | UUID | str) -> None:
        self.training_id = training.id if isinstance(training, Training) else UUID(str(training))

    def advance(self) -> None:
        """Do what is due until nothing is, or until this process was told to stop."""
        with bound_ids(training_id=self.training_id):
            while not is_stopping() and (due := claim_due_round(self.training_id)):
                if isinstance(due, Claim):
                    close_claimed(due)

    def settle(self) -> bool:
        """Do what is due and needs no computing. Returns: is there something to compute?"""
        while not is_stopping() and (due := claim_due_round(self.training_id, may_compute=False)):
            if due is Due.TO_COMPUTE:
                return True
            if isinstance(due, Claim):
                close_claimed(due)
        return False
