"""Figures on the participants' updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training

BY_PARTICIPANT = "by_participant"
REPLAY_OF = "replay_of"
FIRST_SENT_BY = "first_sent_by"


def first_sent(row: Round, digest: str) -> Submission | None:
    """The first submission of the same bytes, whoever sent it, in an earlier round of the training."""
    earlier = Submission.objects.filter(digest=digest, round__training=row.training_id, round__number__lt=row.number)
    return earlier.select_related("round").order_by("round__number", "id").first()


class RoundFigures(NamedTuple):
    """figures: those of each update, by its participant's id."""

    number: int
    figures: Mapping[str, Any]


def latest_figures(training: Training) -> RoundFigures | None:
    """Those of the last round that has figures by participant; None: there is no such round."""
    rows = training.rounds.filter(closed_at__isnull=False, figures__has_key=BY_PARTICIPANT).order_by("-id")
    row = rows.values_list("number", "figures").first()
    return RoundFigures(row[0], row[1][BY_PARTICIPANT]) if row else None
