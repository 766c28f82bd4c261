"""What is kept of the updates of a round when they are gone: how each of them was beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from fl_server_core.models.submission import Submission
from fl_server_core.rounds.claims import Claim
from fl_server_core.selectors.figures import BY_PARTICIPANT, REPLAY_OF

Figures = Mapping[UUID, Mapping[str, Any]]


def keep_figures(claim: Claim, figures: Figures) -> dict[str, dict[str, Any]]:
    """Add the figures, by participant, to the submissions and to the round, which the caller saves.

    Returns: what the history shows: those of the round with the flags of the submissions.
    """
    for submission in claim.submissions:
        submission.figures = {**submission.figures, **figures.get(submission.participant_id, {})}
    Submission.objects.bulk_update(claim.submissions, ["figures"], batch_size=100)
    flags = {one.participant_id: one.figures for one in claim.submissions if REPLAY_OF in one.figures}
    kept = {str(who): {**found, **flags.get(who, {})} for who, found in figures.items()}
    claim.round.figures[BY_PARTICIPANT] = kept
    return kept
