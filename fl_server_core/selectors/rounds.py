from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models.model import LocalModel, Model
from fl_server_core.models.round import Round
from fl_server_core.models.training import Training


def participant_ids(training: Training) -> list[UUID]:
    """The participants' ids, in their own order, which is the order of every sum."""
    return sorted(training.participants.values_list("id", flat=True))


def current_round(training: Training) -> int:
    """The round of the training's model, as it is in the database now.

    Raises:
        EntityNotFound: model and training have just been deleted.
    """
    current: int | None = (
        Model.objects.non_polymorphic().filter(pk=training.model_id).values_list("round", flat=True).first()
    )
    if current is None:
        raise EntityNotFound("Training", training.id)
    return current


def open_round_of(training: Training) -> Round | None:
    """The open round: of a running training, or the one in which a training has failed."""
    return training.rounds.filter(opened_at__isnull=False, closed_at=None).first()


def submitted_ids(row: Round) -> set[UUID]:
    """Who has submitted to a round."""
    return set(row.submissions.values_list("participant_id", flat=True))


def passed_models(training: Training, receivers: Sequence[UUID] | None = None) -> dict[UUID, LocalModel]:
    """Under FedDC, the update that each participant trains on; the others start from the global model."""
    rows = LocalModel.objects.filter(base_model_id=training.model_id, passed_to__isnull=False)
    if receivers is not None:
        rows = rows.filter(passed_to__in=receivers)
    return {row.passed_to_id: row for row in rows if row.passed_to_id is not None}


def rounds_closed(training: Training, number: int) -> int:
    """How many rounds the training has closed when its model is in this round."""
    return 0 if training.first_round is None else number - training.first_round


def is_target_reached(training: Training, number: int) -> bool:
    return training.first_round is not None and number - training.first_round >= training.target_num_updates
