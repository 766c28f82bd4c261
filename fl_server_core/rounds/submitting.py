"""How a participant's submission is taken: checked outside any lock, written under the training's lock."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction

from fl_server_core.exceptions import (
    EntityNotFound,
    InvalidValue,
    MissingPart,
    NotAllowed,
    NoTraining,
    WrongRound,
    WrongState,
)
from fl_server_core.models.delivery import Delivery, NotificationType
from fl_server_core.models.model import GlobalModel, Model
from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.policies import is_participant
from fl_server_core.rounds.kinds import Offer, RoundKind, kind_of, kinds_of
from fl_server_core.rounds.opening import ensure_open
from fl_server_core.selectors import rounds
from fl_server_core.selectors.models import find_model, global_of
from fl_server_core.selectors.trainings import get_training, lock_training
from fl_server_core.services.files import NewFiles


def submit(offer: Offer) -> None:
    """Take a participant's submission. A repeat replaces the earlier one until the round is claimed.

    The very same bytes once more, after that, change nothing: they are a retry of a request whose answer was lost.

    Raises:
        EntityNotFound, NoTraining, NotAllowed, WrongState, WrongRound, InvalidValue: in this order of checks.
    """
    target = _find_target(offer)
    if target is None:
        return
    base, training = _find_training(target)
    row = _admit(offer, training)
    if row is None:
        return
    kind = kind_of(row.kind)
    kind.check(base, offer)
    digest = offer.digest
    with NewFiles() as stored:
        names = {part: stored.store(file) for part, file in offer.files.items()}
        with transaction.atomic():
            training = _lock(offer, training.pk)
            row = _admit(offer, training)
            if row is None:
                stored.discard()
            else:
                _write(offer, training, row, kind, digest, names)


def submit_to_kind(*, training_id: UUID, kind: str, participant: User, **offered: Any) -> None:
    """Take a submission to a kind of round that has no path of its own on the wire.

    offered: the other fields of an `Offer`.

    Raises:
        EntityNotFound, NotAllowed, MissingPart: no such training, another's, or no such kind; the rest as `submit`.
    """
    training = get_training(training_id)
    if not is_participant(participant, training):
        raise NotAllowed(f"You are not a participant of training {training.pk}!")
    if kind not in kinds_of(kind) or kind_of(kind).has_own_path:
        raise MissingPart(f"No round of kind '{kind}' takes submissions here.")
    submit(Offer(participant, kind, target_id=training.model_id, **offered))


def _find_target(offer: Offer) -> Model | None:
    """The model submitted to; None if it is gone and these bytes were taken for it while it was there (FedDC)."""
    found = find_model(offer.target_id)
    if found is not None:
        return found
    taken = Submission.objects.filter(participant=offer.participant, target=offer.target_id, counted=True)
    if any(offer.digest == digest for digest in taken.values_list("digest", flat=True)):
        return None
    _refuse_straggler(offer)
    raise EntityNotFound("GlobalModel", offer.target_id)


def _refuse_straggler(offer: Offer) -> None:
    """Was the model given to the participant in a round that is over? Then say which round it is now."""
    given = Delivery.objects.filter(
        receiver=offer.participant,
        notification_type=NotificationType.UPDATE_ROUND_START,
        body__global_model_uuid=str(offer.target_id),
    )
    delivery = given.select_related("training").exclude(training=None).last()
    if delivery is None or delivery.training is None:
        return
    current = rounds.current_round(delivery.training)
    if offer.number < current:
        raise WrongRound(delivery.training.id, offer.number, current)


def _find_training(target: Model) -> tuple[GlobalModel, Training]:
    base = global_of(target)
    training = Training.objects.filter(model_id=base.pk).first()
    if training is None:
        raise NoTraining(target.pk)
    return base, training


def _lock(offer: Offer, training_id: UUID) -> Training:
    training = lock_training(training_id)
    if training is None:
        raise NoTraining(offer.target_id)
    return training


def _admit(offer: Offer, training: Training) -> Round | None:
    """The round that takes this submission; None: its very bytes already count. Everything else is refused."""
    if not is_participant(offer.participant, training):
        raise NotAllowed(f"You are not a participant of training {training.id}!")
    same_phase = training.rounds.filter(kind__in=kinds_of(offer.phase), number=offer.number)
    counted = Submission.objects.filter(round__in=same_phase, participant=offer.participant, counted=True).first()
    if counted is not None and counted.digest == offer.digest:
        return None
    current = rounds.current_round(training)
    if training.state != _state_of(offer.phase):
        raise WrongState(training.id, training.state, current if _is_over(training, offer, same_phase) else None)
    row = _round_for(training, offer) if offer.number == current else None
    if row is None:
        raise WrongRound(training.id, offer.number, current)
    given = kind_of(row.kind).models_given(training, [offer.participant.pk])[offer.participant.pk]
    if offer.target_id != given:
        raise InvalidValue(f"In round {current} you were given model {given}. Upload to that model.")
    return row


def _state_of(phase: str) -> str:
    return next(kind_of(name).state for name in kinds_of(phase))


def _is_over(training: Training, offer: Offer, same_phase: Any) -> bool:
    """Was the round that was submitted to closed while the training went on?"""
    closed = same_phase.filter(submissions__counted=True).exists()
    return training.is_running and (offer.number < rounds.current_round(training) or closed)


def _round_for(training: Training, offer: Offer) -> Round | None:
    """The open round, unless it is claimed, or the next one, where early submissions are taken."""
    kinds = kinds_of(offer.phase)
    open_row = rounds.open_round_of(training)
    if open_row is None:
        with transaction.atomic():
            open_row = ensure_open(_lock(offer, training.pk))
    if open_row is not None and open_row.kind in kinds:
        return None if open_row.claim is not None else open_row
    early = training.rounds.filter(kind__in=kinds, number=offer.number, opened_at=None).first()
    return early if early and open_row and open_row.kind in kind_of(early.kind).early_in else None


def _write(
    offer: Offer, training: Training, row: Round, kind: RoundKind[Any], digest: str, names: dict[str, str]
) -> None:
    submission, _is_new = Submission.objects.update_or_create(
        round=row,
        participant=offer.participant,
        defaults={
            "sample_size": offer.sample_size,
            "digest": digest,
            "target": offer.target_id,
            "content": offer.content,
        },
    )
    kind.keep(submission, offer, names)
    training.save(update_fields=["last_update"])
