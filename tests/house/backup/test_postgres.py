"""Backups of a server on PostgreSQL and Redis."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import psycopg2  # type: ignore[import-untyped]  # it has no stubs
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from pytest_django import Settings

from fl_server.backup import postgres, restoring
from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BackupFolder
from fl_server.backup.making import make_backup
from fl_server.backup.manifest import read_manifest
from fl_server.backup.restoring import Permissions, restore_backup
from fl_server.storage.shared_files import refuse_unshared_files
from fl_server_core.models import AuditEntry, Credential, GlobalModel
from fl_server_core.monitoring.heartbeats import remove_heartbeat, write_heartbeat

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("emptied_storage"),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="of PostgreSQL and Redis: run in that pass"),
]
WRITTEN_ANEW = "ALTER TABLE fl_server_core_auditentry ADD COLUMN lot double precision DEFAULT random()"


def test_a_table_that_a_migration_would_write_anew_waits_until_the_backup_has_it(
    model: GlobalModel, folder: BackupFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an earlier snapshot, such a table is empty."""
    original, refused = postgres._run, []
    details = {"said": "before the backup"}
    AuditEntry.objects.create(credential=Credential.SERVER, verb="backup", object_kind="server", details=details)

    def migrate_first(command: list[str]) -> None:
        values = connection.settings_dict
        names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD", "dbname": "NAME"}
        with (
            closing(psycopg2.connect(**{name: values[key] for name, key in names.items()})) as other,
            other.cursor() as cursor,
        ):
            cursor.execute("SET lock_timeout = 300")
            try:
                cursor.execute(WRITTEN_ANEW)
                other.commit()
            except psycopg2.errors.LockNotAvailable as error:
                refused.append(error)
        original(command)

    monkeypatch.setattr(postgres, "_run", migrate_first)
    try:
        made = make_backup(folder, warn=lambda sentence: pytest.fail(sentence))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE fl_server_core_auditentry DROP COLUMN IF EXISTS lot")
    assert details["said"] in (folder.backups / made.name / "database.sql").read_text(encoding="utf-8")
    assert len(refused) == 1


def test_after_a_restore_all_processes_agree_on_the_new_folder_of_files(
    model: GlobalModel, folder: BackupFolder, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis, which was not lost, knows the old one."""
    refuse_unshared_files()
    made = make_backup(folder, warn=lambda sentence: pytest.fail(sentence))
    settings.MEDIA_ROOT = tmp_path / "new"
    with pytest.raises(ImproperlyConfigured, match="Another process of this server stores its files"):
        refuse_unshared_files()
    shutil.rmtree(settings.MEDIA_ROOT)
    path = folder.backups / made.name
    # The tests have connections of their own.
    monkeypatch.setattr(restoring, "_refuse_server_in_use", lambda: None)
    restore_backup(folder, path, read_manifest(path), allowed=Permissions(replace=True), say=lambda _: None)
    refuse_unshared_files()
    assert (settings.MEDIA_ROOT / made.manifest.files[0].name).is_file()


def test_a_restore_is_refused_while_a_worker_lives_that_has_no_connection(
    model: GlobalModel, folder: BackupFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_backup(folder, warn=lambda sentence: pytest.fail(sentence))
    path = folder.find(None)
    monkeypatch.setattr(restoring, "LIFE_SECONDS", -1.0)  # don't wait for it to be thought dead
    write_heartbeat("celery@idle", ["celery"])
    try:
        with pytest.raises(BackupError, match="The server runs: celery@idle"):
            restore_backup(folder, path, read_manifest(path), allowed=Permissions(replace=True), say=lambda _: None)
    finally:
        remove_heartbeat("celery@idle")
    assert GlobalModel.objects.get() == model


def test_without_pg_dump_or_with_an_old_one_the_sentence_says_what_to_install(
    folder: BackupFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(CommandError, match=r"pg_dump is not installed\. Install PostgreSQL's client programs"):
        call_command("backup", str(folder.path))
    old = programs / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    old.chmod(0o700)
    with pytest.raises(CommandError, match="of version 9, older than the server's version"):
        call_command("backup", str(folder.path))


def test_a_setting_that_an_older_postgresql_does_not_know_is_a_comment_in_the_dump(
    model: GlobalModel, folder: BackupFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What pg_dump 17 writes, by a program in front of the one that is installed here."""
    real = shutil.which("pg_dump")
    program = tmp_path / "pg_dump"
    program.write_text(
        f'#!/bin/sh\n{real} "$@"\nfor word; do case "$word" in --file=*)\n'
        "sed -i '0,/^SET lock_timeout = 0;$/s//&\\nSET transaction_timeout = 0;/' \"${word#--file=}\";; esac; done\n"
    )
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    made = make_backup(folder, warn=lambda sentence: pytest.fail(sentence))
    text = (folder.backups / made.name / "database.sql").read_text(encoding="utf-8")
    assert "\n--T transaction_timeout = 0;\n" in text
    assert "\nSET transaction_timeout" not in text
