"""Files that no row names: what a process left behind that was killed between writing a file and its row."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import FileField, Model
from django.utils import timezone

from fl_server_core.models.files import folder_of_installation
from fl_server_core.models.stored_file import StoredFile
from fl_server_core.services.backup_holds import are_files_held
from fl_server_core.storage import FarStorage

logger = logging.getLogger(__name__)
BATCH = 500


def remove_orphans(*, older_than: timedelta) -> int:
    """Remove stored files that no row names and uploads that nobody holds, if they are older than given.

    Younger ones may belong to a request or a worker that is about to write their row. Files of other installations in
    the same storage are left alone: their rows are in other databases. While a backup runs, only uploads are removed.
    Returns how many were removed.
    """
    limit = timezone.now() - older_than
    removed = _remove_unfinished(limit)
    batch: list[str] = []
    for name in _stored_names(folder_of_installation()):
        batch.append(name)
        if len(batch) == BATCH:
            removed += _remove_unnamed(batch, limit)
            batch = []
    return removed + _remove_unnamed(batch, limit) + _remove_scratch(limit)


def _remove_unfinished(limit: datetime) -> int:
    """Uploads of several parts whose process was killed: a storage keeps their parts, and lists no file."""
    if not isinstance(default_storage, FarStorage):
        return 0
    try:
        return default_storage.tidy(folder_of_installation(), limit)
    except OSError as error:
        logger.warning("Could not remove the parts of uploads that never ended: %s", error)
        return 0


def _stored_names(folder: str) -> Iterator[str]:
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:
        return
    for name in files:
        yield f"{folder}/{name}"
    for name in folders:
        yield from _stored_names(f"{folder}/{name}")


def _remove_unnamed(names: list[str], limit: datetime) -> int:
    named = {name for field in file_fields() for name in _named_by(field, names)}
    if are_files_held():  # asked after the rows: a backup may name files that no row names any more
        return 0
    removed = 0
    for name in names:
        if name not in named and _is_older(name, limit):
            try:
                default_storage.delete(name)
                StoredFile.objects.filter(name=name).delete()
            except OSError as error:
                logger.warning("Could not remove %s, which no row names: %s", name, error)
                continue
            logger.info("Removed %s, which no row names.", name)
            removed += 1
    return removed


def file_fields() -> Iterator[FileField]:
    """Every column that names stored files."""
    for model in apps.get_app_config("fl_server_core").get_models():
        yield from (field for field in model._meta.local_fields if isinstance(field, FileField))


def _named_by(field: FileField, names: list[str]) -> Iterator[str]:
    model: type[Model] = field.model
    yield from model._base_manager.filter(**{f"{field.name}__in": names}).values_list(field.name, flat=True)


def _is_older(name: str, limit: datetime) -> bool:
    try:
        return default_storage.get_modified_time(name) < limit
    except FileNotFoundError:  # removed by its own request in the meantime
        return False


def _remove_scratch(limit: datetime) -> int:
    removed = 0
    for path in Path(settings.FILE_UPLOAD_TEMP_DIR).glob("*"):
        try:
            if path.is_file() and path.stat().st_mtime < limit.timestamp():
                path.unlink()
                removed += 1
        except FileNotFoundError:
            continue
    return removed
