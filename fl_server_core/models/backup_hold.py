from __future__ import annotations

import uuid

from django.db import models


class BackupHold(models.Model):
    """A backup that runs: until it ends, or `until` has passed, no file is removed that a row named.

    It is committed before the backup's snapshot of the database, and so is in the snapshot itself.
    """

    id = models.UUIDField(primary_key=True, editable=False, default=uuid.uuid4)
    until = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"Backup {self.id}"
