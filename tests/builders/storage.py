"""What lies in the file storage, and which rows name it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from fl_server_core.models import Model
from fl_server_core.models.files import new_file_name


def stored_files() -> set[str]:
    """The names of all files in the storage."""
    return set(_walk(""))


def _walk(folder: str) -> Iterator[str]:
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    yield from (f"{folder}/{name}" if folder else name for name in files)
    for name in folders:
        yield from _walk(f"{folder}/{name}" if folder else name)


def body_of(answer: Any) -> bytes:
    """The whole of a streamed answer; read to the end, the test client closes it."""
    return b"".join(answer.streaming_content)


def file_name_of(model: Model) -> str:
    """Where the model's weights are in the storage."""
    return str(model.weights_file.name)


def weight_files() -> set[str]:
    """The files that hold the weights of any model."""
    return {str(name) for name in Model.objects.exclude(weights_file="").values_list("weights_file", flat=True)}


def lose_file(model: Model) -> None:
    """The storage loses the weights that this row, be it outdated, names."""
    default_storage.delete(file_name_of(model))


def replace_file(model: Model, content: bytes, **changes: Any) -> None:
    """As a round that is closed in another process does it: new weights for the row, and the old file is gone.

    `model` is left as it was read.
    """
    name = default_storage.save(new_file_name(None, ""), ContentFile(content))
    Model.objects.filter(pk=model.pk).update(weights_file=name, **changes)
    lose_file(model)
