from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db.models import Model as DjangoModel
from django.db.models.fields.files import FieldFile
from django.http import FileResponse

from fl_server_core.exceptions import EntityNotFound, InvalidRequest, MissingPart

Row = TypeVar("Row", bound=DjangoModel)
ATTEMPTS = 3


def get_entity(cls: type[Row], error_message: str | None = None, error_identifier: object = None, **lookup: Any) -> Row:
    """The one row of `cls` that fits the lookup.

    error_message: the whole sentence of the refusal; error_identifier: what it calls the row, else the lookup's value.

    Raises:
        EntityNotFound, or InvalidRequest with a message of the caller's own: none fits, or the lookup is malformed.
    """
    try:
        return cls._default_manager.get(**lookup)
    except (ObjectDoesNotExist, ValidationError, ValueError, OverflowError):
        if error_message is not None:
            raise InvalidRequest(error_message) from None
        identifier = next(iter(lookup.values()), None) if error_identifier is None else error_identifier
        raise EntityNotFound(cls.__name__, identifier) from None


def stream_file(find: Callable[[], tuple[FieldFile, str]]) -> FileResponse:
    """Answer with the file, and under the name, that `find` reads from a row.

    A file may be replaced between reading its row and opening it: the newer row is the answer.

    Raises:
        MissingPart: the storage does not hold what the row names.
    """
    for _ in range(ATTEMPTS):
        file, filename = find()
        try:
            opened = file.open("rb")
        except FileNotFoundError:
            continue
        return FileResponse(opened, as_attachment=True, filename=filename, content_type="application/octet-stream")
    raise MissingPart(f"The file {filename} is not in the storage any more.")
