"""Answers that are files. They stream; nothing is read into memory but what was just computed."""

from __future__ import annotations

from pathlib import PurePosixPath
from uuid import UUID

from django.db.models.fields.files import FieldFile
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from fl_server_ai.inference.mean_file import mean_model_file
from fl_server_api.ranges import OCTETS, Download, answer
from fl_server_core.exceptions import MissingPart
from fl_server_core.models import LocalModel, MeanModel, Model, User
from fl_server_core.selectors.models import get_readable_model, global_of
from fl_server_core.selectors.versions import find_version


def weights_answer(request: HttpRequest, model_id: UUID, user: User, number: int | None = None) -> HttpResponseBase:
    """The file of a model, or of one of its versions; that of a mean of models is made now.

    Raises:
        EntityNotFound, NotAllowed, MissingPart: no such model, not for this user, or it has no file.
        InvalidRequest, Gone: no such version, or its file is no longer kept.
        ModelRunError: the members of a mean cannot be put together.
    """
    model = get_readable_model(model_id, user)
    if number is None and isinstance(model, MeanModel):
        content = mean_model_file(user=user, model=model)
        disposition = f'attachment; filename="model-{model.pk}.pt"'
        return HttpResponse(content, content_type=OCTETS, headers={"Content-Disposition": disposition})
    try:
        return answer(request, _weights(model, number))
    except FileNotFoundError:
        raise _lost(f"model-{model.pk}.pt") from None


def preprocessing_answer(request: HttpRequest, model_id: UUID, user: User) -> HttpResponseBase:
    """The preprocessing of a model; of a local model, its base model's.

    Raises:
        EntityNotFound, NotAllowed, MissingPart: the model is unknown, not for this user, or has no preprocessing.
    """
    model = get_readable_model(model_id, user)
    file, filename = global_of(model).preprocessing_file, f"model-{model.pk}-proprecessing.pt"
    if not file:
        raise MissingPart(f"Model '{model.pk}' has no preprocessing model defined.")
    try:
        return answer(request, Download(file, filename, _tag(file)))
    except FileNotFoundError:
        raise _lost(filename) from None


def _weights(model: Model, number: int | None) -> Download:
    filename = f"model-{model.pk}.pt"
    if number is None and isinstance(model, LocalModel):
        if model.weights_file:
            return Download(model.weights_file, filename, _tag(model.weights_file))
    else:
        version = find_version(model, number)
        if version is not None and version.is_available:
            file = version.weights_file
            return Download(file, filename, version.digest or _tag(file), version.created_at)
    raise MissingPart(f"Model '{model.pk}' has no weights.")


def _tag(file: FieldFile) -> str:
    """The file's own name, which is never given to other bytes."""
    return PurePosixPath(file.name or "").stem


def _lost(filename: str) -> MissingPart:
    return MissingPart(f"The file {filename} is no longer in the storage. Ask for it again.")
