"""`manage.py retention`: what is older than the settings keep it."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from fl_server_core.selectors.expendable import RETENTIONS, bytes_of_updates, old_seals
from fl_server_core.services.retention import purge_all


class Command(BaseCommand):
    """Removes what is older than the settings keep it, as the server does once an hour (docs/backup.md)."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """`--dry-run`."""
        parser.add_argument("--dry-run", action="store_true", help="remove nothing, say what would go")

    def handle(self, *, dry_run: bool, **_: Any) -> None:
        """A line for each kind of rows."""
        if dry_run:
            self._foretell()
            return
        for noun, number in purge_all():
            self.stdout.write(f"{noun}: {number} removed")

    def _foretell(self) -> None:
        for retention in RETENTIONS:
            rows = retention.expendable()
            setting = f"{retention.setting}={retention.days}" if retention.setting else "always"
            number = "kept for ever" if rows is None else f"{rows.count()} would go"
            if rows is not None and retention.noun == "updates":
                number += f", with {bytes_of_updates(rows) / 1e6:.1f} MB of files"
            self.stdout.write(f"{retention.noun}: {number} ({setting})")
        days = settings.FL_AUDIT_DAYS
        number = f"{old_seals(timezone.now() - timedelta(days=days)).count()} would go" if days else "kept for ever"
        self.stdout.write(f"entries of the trail: {number} (FL_AUDIT_DAYS={days})")
