"""The versions of a global model: moments added, restored, named and pinned. version_keeping.py deletes old files."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.db import transaction

from fl_server_core import policies
from fl_server_core.exceptions import Conflict, InvalidRequest, NotAllowed
from fl_server_core.models.event import EventKind
from fl_server_core.models.model import GlobalModel
from fl_server_core.models.model_version import VersionFile, append_version
from fl_server_core.models.submission import Submission
from fl_server_core.models.training import Training
from fl_server_core.models.user import User
from fl_server_core.rounds.ending import drop_submissions, end_chains
from fl_server_core.selectors.models import get_model, lock_model
from fl_server_core.selectors.trainings import lock_with_training
from fl_server_core.selectors.versions import get_version
from fl_server_core.services.history import record


def add_moments(*, model: GlobalModel, files: Mapping[str, str]) -> None:
    """Add moments to the current version, in the place of those it may have."""
    version = model.current_version
    if version is None:
        raise InvalidRequest(f"Model {model.pk} has no version that moments could belong to.")
    outdated = list(version.files.filter(name__in=files))
    if outdated:
        lock_model(model.pk)
        version.files.filter(pk__in=[row.pk for row in outdated]).delete()
    VersionFile.objects.bulk_create(
        [VersionFile(version=version, name=part, file=name) for part, name in files.items()]
    )


def restore_version(*, model_id: UUID, number: int, user: User) -> int:
    """Make a new newest version with the file of an earlier one, and say its number. The model's round stays.

    Raises:
        EntityNotFound, NotAllowed: no such model, or the user may not manage it.
        InvalidRequest, Gone: no such version, or its file is no longer kept.
        Conflict: the model's training is running.
    """
    model = _managed_model(model_id, user)
    with transaction.atomic():
        model, training = lock_with_training(model)
        if training is not None and training.is_running:
            raise Conflict("Stop the training first.")
        version = get_version(model, number)
        files = {row.name: row.file.name or "" for row in version.files.all()}
        restored = append_version(model, version.weights, made_by=version.made_by, files=files)
        if training is not None:
            _drop_submissions(training)
        record(
            training=training,
            model=model,
            kind=EventKind.VERSION_RESTORED,
            number=model.round,
            author_id=user.pk,
            version=number,
            restored_as=restored.number,
        )
    return restored.number


def describe_version(
    *, model_id: UUID, number: int, user: User, name: str | None = None, pinned: bool | None = None
) -> None:
    """Name a version, or pin it; None leaves that as it is. A version with a name or a pin is kept.

    Raises:
        EntityNotFound, NotAllowed, InvalidRequest: no such model or version, or the user may not manage it.
        InvalidRequest: neither a name nor a pin is given.
        Gone: its file is no longer kept, so neither a name nor a pin could keep it.
    """
    model = _managed_model(model_id, user)
    if name is None and pinned is None:
        raise InvalidRequest("Nothing to change: give a name, or say whether the version is pinned.")
    with transaction.atomic():
        model, training = lock_with_training(model)
        version = get_version(model, number)
        version.name = version.name if name is None else name
        version.pinned = version.pinned if pinned is None else pinned
        version.save(update_fields=["name", "pinned"])
        record(
            training=training,
            model=model,
            kind=EventKind.VERSION_DESCRIBED,
            number=model.round,
            author_id=user.pk,
            version=number,
            name=version.name,
            pinned=version.pinned,
        )


def _managed_model(model_id: UUID, user: User) -> GlobalModel:
    model = get_model(model_id, "GlobalModel")
    if not isinstance(model, GlobalModel):
        raise InvalidRequest(f"Model {model.pk} is a local model, which has no versions.")
    if not policies.may_change_versions(user, model, model.get_training()):
        raise NotAllowed("You are neither the owner of the model nor the actor of the corresponding training.")
    return model


def _drop_submissions(training: Training) -> None:
    """What a failed training has received was trained on other weights: resuming asks for it again."""
    drop_submissions(Submission.objects.filter(round__training=training, round__closed_at=None))
    end_chains(training)
