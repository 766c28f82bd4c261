"""Removes rows that are older than the settings keep them, a few hundred at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from fl_server_core.models.audit import AuditEntry, Credential
from fl_server_core.selectors.expendable import RETENTIONS
from fl_server_core.services.trail_purging import purge_trail

logger = logging.getLogger(__name__)

BATCH = 200
"""Rows in one transaction. On SQLite, it keeps all others from writing."""
AT_ONCE = 50_000
"""Rows of one kind in one run. The next run, an hour later, continues."""


def purge_all() -> Iterator[tuple[str, int]]:
    """Remove all rows that may be removed. Yields: each kind, and how many rows of it were removed."""
    for retention in RETENTIONS:
        rows = retention.expendable()
        number = 0 if rows is None else remove_rows(rows)
        if number and retention.is_noted:
            details = {"rows": number, "days": retention.days}
            AuditEntry.objects.create(
                credential=Credential.SERVER, verb="purge", object_kind=retention.noun, details=details
            )
        if number:
            logger.info("Removed %s %s: they were older than %s says.", number, retention.noun, retention.setting)
        yield retention.noun, number
    days = settings.FL_AUDIT_DAYS
    yield "entries of the trail", purge_trail(older_than=timedelta(days=days)) if days else 0


def remove_rows(rows: QuerySet[Any, Any], *, at_most: int = AT_ONCE) -> int:
    """Delete rows, and with them what belongs to them and their files. Returns: how many.

    Each batch is a transaction of its own, and looks again whether its rows may go.
    """
    removed = 0
    while removed < at_most:
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[: min(BATCH, at_most - removed)])
        if not keys:
            break
        with transaction.atomic():
            _, deleted = rows.filter(pk__in=keys).delete()
        number = deleted.get(rows.model._meta.label, 0)
        if not number:  # they may not be removed any more
            break
        removed += number
    return removed
