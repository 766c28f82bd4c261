"""The sandbox of this server process, as the settings describe it."""

from __future__ import annotations

import atexit
import logging
import os
import threading

from django.conf import settings

from fl_server_ai.sandbox import (
    Change,
    ChildSetup,
    RequestLimits,
    Sandbox,
    Watch,
    sandbox_support,
    summary,
    watch_nothing,
)

logger = logging.getLogger(__name__)

TASKS = "fl_server_ai.inference.sandboxed"


class _Holder:
    """One sandbox a process, started when first asked for. A forked process starts its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sandbox: Sandbox | None = None
        self.watch: Watch = watch_nothing
        self.fails = False

    def note(self, change: Change, amount: int) -> None:
        """Does it start processes? Then hand on what changed."""
        if change is Change.NOT_STARTED:
            self.fails = True
        elif change is Change.DONE:
            self.fails = False
        self.watch(change, amount)

    def forget(self) -> None:
        """After a fork. The lock too: a thread that is not here may have held it."""
        self.lock = threading.Lock()
        if self.sandbox is not None:
            self.sandbox.abandon()
            self.sandbox = None


_holder = _Holder()
os.register_at_fork(after_in_child=_holder.forget)


def get_sandbox() -> Sandbox:
    """The sandbox that every thread of this process shares."""
    with _holder.lock:
        if _holder.sandbox is None:
            _holder.sandbox = _from_settings()
        return _holder.sandbox


def sandbox_fails() -> bool:
    """Could the last job not be done because no process started? False before the first one."""
    return _holder.fails


def watch_sandbox(watch: Watch) -> None:
    """Tell what happens in this process's sandbox."""
    _holder.watch = watch


def close_sandbox() -> None:
    """End its processes; the next request starts new ones."""
    with _holder.lock:
        if _holder.sandbox is not None:
            _holder.sandbox.close()
            _holder.sandbox = None


atexit.register(close_sandbox)


def _from_settings() -> Sandbox:
    logger.log(logging.WARNING if sandbox_support() else logging.INFO, "%s", summary())
    processes: int = settings.FL_SANDBOX_PROCESSES
    return Sandbox(
        ChildSetup(
            tasks=TASKS,
            memory_mb=settings.FL_SANDBOX_MEMORY_MB,
            cache_mb=settings.FL_SANDBOX_CACHE_MB,
            threads=max(1, (os.cpu_count() or 1) // processes),
            trusted=tuple(settings.FL_TRUSTED_GLOBALS),
        ),
        processes=processes,
        # A request that waits holds a thread of the server.
        queue=max(1, settings.FL_WEB_THREADS // 2),
        request=RequestLimits(settings.FL_SANDBOX_TIMEOUT_SECONDS, settings.FL_SANDBOX_CPU_SECONDS),
        watch=_holder.note,
    )
