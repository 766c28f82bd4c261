from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction

from fl_server_core import policies
from fl_server_core.archive import Archive, ArchiveError, dangerous_globals, open_archive
from fl_server_core.exceptions import EntityNotFound, InvalidFile, InvalidRequest, InvalidValue, NotAllowed
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import GlobalModel, LocalModel, MeanModel, SWAGModel
from fl_server_core.models.model_version import StoredWeights, append_version
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.rounds.opening import announce
from fl_server_core.selectors import rounds
from fl_server_core.selectors.models import get_model, global_of, lock_model
from fl_server_core.selectors.trainings import lock_training, lock_with_training
from fl_server_core.services.budgets import refuse_larger_than_budget, require_budget
from fl_server_core.services.files import NewFiles, digest_of, forget_files, uploaded_source
from fl_server_core.services.history import record
from fl_server_core.services.trainings import discard_training

EDITABLE = frozenset({"name", "description", "input_shape"})
KINDS: dict[str, type[GlobalModel]] = {"GLOBAL": GlobalModel, "SWAG": SWAGModel}


def create_global_model(
    *,
    owner: User,
    name: str,
    description: str,
    model_file: UploadedFile[bytes],
    preprocessing_file: UploadedFile[bytes] | None = None,
    round_number: int = 0,
    kind: str = "GLOBAL",
    input_shape: Sequence[int | None] | None = None,
) -> GlobalModel:
    """Keep an uploaded model; its file makes version 0.

    Raises:
        NotAllowed: the owner may not upload models.
        InvalidFile: a file holds no module that can be read without running it.
        LargerThanBudget, BudgetSpent: the owner has as many models or bytes as an account may have.
    """
    _require_actor(owner)
    refuse_larger_than_budget(model_file, preprocessing_file)
    names = {"weights": check_module(model_file)}
    if preprocessing_file is not None:
        names["preprocessing"] = check_module(preprocessing_file, "preprocessing")
    digest, size = digest_of(model_file), model_file.size or 0
    with NewFiles() as files:
        weights = StoredWeights(files.store(model_file), digest, size)
        preprocessing = "" if preprocessing_file is None else files.store(preprocessing_file)
        with transaction.atomic():
            model = KINDS[kind].objects.create(
                owner=owner,
                name=name,
                description=description,
                round=round_number,
                input_shape=None if input_shape is None else list(input_shape),
                preprocessing_file=preprocessing,
                pickled_names=names,
            )
            append_version(model, weights)
            require_budget(account=owner, added=("models", "bytes"), sizes=files.sizes)
    return model


def create_mean_model(
    *,
    owner: User,
    name: str,
    description: str,
    model_ids: Sequence[UUID],
    round_number: int = 0,
    input_shape: Sequence[int | None] | None = None,
) -> MeanModel:
    """Make the mean of global models of one owner.

    Raises:
        NotAllowed: the owner may not make models.
        InvalidValue: an id doesn't belong to a global model, or the model is another's.
        BudgetSpent: the owner has as many models as an account may have.
    """
    _require_actor(owner)
    wanted = set(model_ids)
    members = list(GlobalModel.objects.filter(pk__in=wanted))
    if not members or len(members) != len(wanted):
        raise InvalidValue("Invalid model UUIDs found.")
    if not all(policies.owns(owner, member) for member in members):
        raise InvalidValue("Invalid model selection. Insufficient model permissions.")
    if any(isinstance(member, MeanModel) for member in members):
        raise InvalidValue("Invalid model selection. A mean model cannot be a member of another.")
    with transaction.atomic():
        mean = MeanModel.objects.create(
            owner=owner,
            name=name,
            description=description,
            round=round_number,
            input_shape=None if input_shape is None else list(input_shape),
        )
        mean.models.set(members)
        require_budget(account=owner, added=("models",))
    return mean


def _require_actor(user: User) -> None:
    if not policies.may_create_model(user):
        raise NotAllowed


def delete_model(*, model_id: UUID, user: User) -> None:
    """Remove a model with its training, updates and metrics; participants of a running training are told.

    Raises:
        EntityNotFound, NotAllowed: no such model, or the user may not manage it.
        InvalidRequest: an update that is being aggregated, or was passed on to a participant.
        Conflict: somebody has just registered a training of the model.
    """
    model = get_model(model_id)
    base_id = model.base_model_id if isinstance(model, LocalModel) else model.pk
    training = Training.objects.filter(model_id=base_id).first()
    if not policies.may_delete_model(user, model, training):
        raise NotAllowed("You are neither the owner of the model nor the actor of the corresponding training.")
    with transaction.atomic():
        if isinstance(model, GlobalModel):
            _give_up_global_model(model, user)
        elif isinstance(model, LocalModel):
            _give_up_update(model, training, user)
            lock_model(model.pk)
        get_model(model.pk).delete()  # as it is by now: with the files that it names by now


def _give_up_global_model(model: GlobalModel, user: User) -> None:
    model, training = lock_with_training(model)
    if training is not None:
        discard_training(training.pk, author_id=user.pk)
    record(
        training=None,
        kind=EventKind.DELETED,
        number=model.round,
        author_id=user.pk,
        message=f"Model {model} ({model.pk}) was deleted.",
    )


