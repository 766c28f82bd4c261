from __future__ import annotations

import uuid

from django.db import connection, models

ONLY = 1
_known: str | None = None


class Installation(models.Model):
    """One row: which of the servers that share a file storage this one is.

    A copy of the database is the same installation. Give the copy a storage of its own.
    """

    number = models.PositiveSmallIntegerField(primary_key=True, default=ONLY, editable=False)
    identifier = models.UUIDField(default=uuid.uuid4, editable=False)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(number=ONLY), name="one_installation")]

    def __str__(self) -> str:
        return self.identifier.hex


def installation_id() -> str:
    """The id of this installation, made when it is first asked for: 32 hexadecimal digits."""
    global _known
    if _known is not None:
        return _known
    installation, _ = Installation.objects.get_or_create(number=ONLY)
    if not connection.in_atomic_block:  # a row that this transaction has made may still be rolled back
        _known = str(installation)
    return str(installation)
