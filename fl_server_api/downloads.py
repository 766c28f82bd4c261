"""Answers that are files. They stream; nothing is read into memory but what was just computed."""

from __future__ import annotations

from collections.abc import Callable

from django.db.models.fields.files import FieldFile
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase

from fl_server_ai.inference.mean_file import mean_model_file
from fl_server_core.exceptions import MissingPart
from fl_server_core.models import MeanModel, User
from fl_server_core.selectors.models import get_readable_model, global_of

OCTETS = "application/octet-stream"
ATTEMPTS = 3


def weights_answer(model_id: str, user: User) -> HttpResponseBase:
    """The file of a model; that of a mean of models is made now.

    Raises:
        EntityNotFound, NotAllowed, MissingPart: the model is unknown, not for this user, or has no file.
        ModelRunError: the members of a mean cannot be put together.
    """
    model = get_readable_model(model_id, user)
    if isinstance(model, MeanModel):
        content = mean_model_file(user=user, model=model)
        disposition = f'attachment; filename="model-{model.pk}.pt"'
        return HttpResponse(content, content_type=OCTETS, headers={"Content-Disposition": disposition})
    return _stream(lambda: _weights(model_id, user))


def preprocessing_answer(model_id: str, user: User) -> HttpResponseBase:
    """The preprocessing of a model; of a local model, its base model's.

    Raises:
        EntityNotFound, NotAllowed, MissingPart: the model is unknown, not for this user, or has no preprocessing.
    """
    return _stream(lambda: _preprocessing(model_id, user))


def _weights(model_id: str, user: User) -> tuple[FieldFile, str]:
    model = get_readable_model(model_id, user)
    if not model.weights_file:
        raise MissingPart(f"Model '{model.pk}' has no weights.")
    return model.weights_file, f"model-{model.pk}.pt"


def _preprocessing(model_id: str, user: User) -> tuple[FieldFile, str]:
    model = get_readable_model(model_id, user)
    file = global_of(model).preprocessing_file
    if not file:
        raise MissingPart(f"Model '{model.pk}' has no preprocessing model defined.")
    return file, f"model-{model.pk}-proprecessing.pt"


def _stream(find: Callable[[], tuple[FieldFile, str]]) -> FileResponse:
    """Answer with the file, and under the name, that `find` reads from a row.

    A file may be replaced between reading its row and opening it: the newer row is the answer.
    """
    for _ in range(ATTEMPTS):
        file, filename = find()
        try:
            opened = file.open("rb")
        except FileNotFoundError:
            continue
        return FileResponse(opened, as_attachment=True, filename=filename, content_type=OCTETS)
    raise MissingPart(f"The file {filename} is not in the storage any more.")
