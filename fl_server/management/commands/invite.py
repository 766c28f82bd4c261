"""`manage.py invite`: invitations from the command line."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from fl_server_core.exceptions import DomainError
from fl_server_core.services.invitations import DEFAULT_DAYS, invite


class Command(BaseCommand):
    """Makes invitations and prints their codes. Each lets one person register, once."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """How many, for how long, and for whom."""
        parser.add_argument("--count", type=int, default=1, help="how many (1)")
        parser.add_argument("--days", type=int, default=DEFAULT_DAYS, help=f"how long they are valid ({DEFAULT_DAYS})")
        parser.add_argument("--note", default="", help="whom they are for; the admin shows it")

    def handle(self, *, count: int, days: int, note: str, **_: Any) -> None:
        """Print one code a line."""
        if count < 1:
            raise CommandError("--count must be at least 1.")
        try:
            codes = [invite(author=None, days=days, note=note[:200])[1] for _number in range(count)]
        except DomainError as error:
            raise CommandError(str(error)) from error
        self.stdout.write("\n".join(codes))
        self.stderr.write("Each code registers one person, at <address of the server>/invitation/#<code>")
