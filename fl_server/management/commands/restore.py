"""`manage.py restore`: a backup, put into an empty server."""

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BackupFolder
from fl_server.backup.manifest import read_manifest
from fl_server.backup.restoring import Permissions, restore_backup
from fl_server.management.commands.backup import described
from fl_server.processes.lock import DataFolderInUseError, lock_data_folder

PATIENCE_SECONDS = 15.0


class Command(BaseCommand):
    """Restores a backup into an empty server that doesn't run (docs/backup.md)."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """The folder with backups, and what may be done."""
        parser.add_argument("folder", metavar="FOLDER", help="where the backups are")
        parser.add_argument("--name", default=None, help="this backup instead of the newest")
        parser.add_argument("--force", action="store_true", help="replace what is in the database: it is lost")
        parser.add_argument("--other-secret-key", action="store_true", help="restore although the secret key differs")

        parser.add_argument("--digest", default="", help="restore only if this is the digest of the backup's manifest")

    def handle(
        self, *, folder: str, name: str | None, force: bool, other_secret_key: bool, digest: str = "", **_: Any
    ) -> None:
        """Check everything, then restore it."""
        os.umask(0o077)
        self._lock_data_folder()
        backups = BackupFolder(Path(folder).expanduser().absolute())
        allowed = Permissions(replace=force, other_key=other_secret_key, digest=digest)
        try:
            path = backups.find(name)
            with backups.reading():
                manifest = read_manifest(path)
                self.stdout.write(f"{path}, made at {manifest.made_at}: {described(manifest)}.")
                done = restore_backup(backups, path, manifest, allowed=allowed, say=self._say)
        except (BackupError, DatabaseError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(
                f"The restore was given up: {str(error).rstrip('.')}. If a disk is full, make room on it. Then run the "
                "command again: what was stored is kept."
            ) from error
        present = f" ({done.present} were there)" if done.present else ""
        self.stdout.write(
            f"Restored: {done.stored} files{present}. {done.running} trainings go on when the server runs."
        )

    def _lock_data_folder(self) -> None:
        if not settings.FL_EMBEDDED:
            return
        try:
            lock_data_folder(settings.FL_DATA_DIR, patience=PATIENCE_SECONDS, on_wait=lambda: None)
        except DataFolderInUseError as error:
            raise CommandError(f"A server runs on the data folder {settings.FL_DATA_DIR}. Stop it first.") from error

    def _say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()
