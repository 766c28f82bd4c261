"""What lies in the file storage, and which rows name it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.files.storage import default_storage

from fl_server_core.models import GlobalModel, LocalModel, ModelVersion
from fl_server_core.models.model_version import append_version, store_weights


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


def content_of(name: str) -> bytes:
    """The bytes of a stored file."""
    with default_storage.open(name) as file:
        return bytes(file.read())


def body_of(answer: Any) -> bytes:
    """The whole of a streamed answer; read to the end, the test client closes it."""
    return b"".join(answer.streaming_content)


def file_name_of(model: GlobalModel | LocalModel) -> str:
    """Where the model's weights are in the storage."""
    assert model.weights_file is not None
    return str(model.weights_file.name)


def weight_files() -> set[str]:
    """The files that hold the weights of any model."""
    versions = ModelVersion.objects.exclude(weights_file="").values_list("weights_file", flat=True)
    updates = LocalModel.objects.exclude(weights_file="").values_list("weights_file", flat=True)
    return {str(name) for name in (*versions, *updates)}


def lose_file(model: GlobalModel | LocalModel) -> None:
    """The storage loses the weights that this row, be it outdated, names."""
    default_storage.delete(file_name_of(model))


def make_newer(model: GlobalModel, content: bytes, *, round: int | None = None) -> None:
    """As a round that is closed in another process does it: a new version, and `model` is left as it was read."""
    row = GlobalModel.objects.get(pk=model.pk)
    row.round = row.round if round is None else round
    append_version(row, store_weights(content))
