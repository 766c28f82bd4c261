"""Answers that are files. They stream; nothing is read into memory but what was just computed."""

from __future__ import annotations

from uuid import UUID

from django.db.models.fields.files import FieldFile
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase

from fl_server_ai.inference.mean_file import mean_model_file
from fl_server_core.exceptions import InvalidRequest, MissingPart
from fl_server_core.models import LocalModel, MeanModel, User
from fl_server_core.selectors.models import get_readable_model, global_of
from fl_server_core.selectors.versions import find_version

OCTETS = "application/octet-stream"


def weights_answer(model_id: UUID, user: User, number: int | None = None) -> HttpResponseBase:
    """The file of a model, or of one of its versions; that of a mean of models is made now.

    Raises:
        EntityNotFound, NotAllowed, MissingPart: no such model, not for this user, or it has no file.
        InvalidRequest, Gone: no such version, or its file is no longer kept.
        ModelRunError: the members of a mean cannot be put together.
    """
    model = get_readable_model(model_id, user)
    if number is not None and isinstance(model, LocalModel):
        raise InvalidRequest(f"Model {model.pk} has no version {number}.")
    if number is None and isinstance(model, MeanModel):
        content = mean_model_file(user=user, model=model)
        disposition = f'attachment; filename="model-{model.pk}.pt"'
        return HttpResponse(content, content_type=OCTETS, headers={"Content-Disposition": disposition})
    version = None if isinstance(model, LocalModel) else find_version(global_of(model), number)
    file = model.weights_file if isinstance(model, LocalModel) else version and version.weights_file
    if not file:
        raise MissingPart(f"Model '{model.pk}' has no weights.")
    return _stream(file, f"model-{model.pk}.pt")


def preprocessing_answer(model_id: UUID, user: User) -> HttpResponseBase:
    """The preprocessing of a model; of a local model, its base model's.

    Raises:
        EntityNotFound, NotAllowed, MissingPart: the model is unknown, not for this user, or has no preprocessing.
    """
    model = get_readable_model(model_id, user)
    file = global_of(model).preprocessing_file
    if not file:
        raise MissingPart(f"Model '{model.pk}' has no preprocessing model defined.")
    return _stream(file, f"model-{model.pk}-proprecessing.pt")


def _stream(file: FieldFile, filename: str) -> FileResponse:
    try:
        opened = file.open("rb")
    except FileNotFoundError:
        raise MissingPart(f"The file {filename} is not in the storage any more.") from None
    return FileResponse(opened, as_attachment=True, filename=filename, content_type=OCTETS)
