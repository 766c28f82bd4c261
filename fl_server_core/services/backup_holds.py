"""No file is removed while a backup copies files. Ask here before you remove one."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from fl_server_core.models.backup_hold import BackupHold

LEASE = timedelta(minutes=10)
"""How long a killed backup still keeps files. A running one renews its hold every few seconds."""


def begin_hold() -> UUID:
    """Keep all files from now on. Commit this before the database is read."""
    BackupHold.objects.filter(until__lt=timezone.now() - LEASE).delete()
    return BackupHold.objects.create(until=timezone.now() + LEASE).pk


def renew_hold(hold: UUID) -> bool:
    """Renew the hold. False: it had run out, so files may be gone."""
    now = timezone.now()
    return bool(BackupHold.objects.filter(pk=hold, until__gt=now).update(until=now + LEASE))


def end_hold(hold: UUID) -> None:
    """Let files go again. Those that lost their row meanwhile are left to the sweep for orphans."""
    BackupHold.objects.filter(pk=hold).delete()


def are_files_held() -> bool:
    """Does a backup run?

    Ask after the row that named the file is gone for all others, and not within the transaction that deletes it: a
    backup that begins later does not know the file, one that began earlier is seen here.
    """
    return BackupHold.objects.filter(until__gt=timezone.now()).exists()
