from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from fl_server_core.archive import ArchiveError, open_archive
from fl_server_core.exceptions import EntityNotFound, InvalidFile, InvalidRequest, InvalidValue, NotAllowed
from fl_server_core.models.answer import Answer
from fl_server_core.models.model import GlobalModel, LocalModel, MeanModel, SWAGModel
from fl_server_core.models.phase import Phase
from fl_server_core.models.training import Training
from fl_server_core.models.training_event import EventKind
from fl_server_core.models.user import User
from fl_server_core.selectors import rounds
from fl_server_core.selectors.models import get_model, parse_uuid
from fl_server_core.services.deliveries import notify_round
from fl_server_core.services.files import NewFiles, uploaded_source
from fl_server_core.services.history import record
from fl_server_core.services.rounds import lock_training
from fl_server_core.services.trainings import discard_training

KINDS: dict[str, type[GlobalModel]] = {"GLOBAL": GlobalModel, "SWAG": SWAGModel}


def create_global_model(
    *,
    owner: User,
    name: str,
    description: str,
    model_file: UploadedFile[bytes],
    preprocessing_file: UploadedFile[bytes] | None = None,
    round: int = 0,
    kind: str = "GLOBAL",
    input_shape: Sequence[int | None] | None = None,
) -> GlobalModel:
    """Keep an uploaded model.

    Raises:
        InvalidFile: a file holds no module that can be read without running it.
    """
    check_module(model_file)
    if preprocessing_file is not None:
        check_module(preprocessing_file, "preprocessing")
    with NewFiles() as files:
        return KINDS[kind].objects.create(
            owner=owner,
            name=name,
            description=description,
            round=round,
            input_shape=None if input_shape is None else list(input_shape),
            weights_file=files.store(model_file),
            preprocessing_file="" if preprocessing_file is None else files.store(preprocessing_file),
        )


def create_mean_model(
    *,
    owner: User,
    name: str,
    description: str,
    model_ids: Sequence[Any],
    round: int = 0,
    input_shape: Sequence[int | None] | None = None,
) -> MeanModel:
    """Make the mean of global models of one owner.

    Raises:
        InvalidValue: an id is no global model's, or the model is another's.
    """
    wanted = {parse_uuid(identifier) if isinstance(identifier, str) else None for identifier in model_ids}
    members = list(GlobalModel.objects.filter(pk__in=[identifier for identifier in wanted if identifier]))
    if not members or len(members) != len(wanted):
        raise InvalidValue("Invalid model UUIDs found.")
    if any(member.owner_id != owner.pk for member in members):
        raise InvalidValue("Invalid model selection. Insufficient model permissions.")
    if any(isinstance(member, MeanModel) for member in members):
        raise InvalidValue("Invalid model selection. A mean model cannot be a member of another.")
    with transaction.atomic():
        mean = MeanModel.objects.create(
            owner=owner,
            name=name,
            description=description,
            round=round,
            input_shape=None if input_shape is None else list(input_shape),
        )
        mean.models.set(members)
    return mean


def delete_model(*, model_id: UUID | str, user: User) -> None:
    """Remove a model with its training, updates and metrics; participants of a running training are told.

    Raises:
        EntityNotFound, NotAllowed: there is none, or the user is not its owner, its training's actor or staff.
        InvalidRequest: an update that is being aggregated, or was passed on to a participant.
    """
    model = get_model(model_id)
    base_id = model.base_model_id if isinstance(model, LocalModel) else model.pk
    training = Training.objects.filter(model_id=base_id).first()
    is_actor = training is not None and training.actor_id == user.pk
    if not (model.owner_id == user.pk or is_actor or user.is_staff):
        raise NotAllowed("You are neither the owner of the model nor the actor of the corresponding training.")
    with transaction.atomic():
        if training is not None and isinstance(model, LocalModel):
            _withdraw(training.pk, model)
        elif training is not None:
            discard_training(training.pk)
        model.delete()


def _withdraw(training_id: UUID, model: LocalModel) -> None:
    """An update that is gone is no answer to the open round any more: its participant is awaited, and told so."""
    training = lock_training(training_id)
    if training is None:
        return
    found = LocalModel.objects.filter(pk=model.pk).first()  # as it is by now
    if found is None:
        raise EntityNotFound("Model", model.pk)
    answer, current = Answer.objects.filter(local_model=found).first(), rounds.current_round(training)
    is_counted = answer is not None and answer.round == current and answer.counted and training.locked
    if is_counted or found.passed_to_id is not None:
        raise InvalidRequest(f"Model {model.pk} is being aggregated or trained on. Delete it after the round.")
    if answer is None or answer.round != current:
        return
    participant = answer.participant_id
    answer.delete()
    record(training=training, kind=EventKind.UPDATE_DELETED, round=current, user_id=participant)
    is_asked_for = training.is_running and training.phase == Phase.UPDATE  # else the round is still to be started
    if is_asked_for and participant in rounds.participant_ids(training):
        given = rounds.models_given(training, Phase.UPDATE, [participant])
        notify_round(training=training, phase=Phase.UPDATE, round=current, model_ids=given)


def set_preprocessing(*, model_id: UUID | str, user: User, file: UploadedFile[bytes]) -> None:
    """Give a global model of the user's another preprocessing.

    Raises:
        EntityNotFound, NotAllowed, InvalidFile: no such model, another's, or no module in the file.
    """
    model = get_model(model_id, "GlobalModel")
    if not isinstance(model, GlobalModel):
        raise InvalidRequest(f"Model {model.pk} is a local model: its base model's preprocessing is used.")
    if model.owner_id != user.pk:
        raise NotAllowed(f"You are not the owner of model {model.pk}!")
    check_module(file, "preprocessing")
    with NewFiles() as files:
        model.preprocessing_file = files.store(file)
        model.save(update_fields=["preprocessing_file"])


def check_module(file: UploadedFile[bytes], kind: str = "model") -> None:
    """Is the file a module, scripted or pickled, and whole?

    Raises:
        InvalidFile: it is not, and why.
    """
    try:
        with open_archive(uploaded_source(file)) as archive:
            archive.verify_checksums()
            if not archive.is_model:
                raise InvalidFile(f"it holds a {archive.kind}, not a torch.nn.Module or a TorchScript module", kind)
    except ArchiveError as error:
        raise InvalidFile(error, kind) from error
