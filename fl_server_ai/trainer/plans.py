"""Which way a round is closed. What follows is decided apart from it (`closing.open_next`): the two compose."""

from __future__ import annotations

from fl_server_ai.trainer.averaging import AveragingClosing
from fl_server_ai.trainer.claims import Claim, ClaimLost
from fl_server_ai.trainer.closing import Closing
from fl_server_ai.trainer.moments import MomentsClosing
from fl_server_ai.trainer.passing import PassingClosing
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.selectors import rounds


def closing_of(claim: Claim) -> Closing:
    """How the claimed round is closed.

    Raises:
        ClaimLost: the training is gone.
    """
    training = Training.objects.filter(pk=claim.training_id).first()
    if training is None:
        raise ClaimLost
    if claim.phase == Phase.SWAG:
        return MomentsClosing(training, claim)
    ends_period = (rounds.rounds_closed(training, claim.round) + 1) % training.daisy_chain_period == 0
    return AveragingClosing(training, claim) if ends_period else PassingClosing(training, claim)
