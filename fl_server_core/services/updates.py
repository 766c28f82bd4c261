"""What participants upload: updates and SWAG moments. Checked outside any lock, written under the training's lock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from fl_server_core.archive import Archive, ArchiveError, check_compatible, check_finite, open_archive
from fl_server_core.exceptions import (
    EntityNotFound,
    InvalidFile,
    InvalidRequest,
    InvalidValue,
    NotAllowed,
    NoTraining,
    WrongRound,
    WrongState,
)
from fl_server_core.models.answer import Answer
from fl_server_core.models.delivery import Delivery
from fl_server_core.models.model import GlobalModel, LocalModel, Model, SWAGModel
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training, TrainingState
from fl_server_core.models.user import User
from fl_server_core.selectors import rounds
from fl_server_core.selectors.models import find_model, global_of, parse_uuid
from fl_server_core.services.files import NewFiles, digest_of, open_weights, uploaded_source
from fl_server_core.services.metrics import Reported, write_metrics
from fl_server_core.services.rounds import lock_training

OPEN_STATES = {Phase.UPDATE: TrainingState.ONGOING, Phase.SWAG: TrainingState.SWAG_ROUND}


@dataclass(frozen=True)
class _Upload:
    """Who answers which round of a training, and with which bytes."""

    training_id: UUID
    target_id: UUID
    participant: User
    phase: Phase
    round: int
    sample_size: int
    digest: str


@dataclass(frozen=True)
class _Request:
    """What somebody sends in answer to a round."""

    model_id: UUID | str
    participant: User
    phase: Phase
    round: int
    sample_size: int
    files: list[UploadedFile[bytes]]


def submit_update(
    *,
    model_id: UUID | str,
    participant: User,
    round: int,
    sample_size: int,
    file: UploadedFile[bytes],
    metrics: Reported = (),
) -> None:
    """Take a participant's update of a round. A repeat replaces the earlier one until the round is claimed.

    The very same bytes once more, after that, change nothing: they are a retry of a request whose answer was lost.

    Raises:
        EntityNotFound, NoTraining, NotAllowed, WrongState, WrongRound, InvalidValue: in this order of checks.
    """

    def write(upload: _Upload, training: Training, names: list[str]) -> None:
        _write_update(upload, training, names[0], metrics)

    request = _Request(model_id, participant, Phase.UPDATE, round, sample_size, [file])
    _submit(request, _check_update, write)


def submit_moments(
    *,
    model_id: UUID | str,
    participant: User,
    round: int,
    sample_size: int,
    first_moment_file: UploadedFile[bytes],
    second_moment_file: UploadedFile[bytes],
) -> None:
    """Take a participant's SWAG moments of a round: vectors E[w] and E[w²] in named_parameters() order.

    Raises:
        EntityNotFound, NoTraining, NotAllowed, WrongState, WrongRound, InvalidValue: in this order of checks.
    """
    files = [first_moment_file, second_moment_file]
    request = _Request(model_id, participant, Phase.SWAG, round, sample_size, files)
    _submit(request, _check_moments, _write_moments)


def _submit(
    request: _Request,
    check: Callable[[GlobalModel, list[UploadedFile[bytes]]], None],
    write: Callable[[_Upload, Training, list[str]], None],
) -> None:
    """Admit, check and store, then write under the training's lock, if the answer is still to be taken then."""
    digest = digest_of(*request.files)
    target = _find_target(request, digest)
    if target is None:
        return
    base, training = _find_training(target)
    upload = _Upload(
        training.id, target.pk, request.participant, request.phase, request.round, request.sample_size, digest
    )
    if not _admit(upload, training):
        return
    _require_samples(request.sample_size)
    check(base, request.files)
    with NewFiles() as stored:
        names = [stored.store(file) for file in request.files]
        with transaction.atomic():
            locked = _lock(upload)
            if _admit(upload, locked):
                write(upload, locked, names)
            else:
                stored.discard()


def _find_target(request: _Request, digest: str) -> Model | None:
    """The model uploaded to; None if it is gone and these bytes were taken for it while it was there (FedDC)."""
    identifier = parse_uuid(request.model_id)
    found = None if identifier is None else find_model(identifier)
    if found is not None:
        return found
    taken = Answer.objects.filter(participant=request.participant, target=identifier, digest=digest, counted=True)
    if identifier is not None and taken.exists():
        return None
    _refuse_straggler(request, identifier)
    raise EntityNotFound("GlobalModel", request.model_id)


def _refuse_straggler(request: _Request, identifier: UUID | None) -> None:
    """Was the model given to the participant in a round that is over? Then it hears what the round is now."""
    given = Delivery.objects.filter(
        receiver=request.participant, phase=Phase.UPDATE, body__global_model_uuid=str(identifier)
    )
    delivery = given.select_related("training").exclude(training=None).last()
    if delivery is None or delivery.training is None:
        return
    current = rounds.current_round(delivery.training)
    if request.round < current:
        raise WrongRound(delivery.training.id, request.round, current)


