"""`manage.py audit`: the trail as JSON lines, and whether it is as it was written."""

import json
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from fl_server_core.selectors.trail import export_trail, verify_trail
from fl_server_core.services.trail_sealing import seal_trail


class Command(BaseCommand):
    """Exports or verifies the trail (docs/audit.md)."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """`export --since`, `verify --expect`."""
        commands = parser.add_subparsers(dest="what", required=True)
        export = commands.add_parser("export", help="print the sealed entries, one JSON object a line")
        export.add_argument("--since", default="", help="only those sealed since then: 2026-01-31 or 2026-01-31T12:00")
        verify = commands.add_parser("verify", help="compute all hashes anew; exit with 1 if something is wrong")
        verify.add_argument("--expect", default="", help="a hash that was printed earlier: it must be in the chain")

    def handle(self, *, what: str, since: str = "", expect: str = "", **_: Any) -> None:
        """Seal what waits, then do it."""
        moment = _moment(since) if since else None
        seal_trail()
        if what == "export":
            for line in export_trail(since=moment):
                self.stdout.write(json.dumps(line, sort_keys=True, ensure_ascii=False))
            return
        self._verify(expect.strip().lower())

    def _verify(self, expected: str) -> None:
        verdict = verify_trail(expected=expected or None)
        number = verdict.position - verdict.first + 1
        good = f"{number} entries are good, from position {verdict.first} to {verdict.position}." if number else ""
        if verdict.problem:
            raise CommandError(" ".join(filter(None, (verdict.problem, good))))
        waiting = f" {verdict.waiting} are not sealed yet." if verdict.waiting else ""
        self.stdout.write((good or "The trail is empty.") + waiting)
        self.stdout.write(f"Hash of position {verdict.position}: {verdict.hash}")


def _moment(text: str) -> datetime:
    """A date, or a date and a time, in the server's time zone unless it names another."""
    try:
        day, moment = parse_date(text), parse_datetime(text)
    except ValueError:
        day = moment = None
    if moment is None and day is not None:
        moment = datetime.combine(day, datetime.min.time())
    if moment is None:
        raise CommandError(f"--since must be a date or a time such as 2026-01-31T12:00, not {text!r}.")
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
