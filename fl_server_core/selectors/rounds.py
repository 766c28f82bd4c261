from __future__ import annotations

from uuid import UUID

from fl_server_core.exceptions import EntityNotFound
from fl_server_core.models.answer import Answer
from fl_server_core.models.model import LocalModel, Model
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.options import TrainerOptions


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


def answers_to(training: Training, phase: Phase, round: int) -> list[Answer]:
    """The answers to one round, in the order of the participants' ids."""
    return list(training.answers.filter(phase=phase, round=round).order_by("participant_id"))


def answered_ids(training: Training, phase: Phase, round: int) -> set[UUID]:
    """Who has answered one round."""
    return set(training.answers.filter(phase=phase, round=round).values_list("participant_id", flat=True))


def passed_models(training: Training) -> dict[UUID, LocalModel]:
    """Under FedDC, the update that each participant has been given to train on; who has none starts from the global."""
    rows = LocalModel.objects.filter(base_model_id=training.model_id, passed_to__isnull=False)
    return {row.passed_to_id: row for row in rows if row.passed_to_id is not None}


def models_given(training: Training, phase: Phase, receivers: list[UUID]) -> dict[UUID, UUID]:
    """The id of the model that each of the receivers has to work on in a phase."""
    given: dict[UUID, UUID] = {}
    if phase == Phase.UPDATE and training.daisy_chain_period > 1:
        passed = LocalModel.objects.non_polymorphic().filter(base_model_id=training.model_id, passed_to__in=receivers)
        given = dict(passed.values_list("passed_to_id", "pk"))
    return {receiver: given.get(receiver, training.model_id) for receiver in receivers}


def rounds_closed(training: Training, round: int) -> int:
    """How many rounds the training has closed when its model is in the given one."""
    return 0 if training.first_round is None else round - training.first_round


def is_target_reached(training: Training, round: int) -> bool:
    return rounds_closed(training, round) >= training.target_num_updates


def has_test_round(training: Training, round: int) -> bool:
    """Is the model tested when it has come to this round?"""
    options = TrainerOptions.tolerant(training.options)
    if options.skip_model_tests:
        return False
    only_final = not options.model_test_after_each_round or options.daisy_chain_period > 1
    return not only_final or is_target_reached(training, round)
