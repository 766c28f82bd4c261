"""The sandbox of this server process, as the settings describe it."""

from __future__ import annotations

import atexit
import logging
import os
import threading

from django.conf import settings

from fl_server_ai.sandbox import (
    WALLS_IN_THE_WAY,
    Change,
    ChildSetup,
    Device,
    DeviceFailed,
    Job,
    NeedsAllWalls,
    Reply,
    RequestLimits,
    Sandbox,
    Watch,
    find_device,
    sandbox_support,
    summary,
    watch_nothing,
)
from fl_server_core.tracing import span

logger = logging.getLogger(__name__)

TASKS = "fl_server_ai.inference.sandboxed"


class _Holder:
    """One sandbox for each device in a process, started when it is first needed. A forked process starts its own."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.sandboxes: dict[Device, Sandbox] = {}
        self.watch: Watch = watch_nothing
        self.fails = False

    def note(self, change: Change, amount: int) -> None:
        """Note whether processes start, and pass the change on."""
        if change is Change.NOT_STARTED:
            self.fails = True
        elif change is Change.DONE:
            self.fails = False
        self.watch(change, amount)

    def forget(self) -> None:
        """After a fork. The lock too: a thread that is not here may have held it."""
        self.lock = threading.Lock()
        for sandbox in self.sandboxes.values():
            sandbox.abandon()
        self.sandboxes = {}


_holder = _Holder()
os.register_at_fork(after_in_child=_holder.forget)


ON_CPU = Device("cpu")


def get_sandbox(device: Device = ON_CPU) -> Sandbox:
    """The sandbox of a device that every thread of this process shares."""
    with _holder.lock:
        if device not in _holder.sandboxes:
            _holder.sandboxes[device] = _from_settings(device)
        return _holder.sandboxes[device]


def run_models(job: Job, *, tenant: str) -> Reply:
    """Run a job with the models of `tenant`, on the device that FL_INFERENCE_DEVICE names.

    TorchScript needs all walls, so it runs on the CPU. Raises what `Sandbox.run` does, and DeviceFailed.
    """
    with span("sandbox", job=job.task):
        return _run_on_device(job, tenant)


def _run_on_device(job: Job, tenant: str) -> Reply:
    device = find_device(settings.FL_INFERENCE_DEVICE)
    if device.problem:
        logger.error("FL_INFERENCE_DEVICE: %s", device.problem)
        raise DeviceFailed
    if not device.is_cpu:
        try:
            return get_sandbox(device).run(job, tenant=tenant)
        except NeedsAllWalls:
            pass
    return get_sandbox().run(job, tenant=tenant)


def sandbox_fails() -> bool:
    """Did the last job fail because no process started? False before the first job."""
    return _holder.fails


def watch_sandbox(watch: Watch) -> None:
    """Call `watch` with each change in this process's sandbox."""
    _holder.watch = watch


def run_clean(job: Job) -> Reply:
    """Run a job that needs no model. Raises as `Sandbox.run`."""
    with span("sandbox", job=job.task):
        return get_sandbox().run_clean(job)


def close_sandbox() -> None:
    """End its processes; the next request starts new ones."""
    with _holder.lock:
        for sandbox in _holder.sandboxes.values():
            sandbox.close()
        _holder.sandboxes = {}


atexit.register(close_sandbox)


def _from_settings(device: Device) -> Sandbox:
    logger.log(logging.WARNING if sandbox_support() else logging.INFO, "%s", summary())
    processes: int = settings.FL_SANDBOX_PROCESSES
    return Sandbox(
        ChildSetup(
            tasks=TASKS,
            memory_mb=settings.FL_SANDBOX_MEMORY_MB,
            cache_mb=settings.FL_SANDBOX_CACHE_MB,
            threads=max(1, (os.cpu_count() or 1) // processes),
            trusted=tuple(settings.FL_TRUSTED_GLOBALS),
            device=device.name,
            without=() if device.is_cpu else WALLS_IN_THE_WAY,
        ),
        processes=processes,
        # A request that waits holds a thread of the server.
        queue=max(1, settings.FL_WEB_THREADS // 2),
        request=RequestLimits(settings.FL_SANDBOX_TIMEOUT_SECONDS, settings.FL_SANDBOX_CPU_SECONDS),
        watch=_holder.note,
    )
