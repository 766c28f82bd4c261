"""Files of rows: every file has a name of its own, under which it is written once and never changed."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from django.core.files.base import ContentFile

from fl_server_core.models.installation import installation_id

if TYPE_CHECKING:
    from django.db.models import Model
    from django.db.models.fields.files import FieldFile


def new_file_name(_instance: Any, _filename: str) -> str:
    """A name that no other file has, in one of 256 folders: `models/<installation>/3f/3f0c….pt`."""
    name = uuid.uuid4().hex
    return f"models/{installation_id()}/{name[:2]}/{name}.pt"


def folder_of_installation() -> str:
    """Where this installation keeps its files. Other installations may keep theirs in the same storage, beside it."""
    return f"models/{installation_id()}"


def read_all(file: FieldFile | None) -> bytes | None:
    """The bytes of a row's file; None if the row has none."""
    if not file:
        return None
    with file.open("rb") as handle:
        return bytes(handle.read())


def file_bytes(field: str) -> property:
    """A file field seen as bytes, None where there is no file; assigning writes a new file on save.

    For scripts and shells: the server itself streams. A property, because Django lets `Model(…)` and
    `objects.create(…)` set properties by keyword.
    """

    def read(instance: Model) -> bytes | None:
        return read_all(getattr(instance, field))

    def write(instance: Model, content: bytes | None) -> None:
        setattr(instance, field, None if content is None else ContentFile(content, name="upload.pt"))

    return property(read, write)
