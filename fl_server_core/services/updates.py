"""The files of updates as they may be handed out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fl_server_core.archive import ArchiveError, copy_tensors
from fl_server_core.exceptions import EntityNotFound, InvalidRequest
from fl_server_core.models.model import LocalModel
from fl_server_core.services.files import NewFiles, open_stored, open_weights, scratch_path

if TYPE_CHECKING:
    from django.db.models.fields.files import FieldFile


def clean_file(update: LocalModel) -> FieldFile:
    """The update's file, which has nothing of its participant's but tensors.

    One that was stored as it came, by a script or before updates were stored clean, is written anew first. The earlier
    file is left to the sweep for orphans: a worker may be about to open it.

    Raises:
        InvalidRequest: its tensors do not fit its model, so it can't be handed out.
        FileNotFoundError, EntityNotFound: the file is lost, or the update is gone.
    """
    if update.is_clean or not update.weights_file:
        return update.weights_file
    rows = LocalModel.objects.non_polymorphic().filter(pk=update.pk)
    with NewFiles() as files:
        name = _rewritten(update, files)
        if not rows.filter(weights_file=update.weights_file.name).update(weights_file=name, is_clean=True):
            files.discard()  # another request was faster
    found = LocalModel.objects.filter(pk=update.pk).first()
    if found is None:
        raise EntityNotFound("Model", update.pk)
    return found.weights_file


def _rewritten(update: LocalModel, files: NewFiles) -> str:
    try:
        with (
            open_weights(update.base_model) as template,
            open_stored(update.weights_file, template) as values,
            scratch_path() as path,
        ):
            copy_tensors(template, values, path)
            return files.store_path(path)
    except ArchiveError as error:
        raise InvalidRequest(
            f"Update {update.pk} can't be handed out, because it does not fit its model: {error}"
        ) from error
