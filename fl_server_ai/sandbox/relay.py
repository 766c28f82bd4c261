"""What sandboxed processes write to stderr, as lines of this process's log.

A model can make them write anything, in any amount: its lines are marked as what they are, and there are few of them.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress

logger = logging.getLogger("fl_server_ai.sandbox.child")
MOST_BYTES = 2000
"""The most characters of a line; longer ones are split."""
LINES = 100
MINUTE = 60.0


def relayed_stderr() -> int:
    """A descriptor to give to a process as its stderr, and to close then. A thread reads until all writers end."""
    reader, writer = os.pipe()
    threading.Thread(target=_relay, args=(reader,), name="sandbox-stderr", daemon=True).start()
    return writer


def _relay(reader: int) -> None:
    """At most `LINES` a minute; further lines are only counted."""
    count, dropped, until = 0, 0, time.monotonic() + MINUTE
    with open(reader, "rb", buffering=MOST_BYTES) as stream, suppress(OSError, ValueError):
        while line := stream.readline(MOST_BYTES):
            if time.monotonic() > until:
                _say_dropped(dropped)
                count, dropped, until = 0, 0, time.monotonic() + MINUTE
            if count < LINES:
                count += 1
                _say(line)
            else:
                dropped += 1
    _say_dropped(dropped)


def _say(line: bytes) -> None:
    text = line.decode("utf-8", "replace").rstrip("\n")
    if text.strip():
        logger.warning("%s", text)


def _say_dropped(count: int) -> None:
    if count:
        logger.warning("%d more lines of sandboxed processes are left out.", count)
