"""Putting files of a backup into the storage."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import digest_of
from fl_server.backup.manifest import Stored
from fl_server.backup.stored import store
from tests.builders.storage import content_of

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("emptied_storage")]


def test_what_a_killed_restore_left_of_a_file_is_replaced_and_other_bytes_are_refused(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"0123456789")
    file = Stored("models/x/a.pt", 10, digest_of(source))
    for left in (b"", b"01234"):
        default_storage.save(file.name, ContentFile(left))
        assert store(source, file)
        assert content_of(file.name) == b"0123456789"
        default_storage.delete(file.name)
    for other in (b"0123x", b"0123456780", b"0123456789a"):
        default_storage.save(file.name, ContentFile(other))
        with pytest.raises(BackupError, match="with other bytes"):
            store(source, file)
        assert content_of(file.name) == other
        default_storage.delete(file.name)
