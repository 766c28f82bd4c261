"""The sandbox of this server process, as the settings describe it."""

from __future__ import annotations

import atexit
import logging
import os
import threading

from django.conf import settings

from fl_server_ai.sandbox import ChildSetup, Job, Reply, RequestLimits, Sandbox, sandbox_support, summary
from fl_server_core.tracing import span

logger = logging.getLogger(__name__)

TASKS = "fl_server_ai.inference.sandboxed"


class _Holder:
    """One sandbox a process, started when first asked for. A forked process starts its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sandbox: Sandbox | None = None

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


def run_models(job: Job, *, tenant: str) -> Reply:
    """Have a job done that runs the models of `tenant`. Raises as `Sandbox.run`."""
    with span("sandbox", job=job.task):
        return get_sandbox().run(job, tenant=tenant)


def run_clean(job: Job) -> Reply:
    """Have a job done that needs no model. Raises as `Sandbox.run`."""
    with span("sandbox", job=job.task):
        return get_sandbox().run_clean(job)


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
    )
