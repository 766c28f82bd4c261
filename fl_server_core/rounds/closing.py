"""How a claimed round is closed: computed outside any transaction, written in a short one if the claim still holds."""

from __future__ import annotations

import logging

from django.db import transaction

from fl_server_core.rounds.claims import Claim, ClaimLost
from fl_server_core.rounds.ending import fail_training, mark_closed
from fl_server_core.rounds.kinds import CannotClose, UnknownHere, UnknownKind, kind_of
from fl_server_core.rounds.opening import open_next
from fl_server_core.selectors.durations import COMPUTING, NOTIFYING, notifying_seconds
from fl_server_core.services.files import NewFiles

logger = logging.getLogger(__name__)


def close_claimed(claim: Claim) -> None:
    """Close the round, or leave it to somebody else.

    Raises:
        Exception: what went wrong; the round is tried again when the lease has run out.
    """
    try:
        with NewFiles() as files:
            kind = kind_of(claim.round.kind)
            with claim.kept():
                result = kind.compute(claim, files)
            with transaction.atomic():
                training, row = claim.lock()
                kind.apply(claim, training, result)
                row.figures |= {NOTIFYING: notifying_seconds(row), COMPUTING: claim.seconds}
                mark_closed(row)
                open_next(training, row)
    except ClaimLost:
        logger.info("%s: another worker has it.", claim.round)
    except (UnknownHere, UnknownKind) as refusal:
        claim.leave_to_others(str(refusal))
    except CannotClose as refusal:
        _fail(claim, str(refusal))
    except Exception as error:
        claim.report(error)
        raise
    else:
        logger.info("%s: %s submissions, %s s.", claim.round, len(claim.submissions), claim.seconds)


def _fail(claim: Claim, reason: str) -> None:
    try:
        with transaction.atomic():
            training, _row = claim.lock()
            fail_training(training=training, reason=reason)
    except ClaimLost:
        logger.info("%s: another worker has it.", claim.round)
