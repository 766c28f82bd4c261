"""Answers that are files. They stream; nothing is read into memory but what was just computed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from uuid import UUID

from django.db.models.fields.files import FieldFile
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from fl_server_ai.inference.mean_file import mean_model_file
from fl_server_api.ranges import OCTETS, Download, Section, Stored, answer
from fl_server_core.archive import ArchiveError, SafetensorsExport, open_archive
from fl_server_core.exceptions import InvalidRequest, MissingPart
from fl_server_core.models import LocalModel, MeanModel, Model, User
from fl_server_core.selectors.models import get_readable_model, global_of
from fl_server_core.selectors.versions import find_version
from fl_server_core.services.files import local_path
from fl_server_core.services.updates import clean_file


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    number: of a version; None: the current one. format: "pt" or "safetensors". direct: from the storage, if possible.
    """

    model_id: UUID
    number: int | None = None
    format: str = "pt"
    direct: bool = False


@dataclass(frozen=True)
class Exported:
    """The tensors of a stored archive as safetensors, made while they are sent."""

    file: FieldFile

    def open(self) -> SafetensorsExport:
        try:
            with local_path(self.file) as path:
                archive = open_archive(path)  # stays mapped when a copy's path is gone
            return SafetensorsExport(archive)
        except ArchiveError as error:
            raise InvalidRequest(f"The model can't be had as safetensors: {error}") from error

    def open_part(self, part: range) -> Section:
        return Section(self.open(), part)

    def address(self, filename: str) -> None:
        """Nothing of it is stored."""

    def size(self) -> int:
        with closing(self.open()) as export:
            return export.size


def weights_answer(request: HttpRequest, wanted: Wanted, user: User) -> HttpResponseBase:
    """The file of a model, or of one of its versions; that of a mean of models is made now.

    Raises:
        EntityNotFound, NotAllowed, MissingPart: no such model, not for this user, or it has no file.
        InvalidRequest, Gone: no such version or format, or its file is no longer kept.
        ModelRunError: the members of a mean cannot be put together.
    """
    model = get_readable_model(wanted.model_id, user)
    if wanted.number is None and isinstance(model, MeanModel):
        if wanted.format == "safetensors":
            raise InvalidRequest("A mean of models has no tensors of its own. Download its members as safetensors.")
        content = mean_model_file(user=user, model=model)
        disposition = f'attachment; filename="model-{model.pk}.pt"'
        return HttpResponse(content, content_type=OCTETS, headers={"Content-Disposition": disposition})
    try:
        return answer(request, _weights(model, wanted))
    except FileNotFoundError:
        raise _lost(f"model-{model.pk}.pt") from None


def preprocessing_answer(request: HttpRequest, model_id: UUID, user: User, *, direct: bool = False) -> HttpResponseBase:
    """The preprocessing of a model; of a local model, its base model's.

    Raises:
        EntityNotFound, NotAllowed, MissingPart: the model is unknown, not for this user, or has no preprocessing.
    """
    model = get_readable_model(model_id, user)
    file, filename = global_of(model).preprocessing_file, f"model-{model.pk}-proprecessing.pt"
    if not file:
        raise MissingPart(f"Model '{model.pk}' has no preprocessing model defined.")
    try:
        return answer(request, Download(Stored(file), filename, _tag(file), direct=direct))
    except FileNotFoundError:
        raise _lost(filename) from None


def _weights(model: Model, wanted: Wanted) -> Download:
    filename = f"model-{model.pk}.{wanted.format}"
    file, tag, modified = _stored_weights(model, wanted.number)
    if wanted.format == "safetensors":
        return Download(Exported(file), filename, f"{tag}.safetensors", modified)
    return Download(Stored(file), filename, tag, modified, wanted.direct)


def _stored_weights(model: Model, number: int | None) -> tuple[FieldFile, str, datetime | None]:
    """The file, a name for its bytes, and when they came."""
    if number is None and isinstance(model, LocalModel):
        file = clean_file(model)
        if file:
            return file, _tag(file), None
    else:
        version = find_version(model, number)
        if version is not None and version.is_available:
            file = version.weights_file
            return file, version.digest or _tag(file), version.created_at
    raise MissingPart(f"Model '{model.pk}' has no weights.")


def _tag(file: FieldFile) -> str:
    """The file's own name, which is never given to other bytes."""
    return PurePosixPath(file.name or "").stem


def _lost(filename: str) -> MissingPart:
    return MissingPart(f"The file {filename} is no longer in the storage. Ask for it again.")
