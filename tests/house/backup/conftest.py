"""What tests of backups share: a model, a folder with backups, and a storage that is empty afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.storage import default_storage

from fl_server.backup.folder import BackupFolder
from fl_server_core.models import GlobalModel
from tests.builders.rows import make_model, make_user
from tests.builders.storage import stored_files


@pytest.fixture
def emptied_storage() -> Iterator[None]:
    yield
    for name in stored_files():
        default_storage.delete(name)


@pytest.fixture
def model(transactional_db: None, emptied_storage: None) -> GlobalModel:
    made: GlobalModel = make_model(make_user("anna", password="correct horse"))
    return made


@pytest.fixture
def folder(tmp_path: Path) -> BackupFolder:
    return BackupFolder(tmp_path / "backups")
