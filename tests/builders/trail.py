"""Entries of the trail, and hands that change them behind the server's back."""

from __future__ import annotations

from typing import Any

from django.db import connection

from fl_server_core.models import AuditEntry, AuditSeal
from fl_server_core.services.trail_sealing import seal_trail

ENTRIES, SEALS = AuditEntry._meta.db_table, AuditSeal._meta.db_table


def make_entries(*verbs: str, **values: Any) -> list[AuditEntry]:
    """Entries in this order, sealed."""
    made = [AuditEntry.objects.create(verb=verb, **values) for verb in verbs]
    seal_trail()
    return made


def tamper(*statements: str) -> None:
    """What somebody does who owns the database: without the triggers. To be called in a test that is rolled back."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for table in (ENTRIES, SEALS):
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'fl_audit_%'")
            for (name,) in cursor.fetchall():
                cursor.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            cursor.execute(statement)


def trail(*fields: str, **filters: Any) -> list[Any]:
    """These fields of the entries, in the order of their writing."""
    rows = AuditEntry.objects.filter(**filters).order_by("pk")
    return list(rows.values_list(*fields, flat=len(fields) == 1))