def _give_up_update(model: LocalModel, training: Training | None, user: User) -> None:
    training = None if training is None else lock_training(training.pk)
    submission = None if training is None else _withdrawable(training, model)
    record(
        training=training,
        model=global_of(model),
        kind=EventKind.DELETED if submission is None else EventKind.UPDATE_DELETED,
        number=model.round if submission is None else submission.round.number,
        user_id=model.owner_id,
        author_id=user.pk,
        message=f"Update {model.pk} was deleted.",
    )
    if training is not None and submission is not None:
        _withdraw(training, submission)


def _withdrawable(training: Training, model: LocalModel) -> Submission | None:
    """The submission of an update, to a round that is not closed; the training is locked.

    Raises:
        InvalidRequest: the update is needed.
    """
    found = LocalModel.objects.filter(pk=model.pk).first()  # as it is by now
    if found is None:
        raise EntityNotFound("Model", model.pk)
    open_ones = Submission.objects.select_related("round").filter(round__closed_at=None)
    submission = open_ones.filter(local_model=found).first()
    is_counted = submission is not None and submission.counted and training.locked
    if is_counted or found.passed_to_id is not None:
        raise InvalidRequest(f"Model {model.pk} is being aggregated or trained on. Delete it after the round.")
    return submission


def _withdraw(training: Training, submission: Submission) -> None:
    """Take a submission back: its participant is awaited again, and told so."""
    row, participant = submission.round, submission.participant_id
    submission.delete()
    # Where the round is not open yet, or the training has failed, the participant is told when it goes on.
    if row.is_open and training.is_running and participant in rounds.participant_ids(training):
        announce(training, row, [participant])


def edit_model(*, model_id: UUID, user: User, values: dict[str, Any]) -> None:
    """Change a global model's name, description or input shape.

    Raises:
        EntityNotFound, NotAllowed: no such model, or the user may not manage it.
        ValueError: another column.
    """
    if not values.keys() <= EDITABLE:
        raise ValueError(f"Only {', '.join(sorted(EDITABLE))} can be edited.")
    model = get_model(model_id, "GlobalModel")
    if not isinstance(model, GlobalModel):
        raise EntityNotFound("GlobalModel", model.pk)
    if not policies.may_edit_model(user, model, model.get_training()):
        raise NotAllowed
    changes = {**values, "stats": None} if "input_shape" in values else values  # computed for the old shape
    with transaction.atomic():
        model, training = lock_with_training(model)
        GlobalModel.objects.non_polymorphic().filter(pk=model.pk).update(**changes)
        record(
            training=training,
            model=model,
            kind=EventKind.EDITED,
            number=model.round,
            author_id=user.pk,
            values=values,
        )


def set_preprocessing(*, model_id: UUID, user: User, file: UploadedFile[bytes]) -> None:
    """Give a global model of the user's another preprocessing.

    Raises:
        EntityNotFound, NotAllowed, InvalidFile: no such model, another's, or no module in the file.
        LargerThanBudget, BudgetSpent: the owner has as many bytes as an account may have.
    """
    model = get_model(model_id, "GlobalModel")
    if not isinstance(model, GlobalModel):
        raise InvalidRequest(f"Model {model.pk} is a local model: its base model's preprocessing is used.")
    if not policies.owns(user, model):
        raise NotAllowed(f"You are not the owner of model {model.pk}!")
    refuse_larger_than_budget(file)
    names = check_module(file, "preprocessing")
    with NewFiles() as files:
        name = files.store(file)
        rows = GlobalModel.objects.non_polymorphic().filter(pk=model.pk)
        with transaction.atomic():
            if lock_model(model.pk) is None:
                raise EntityNotFound("GlobalModel", model.pk)
            replaced, known = rows.values_list("preprocessing_file", "pickled_names").get()
            rows.update(preprocessing_file=name, pickled_names=known and {**known, "preprocessing": names})
            forget_files([replaced] if replaced else [])
            require_budget(account=user, added=("bytes",), sizes=files.sizes)


def check_module(file: UploadedFile[bytes], kind: str = "model") -> list[str]:
    """Is the file a module, scripted or pickled, and whole? Say what its pickle names.

    Raises:
        InvalidFile: it is not, or it names what can do harm to whoever loads it.
    """
    try:
        with open_archive(uploaded_source(file)) as archive:
            archive.verify_checksums()
            if not archive.is_model:
                raise InvalidFile(f"it holds a {archive.kind}, not a torch.nn.Module or a TorchScript module", kind)
            _refuse_dangerous(archive, kind)
            return sorted(archive.globals)
    except ArchiveError as error:
        raise InvalidFile(error, kind) from error


def _refuse_dangerous(archive: Archive, kind: str) -> None:
    dangerous = dangerous_globals(archive)
    if dangerous:
        raise InvalidFile(
            f"it names {', '.join(dangerous[:5])}, through which it can run anything where it is loaded. "
            "Save the model without that, as TorchScript for instance.",
            kind,
        )
