"""`manage.py migrate`: Django's command, by one process at a time, and without holding up those that serve."""

import time
from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as MigrateCommand
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection
from django.db.migrations import Migration

from fl_server.processes.migrating import MigrationsLocked, migration_lock

# A change of a table waits for its readers, and everybody else waits behind it. So wait briefly, then try again.
LOCK_TIMEOUT_MS = 3000
ATTEMPTS = 20
PAUSE_SECONDS = 3.0
# The migration waited too long, or was part of a deadlock. Either way it has been rolled back.
LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"


class Command(MigrateCommand):
    """Applies migrations. A second process that does the same waits for the first one."""

    help = "Updates the database. Other processes may go on serving meanwhile (docs/upgrading.md)."

    def handle(self, *args: Any, **options: Any) -> None:
        """Take the lock, then do what Django's command does."""
        if options["database"] != DEFAULT_DB_ALIAS or options["plan"] or options["check_unapplied"]:
            super().handle(*args, **options)
            return
        try:
            with migration_lock(self.stderr.write):
                self._migrate(args, options)
        except MigrationsLocked as error:
            raise CommandError(str(error)) from error

    def _migrate(self, args: Any, options: Any) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                super().handle(*args, **options)
            except OperationalError as error:
                if getattr(error.__cause__, "pgcode", None) not in (LOCK_NOT_AVAILABLE, DEADLOCK):
                    raise
                if attempt == ATTEMPTS:
                    raise CommandError(
                        f"A table was in use in each of {ATTEMPTS} attempts. End what keeps a transaction open, such "
                        "as a dump of the database, and run this again. What had been applied before is kept."
                    ) from error
                self.stderr.write("A table is in use. The migration has been taken back and is tried again.")
                time.sleep(PAUSE_SECONDS)
            else:
                return

    def migration_progress_callback(self, action: str, migration: Migration | None = None, fake: bool = False) -> None:
        """Django's report of its progress: here, also the place to say how long the next migration may wait."""
        if action == "apply_start" and migration is not None and connection.vendor == "postgresql":
            # One that is not atomic can't be taken back, and makes its indexes without holding anybody up.
            limit = LOCK_TIMEOUT_MS if migration.atomic else 0
            with connection.cursor() as cursor:
                cursor.execute(f"SET lock_timeout = {limit:d}")
        super().migration_progress_callback(action, migration, fake)