def _find_training(target: Model) -> tuple[GlobalModel, Training]:
    base = global_of(target)
    training = Training.objects.filter(model_id=base.pk).first()
    if training is None:
        raise NoTraining(target.pk)
    return base, training


def _lock(upload: _Upload) -> Training:
    training = lock_training(upload.training_id)
    if training is None:
        raise NoTraining(upload.target_id)
    return training


def _admit(upload: _Upload, training: Training) -> bool:
    """Is this upload to be taken? False: its very bytes already count. Everything else is refused."""
    if not training.participants.filter(pk=upload.participant.pk).exists():
        raise NotAllowed(f"You are not a participant of training {training.id}!")
    earlier = _earlier_answer(upload, training)
    if earlier is not None and earlier.counted and earlier.digest == upload.digest:
        return False
    current = rounds.current_round(training)
    if training.state != OPEN_STATES[upload.phase]:
        raise WrongState(training.id, training.state, current if _is_over(upload, training, current) else None)
    if upload.round != current or not _takes_answers(training, upload.phase, current):
        raise WrongRound(training.id, upload.round, current)
    given = rounds.models_given(training, upload.phase, [upload.participant.pk])[upload.participant.pk]
    if upload.target_id != given:
        raise InvalidValue(f"In round {current} you were given model {given}. Upload to that model.")
    return True


def _is_over(upload: _Upload, training: Training, current: int) -> bool:
    """Was the round that the upload is for closed while the training went on?"""
    closed = training.answers.filter(phase=upload.phase, round=upload.round, counted=True)
    return training.is_running and (upload.round < current or closed.exists())


def _takes_answers(training: Training, phase: Phase, current: int) -> bool:
    if training.phase == phase:
        return not training.locked
    # An update sent while a test round still runs counts for the next round, if there is one.
    is_early = phase == Phase.UPDATE and training.phase == Phase.TEST
    return is_early and not rounds.is_target_reached(training, current)


def _earlier_answer(upload: _Upload, training: Training) -> Answer | None:
    return Answer.objects.filter(
        training=training, phase=upload.phase, round=upload.round, participant=upload.participant
    ).first()


def _write_update(upload: _Upload, training: Training, name: str, metrics: Reported) -> None:
    earlier = _earlier_answer(upload, training)
    if earlier is not None and earlier.local_model is not None:
        earlier.local_model.delete()
    update = LocalModel.objects.create(
        owner=upload.participant,
        base_model_id=training.model_id,
        round=upload.round,
        sample_size=upload.sample_size,
        weights_file=name,
    )
    write_metrics(model=update, reporter=upload.participant, metrics=metrics, step=upload.round)
    _answer(upload, training, local_model=update)


def _write_moments(upload: _Upload, training: Training, names: list[str]) -> None:
    _answer(upload, training, first_moment_file=names[0], second_moment_file=names[1])


def _answer(upload: _Upload, training: Training, **content: object) -> None:
    Answer.objects.update_or_create(
        training=training,
        phase=upload.phase,
        round=upload.round,
        participant=upload.participant,
        defaults={
            "sample_size": upload.sample_size,
            "digest": upload.digest,
            "target": upload.target_id,
            **content,
        },
    )
    training.save(update_fields=["last_update"])


def _require_samples(sample_size: int) -> None:
    if sample_size < 1:
        raise InvalidValue("sample_size must be at least 1.")


def _check_update(base: GlobalModel, files: list[UploadedFile[bytes]]) -> None:
    """Has the update the global model's tensors, all finite?"""
    try:
        with open_archive(uploaded_source(files[0])) as update:
            update.verify_checksums()
            with open_weights(base) as reference:
                check_compatible(reference, update)
                check_finite(update, reference)
    except ArchiveError as error:
        raise InvalidFile(error) from error


def _check_moments(base: GlobalModel, files: list[UploadedFile[bytes]]) -> None:
    if not isinstance(base, SWAGModel):
        raise InvalidRequest(f"Model {base.pk} is no SWAG model.")
    with open_weights(base) as archive:
        expected = archive.parameter_count
    for file, field, lowest in zip(files, ("first moment", "second moment"), (None, 0.0), strict=True):
        try:
            with open_archive(uploaded_source(file)) as archive:
                archive.verify_checksums()
                _check_vector(archive, expected, lowest)
        except ArchiveError as error:
            raise InvalidFile(error, field) from error


def _check_vector(archive: Archive, expected: int, lowest: float | None) -> None:
    if len(archive.tensors) != 1 or archive.is_model:
        raise ArchiveError("it holds no single tensor")
    vector = archive.array(next(iter(archive.tensors)))
    if vector.shape != (expected,):
        raise ArchiveError(f"it has shape {vector.shape}; the model's parameters make a vector of {expected}")
    if not str(vector.dtype).startswith(("float", "bfloat")):
        raise ArchiveError(f"it has dtype {vector.dtype}; floating-point numbers are wanted")
    check_finite(archive)
    if lowest is not None and vector.size and float(vector.min()) < lowest:
        raise ArchiveError("it has negative entries; squares have none")
