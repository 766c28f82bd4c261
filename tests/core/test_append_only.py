"""The trail's tables take new rows only, whoever asks the database."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from fl_server_core.append_only import purging
from fl_server_core.models import AuditEntry, AuditPending, AuditSeal
from fl_server_core.services.trail_sealing import seal_trail

pytestmark = pytest.mark.django_db
ENTRY, SEAL = AuditEntry._meta.db_table, AuditSeal._meta.db_table


@pytest.fixture(autouse=True)
def _sealed() -> None:
    for verb in ("create", "start"):
        AuditEntry.objects.create(verb=verb)
    seal_trail()


def execute(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {ENTRY} SET verb = 'nothing'",
        f"DELETE FROM {ENTRY}",
        f"UPDATE {SEAL} SET hash = 'nothing'",
        f"DELETE FROM {SEAL}",
    ],
)
def test_what_is_written_is_neither_changed_nor_deleted(statement: str) -> None:
    with pytest.raises(IntegrityError, match="append-only"):
        execute(statement)
    assert list(AuditEntry.objects.values_list("verb", flat=True)) == ["create", "start"]
    assert AuditSeal.objects.count() == 2


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no TRUNCATE")
@pytest.mark.parametrize("table", [ENTRY, SEAL])
def test_no_table_is_emptied(table: str) -> None:
    with pytest.raises(IntegrityError, match="append-only"):
        execute(f"TRUNCATE {table}")


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has no INSERT OR REPLACE")
@pytest.mark.parametrize(("table", "key"), [(ENTRY, "id"), (SEAL, "position")])
def test_no_row_takes_the_place_of_another(table: str, key: str) -> None:
    with pytest.raises(IntegrityError, match="append-only"):
        execute(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table} ORDER BY {key} LIMIT 1")


def test_purging_deletes_and_changes_nothing() -> None:
    with pytest.raises(IntegrityError, match="append-only"), purging():
        execute(f"UPDATE {ENTRY} SET verb = 'nothing'")
    with purging():
        AuditSeal.objects.all().delete()
        AuditEntry.objects.all().delete()
    assert not AuditEntry.objects.exists()


def test_after_purging_deletions_are_refused_again() -> None:
    with purging():
        AuditSeal.objects.all().delete()
    with pytest.raises(IntegrityError, match="append-only"):
        execute(f"DELETE FROM {ENTRY}")


def test_an_entry_waits_to_be_sealed_however_it_was_written() -> None:
    AuditEntry.objects.bulk_create([AuditEntry(verb="stop"), AuditEntry(verb="resume")])
    newest = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True)[:2]
    assert set(AuditPending.objects.values_list("entry_id", flat=True)) == set(newest)
