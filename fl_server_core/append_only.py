"""Tables to which rows are only added: triggers refuse everything else, except within `purging`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def purging() -> Iterator[None]:
    """A transaction that may delete entries and seals of the trail. Changing them is refused here, too."""
    with transaction.atomic():
        _switch(on=True)
        yield
        _switch(on=False)


def _switch(*, on: bool) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Until the transaction ends, and for it alone.
            cursor.execute("SELECT set_config('fl.audit_purge', %s, true)", ["on" if on else "off"])
        else:
            # Seen by this transaction alone: SQLite has one writer, and the row goes before it commits.
            cursor.execute("INSERT INTO fl_audit_purging VALUES (1)" if on else "DELETE FROM fl_audit_purging")
