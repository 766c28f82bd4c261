"""A backup's hold on files, for as long as the backup lives."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db import DatabaseError, connection

from fl_server_core.models import BackupHold
from fl_server_core.services.backup_holds import begin_hold, end_hold, renew_hold

logger = logging.getLogger(__name__)

RENEW_SECONDS = 20.0
Say = Callable[[str], None]


@dataclass
class Hold:
    """Keeps files that lose their row until the backup has copied them. is_lost: it had run out in between."""

    id: UUID | None
    is_lost: bool = False

    def renew(self) -> None:
        """Also notes whether it had run out: this process may have been suspended for a while."""
        self.is_lost |= self.id is None or not renew_hold(self.id)


@contextlib.contextmanager
def holding_files(warn: Say) -> Iterator[Hold]:
    """Hold all files, however long it takes: what is waited for, a dump or a large file, renews nothing."""
    if BackupHold._meta.db_table not in connection.introspection.table_names():
        warn(
            "The database is of an older version of the server, which removes files while they are copied. If this "
            "fails, stop the server and try again."
        )
        yield Hold(None)
        return
    hold = Hold(begin_hold())
    over = threading.Event()
    renewing = threading.Thread(target=_renew_until, args=(over, hold), name="backup-hold", daemon=True)
    renewing.start()
    try:
        yield hold
    finally:
        over.set()
        renewing.join()
        with contextlib.suppress(DatabaseError):  # it then ends by itself
            end_hold(hold.id)  # type: ignore[arg-type]  # it was given one


def _renew_until(over: threading.Event, hold: Hold) -> None:
    try:
        while not over.wait(RENEW_SECONDS):
            try:
                hold.renew()
            except DatabaseError as error:  # it is renewed long before it ends
                logger.warning("The backup's hold on files could not be renewed, and is tried again: %s", error)
                connection.close()
    finally:
        connection.close()  # this thread's own
