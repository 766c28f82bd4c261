"""How a participant's submission is taken: checked outside any lock, written under the training's lock."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from fl_server_core.exceptions import (
    EntityNotFound,
    HasOwnPath,
    InvalidValue,
    MissingPart,
    NotAllowed,
    NoTraining,
    WrongKind,
    WrongRound,
    WrongState,
)
from fl_server_core.log_context import bind_ids
from fl_server_core.models.delivery import Delivery, NotificationType
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import GlobalModel, Model
from fl_server_core.models.round import Round
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.policies import is_participant
from fl_server_core.registry import round_kinds
from fl_server_core.rounds.kinds import Offer, RoundKind, all_kinds, kind_of
from fl_server_core.rounds.opening import ensure_open
from fl_server_core.selectors import rounds
from fl_server_core.selectors.figures import REPLAY_OF, first_sent
from fl_server_core.selectors.models import find_model, global_of
from fl_server_core.selectors.trainings import get_training, lock_training
from fl_server_core.services.budgets import refuse_larger_than_budget, require_budget
from fl_server_core.services.files import NewFiles
from fl_server_core.services.history import record
from fl_server_core.trail import note, note_training


def submit(offer: Offer) -> None:
    """Take a participant's submission. A repeat replaces the earlier one until the round is claimed.

    The very same bytes once more, after that, change nothing: they are a retry of a request whose answer was lost.

    Raises:
        EntityNotFound, NoTraining, NotAllowed, WrongState, WrongRound, InvalidValue: in this order of checks.
        LargerThanBudget, BudgetSpent: the participant has as many bytes as an account may have.
    """
    target = _find_target(offer)
    if target is None:
        return
    base = global_of(target)
    training = Training.objects.filter(model_id=base.pk).first()
    row = _admit(offer, training)
    if row is None:
        return
    kind = kind_of(row.kind)
    bind_ids(training_id=row.training_id, round=row.number)
    refuse_larger_than_budget(*offer.files.values())
    kind.check(base, offer)
    digest = offer.digest  # takes as long as reading the files: not under the lock
    with NewFiles() as stored:
        names = kind.store(base, offer, stored)
        with transaction.atomic():
            row = _admit(offer, lock_training(row.training_id))
            if row is None:
                stored.discard()
            else:
                _write(offer, row, kind, digest, names)
                require_budget(account=offer.participant, added=("bytes",), sizes=stored.sizes)


def submit_to_kind(*, training_id: UUID, kind: str, participant: User, **offered: Any) -> None:
    """Take a submission to a kind of round that has no path of its own on the wire.

    offered: the other fields of an `Offer`.

    Raises:
        EntityNotFound, NotAllowed, MissingPart: no such training, another's, or no such kind.
        HasOwnPath: submissions to this kind arrive elsewhere.
        As `submit`: the rest.
    """
    training = get_training(training_id)
    if not is_participant(participant, training):
        raise NotAllowed(f"You are not a participant of training {training.pk}!")
    if kind not in round_kinds:
        raise MissingPart(f"No round of kind '{kind}' takes submissions here.")
    if kind_of(kind).has_own_path:
        raise HasOwnPath(kind)
    submit(Offer(participant, kind_of(kind).phase, target_id=training.model_id, **offered))


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


def _admit(offer: Offer, training: Training | None) -> Round | None:
    """The round that takes this submission; None: its very bytes already count. Everything else is refused."""
    if training is None:
        raise NoTraining(offer.target_id)
    note_training(training)
    note(round=offer.number)
    if not is_participant(offer.participant, training):
        raise NotAllowed(f"You are not a participant of training {training.id}!")
    same_rounds = training.rounds.filter(phase=offer.phase, number=offer.number)
    counted = Submission.objects.filter(round__in=same_rounds, participant=offer.participant, counted=True).first()
    if counted is not None and counted.digest == offer.digest:
        return None
    row = _round_for(offer, training)
    if row is None:
        raise _refusal(offer, training)
    given = kind_of(row.kind).models_given(training, [offer.participant.pk])[offer.participant.pk]
    if offer.target_id != given:
        raise InvalidValue(f"In round {row.number} you were given model {given}. Upload to that model.")
    return row


def _round_for(offer: Offer, training: Training) -> Round | None:
    """The open round, unless it is claimed, or the next one, where early submissions are taken."""
    if not training.is_running:
        return None
    row = rounds.open_round_of(training) or _open_missing(training)
    if row is None or row.number != offer.number:
        return None
    if row.phase == offer.phase:
        return row if row.claim is None else None
    early = training.rounds.filter(phase=offer.phase, number=offer.number, opened_at=None).first()
    return early if early is not None and row.kind in kind_of(early.kind).early_in else None


def _open_missing(training: Training) -> Round | None:
    with transaction.atomic():
        locked = lock_training(training.pk)
        return ensure_open(locked) if locked else None


def _refusal(offer: Offer, training: Training) -> InvalidValue:
    """Why no round takes the submission; a straggler also hears which round it is now."""
    current = rounds.current_round(training)
    row = rounds.open_round_of(training) if training.is_running else None
    has_own_path = all(kind.has_own_path for kind in all_kinds() if kind.phase == offer.phase)
    if row is not None and row.phase != offer.phase and row.number <= offer.number and not has_own_path:
        return WrongKind(training.id, offer.phase, row.kind)
    if any(kind.state == training.state for kind in all_kinds() if kind.phase == offer.phase):
        return WrongRound(training.id, offer.number, current)
    same_rounds = training.rounds.filter(phase=offer.phase, number=offer.number)
    is_over = offer.number < current or same_rounds.filter(submissions__counted=True).exists()
    return WrongState(training.id, training.state, current if training.is_running and is_over else None)


def _flags(offer: Offer, row: Round, digest: str) -> dict[str, Any]:
    """In which round a file was first sent, if it was before; an event says so, too, once in a round.

    Whoever sends back the current model as it was given has sent nothing again: until it changes, the bytes are equal.
    """
    earlier = first_sent(row, digest) if offer.files else None
    if earlier is None or GlobalModel.objects.filter(pk=row.training.model_id, current_version__digest=digest).exists():
        return {}
    kind, person = EventKind.SUBMISSION_REPLAYED, offer.participant
    if not row.training.events.filter(kind=kind, round=row.number, user=person).exists():
        record(
            training=row.training,
            kind=kind,
            number=row.number,
            user_id=person.pk,
            first_sent_in=earlier.round.number,
            first_sent_by=str(earlier.participant_id),
        )
    return {REPLAY_OF: earlier.round.number}


def _write(offer: Offer, row: Round, kind: RoundKind[Any], digest: str, names: dict[str, str]) -> None:
    submission, _is_new = Submission.objects.update_or_create(
        round=row,
        participant=offer.participant,
        defaults={
            "sample_size": offer.sample_size,
            "digest": digest,
            "target": offer.target_id,
            "content": offer.content,
            "figures": _flags(offer, row, digest),
        },
    )
    kind.keep(submission, offer, names)
    note(update_id=submission.local_model_id)
    Training.objects.filter(pk=row.training_id).update(last_update=timezone.now())
