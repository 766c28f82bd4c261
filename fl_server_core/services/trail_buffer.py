"""Entries that an answer need not wait for: of reads and refusals. They are written in batches, within seconds.

Of the same deed, by the same account from the same address, the first in a minute has an entry at once; those that
follow are counted, and have one entry together when the minute is over. Strangers make a bounded number of entries in a
minute whatever they send: beyond that, one entry says how many deeds were left out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections
from django.utils import timezone

from fl_server_core.log_context import reason_of
from fl_server_core.models.audit import AuditEntry, Outcome
from fl_server_core.services.sign_in_limits import group_of

logger = logging.getLogger(__name__)
WINDOW_SECONDS = 60.0
FLUSH_SECONDS = 1.0
STOP_SECONDS = 5.0
STRANGERS = 200
"""Kinds of deeds of strangers that are told apart in a window, in each process."""
ACCOUNTS = 5000
"""The same of accounts. Beyond it their entries are written one by one: budgets bound them."""
MOST_WAITING = 20_000
"""Entries that wait while the database is away. What comes then is counted only."""


@dataclass
class _Window:
    """more: how many followed the first, the last of them at `until`."""

    first: AuditEntry
    ends: float
    more: int = 0
    until: datetime | None = None

    def rest(self) -> list[AuditEntry]:
        """One entry for all that followed."""
        if not self.more or self.until is None:
            return []
        values = {field.attname: getattr(self.first, field.attname) for field in AuditEntry._meta.concrete_fields}
        until = self.until.astimezone(UTC).isoformat(timespec="seconds")
        values |= {"id": None, "count": self.more, "details": {**self.first.details, "until": until}}
        return [AuditEntry(**values)]


class Buffer:
    """Of one process; for all its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._waiting: list[AuditEntry] = []
            self._windows: dict[Hashable, _Window] = {}
            self._strangers = self._left_out = 0
            self._told_at = monotonic()

    def add(self, **values: Any) -> None:
        """Take the values of an entry. Costs no statement and waits for none; a repeat makes no row either."""
        key, now = _key_of(values), monotonic()
        with self._lock:
            window = self._windows.get(key)
            if window is not None and window.ends > now:
                window.more += 1
                window.until = timezone.now()
                return
            if window is not None:
                self._close(key)
            entry = AuditEntry(**values)
            is_stranger = entry.account_id is None
            number = self._strangers if is_stranger else len(self._windows) - self._strangers
            if number < (STRANGERS if is_stranger else ACCOUNTS):
                self._windows[key] = _Window(entry, now + WINDOW_SECONDS)
                self._strangers += is_stranger
            elif is_stranger:
                self._left_out += entry.count
                return
            self._append([entry])

    def flush(self, *, everything: bool = False) -> None:
        """Write what waits, and what was counted in windows that are over; or, at the end, in all of them.

        Raises:
            OperationalError, InterfaceError: the database is away. Nothing is lost, the next call tries again.
        """
        with self._lock:
            now = monotonic()
            for key in [key for key, window in self._windows.items() if everything or window.ends <= now]:
                self._close(key)
            if self._left_out and (everything or now - self._told_at >= WINDOW_SECONDS):
                left_out, self._left_out, self._told_at = self._left_out, 0, now
                self._waiting.append(AuditEntry(verb="left out", outcome=Outcome.REFUSED, count=left_out))
            waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            _write(waiting)
        except (OperationalError, InterfaceError):
            with self._lock:
                self._waiting = waiting + self._waiting
            raise

    def _close(self, key: Hashable) -> None:
        window = self._windows.pop(key)
        self._strangers -= window.first.account_id is None
        self._append(window.rest())

    def _append(self, entries: list[AuditEntry]) -> None:
        if len(self._waiting) + len(entries) > MOST_WAITING:
            self._left_out += sum(entry.count for entry in entries)
        else:
            self._waiting += entries


def _write(entries: list[AuditEntry]) -> None:
    """All together; if the database takes one of them never, the others without it."""
    try:
        AuditEntry.objects.bulk_create(entries)
    except (OperationalError, InterfaceError):
        raise
    except (DatabaseError, ValueError):
        if len(entries) == 1:
            logger.exception("An entry of the trail can't be written: %s", entries[0])
            return
        middle = len(entries) // 2
        _write(entries[:middle])
        _write(entries[middle:])


def _key_of(values: Mapping[str, Any]) -> Hashable:
    # Who is refused may have made ids up, and must not get an entry for each.
    is_done = values.get("outcome", Outcome.DONE) == Outcome.DONE
    return (
        group_of(values.get("address", "")),
        *map(values.get, ("account_id", "credential", "token_id", "verb", "object_kind", "outcome", "status")),
        values.get("object_id") if is_done else None,
    )


buffer = Buffer()


class Flusher:
    """The thread that writes what the buffer holds."""

    def __init__(self) -> None:
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    @property
    def is_running(self) -> bool:
        """False in a fork: threads don't survive one."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        with self._starting:
            if not self.is_running:
                self._stopping.clear()
                self._thread = threading.Thread(target=self._flush, name="trail", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Write all that is left."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)

    def _flush(self) -> None:
        while not self._stopping.wait(FLUSH_SECONDS):
            _flush_quietly()
        _flush_quietly(everything=True)


def _flush_quietly(*, everything: bool = False) -> None:
    close_old_connections()
    try:
        buffer.flush(everything=everything)
    except (DatabaseError, InterfaceError) as error:
        logger.warning("The trail can't be written, the entries wait. %s", reason_of(error))
    except Exception:
        logger.exception("The trail could not be written; the next attempt comes soon.")
    finally:
        close_old_connections()


flusher = Flusher()
