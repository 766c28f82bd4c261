"""A backup keeps its hold on files for as long as it lives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import DatabaseError
from django.utils import timezone

from fl_server.backup import copying, holding, stored
from fl_server.backup.folder import BackupFolder
from fl_server.backup.making import make_backup
from fl_server_core.models import BackupHold, GlobalModel
from fl_server_core.services import backup_holds
from fl_server_core.services.backup_holds import LEASE
from tests.builders.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def nearly_out() -> None:
    BackupHold.objects.update(until=timezone.now() + timedelta(minutes=1))


def is_renewed() -> bool:
    return BackupHold.objects.get().until > timezone.now() + LEASE - timedelta(minutes=1)


def test_the_hold_is_renewed_while_a_file_is_awaited_although_the_database_fails_once(
    model: GlobalModel, folder: BackupFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[UUID] = []
    original, renew = stored.open_stored_bytes, backup_holds.renew_hold

    def open_slowly(name: str) -> Any:
        nearly_out()
        wait_until("the hold to be renewed", is_renewed)
        return original(name)

    def fail_once(hold: UUID) -> bool:
        tries.append(hold)
        if len(tries) == 1:
            raise DatabaseError("the database is locked")
        return renew(hold)

    monkeypatch.setattr(holding, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(holding, "renew_hold", fail_once)
    monkeypatch.setattr(copying, "open_stored_bytes", open_slowly)
    made = make_backup(folder, warn=lambda sentence: pytest.fail(sentence))
    assert (len(made.manifest.files), made.manifest.lost) == (1, [])
    assert "could not be renewed, and is tried again: the database is locked" in caplog.text
    assert not BackupHold.objects.exists()
