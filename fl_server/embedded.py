"""The Celery worker and the clock of the sweep inside the process that serves, for a server without Redis."""

import logging
import threading
import time

from celery import Celery
from django.conf import settings

logger = logging.getLogger(__name__)

SWEEP_TASK = "fl_server_ai.trainer.tasks.sweep"
READY_SECONDS = 30.0


class EmbeddedWorker:
    """A Celery worker on the in-memory broker, and a timer that asks it to sweep, each in a thread.

    Start it in the process that serves, after any fork: neither threads nor the broker's queues survive one. The first
    sweep comes at once: what an earlier process left behind goes on.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._worker_thread = threading.Thread(target=self._work, name="embedded-worker", daemon=True)
        self._clock_thread = threading.Thread(target=self._ask_for_sweeps, name="embedded-clock", daemon=True)

    def start(self) -> None:
        """Return when tasks are being taken; `RuntimeError` if that does not come about."""
        self._worker_thread.start()
        if not self._ready.wait(READY_SECONDS):
            raise RuntimeError("The worker inside the server did not start.")
        self._clock_thread.start()

    def is_alive(self) -> bool:
        """False once the worker or its clock has ended, asked to or not."""
        return self._worker_thread.is_alive() and self._clock_thread.is_alive()

    def stop(self, timeout: float) -> bool:
        """Let running tasks end, drop the waiting ones (the next sweep finds their work); True if all ended in time."""
        self._stopping.set()
        # A warm stop returns when the last task does, and no task can be told to hurry: waited for, but not for ever.
        stopper = threading.Thread(target=self._worker.stop, name="embedded-stop", daemon=True)
        stopper.start()
        # Both: the worker's loop may end while its pool still waits for a task.
        deadline = time.monotonic() + timeout
        stopper.join(timeout)
        self._worker_thread.join(max(0.0, deadline - time.monotonic()))
        return not (stopper.is_alive() or self._worker_thread.is_alive())

    def _work(self) -> None:
        # Made in this thread: a worker that is set up closes the database connections of its thread. WorkController is
        # the worker below the command line: it handles no signals, prints no banner and leaves logging alone.
        self._app.set_current()
        self._worker = self._app.WorkController(
            app=self._app,
            hostname="embedded@localhost",
            pool="threads",
            concurrency=settings.FL_EMBEDDED_WORKER_THREADS,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            ready_callback=lambda _consumer: self._ready.set(),
            loglevel="WARNING",
            quiet=True,
        )
        self._worker.start()

    def _ask_for_sweeps(self) -> None:
        interval: float = settings.FL_SWEEP_SECONDS
        while True:
            try:
                self._app.send_task(SWEEP_TASK, expires=max(interval, 1))
            except Exception:
                logger.exception("A sweep could not be asked for; the next one makes up for it.")
            if self._stopping.wait(interval):
                return
