"""The Celery workers for all queues, and the clocks of sweeps and seals, inside one process.

That is the process that serves, where there is no Redis, and `fl-server worker all`, where there is.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from celery.platforms import EX_OK
from celery.worker import state
from django.conf import settings
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from fl_server_core.log_context import reason_of
from fl_server_core.monitoring.heartbeats import BEAT

logger = logging.getLogger(__name__)

SWEEP_TASK = "fl_server_ai.trainer.tasks.sweep"
SEAL_TASK = "fl_server_ai.trainer.tasks.seal"
READY_SECONDS = 30.0
CONTROL_THREADS = 2
PREFETCHED = 16
"""How many short tasks for each thread wait in the process rather than in Redis."""


class EmbeddedWorker:
    """A Celery worker for each queue, and timers for sweeps and seals, each in a thread.

    Start it after any fork: neither threads nor the queues of a broker in memory survive one. The first
    sweep comes at once: what an earlier process left behind goes on.

    node: what follows the queue in the name of each worker. Of two with one name, Celery's commands reach one.
    """

    def __init__(self, app: Celery, node: str = "@localhost") -> None:
        self._app = app
        self._stopping = threading.Event()
        threads: int = settings.FL_EMBEDDED_WORKER_THREADS
        # Of one worker for all queues, closings and silent receivers could hold every thread, and deadlines would pass.
        self._workers = [
            _QueueWorker(app, "celery", node, threads),
            _QueueWorker(app, "notifications", node, settings.FL_NOTIFICATION_THREADS),
            _QueueWorker(app, "control", node, CONTROL_THREADS),
        ]
        clocks = ((SWEEP_TASK, settings.FL_SWEEP_SECONDS), (SEAL_TASK, settings.FL_SEAL_SECONDS))
        self._clocks = [
            threading.Thread(target=self._ask_for, args=clock, name="embedded-clock", daemon=True) for clock in clocks
        ]

    def start(self) -> None:
        """Return when tasks are being taken; `RuntimeError` if that does not come about."""
        for worker in self._workers:
            worker.thread.start()
        if not all(worker.ready.wait(READY_SECONDS) for worker in self._workers):
            raise RuntimeError("The worker inside the server did not start.")
        for clock in self._clocks:
            clock.start()

    def alive(self) -> dict[str, bool]:
        """By queue, and of the clocks as `BEAT`: are they at work?"""
        workers = {worker.queue: worker.thread.is_alive() for worker in self._workers}
        return {**workers, BEAT: all(clock.is_alive() for clock in self._clocks)}

    def is_alive(self) -> bool:
        """False once a worker or the clock has ended, asked to or not."""
        return all(thread.is_alive() for thread in (*self._clocks, *(worker.thread for worker in self._workers)))

    def stop(self, timeout: float) -> bool:
        """Let running tasks end, drop the waiting ones (the next sweep finds their work); True if all ended in time."""
        self._stopping.set()
        # Each of Celery's workers sets a default for new sockets while it stops. Of several at once, the last to end
        # puts back what another one had set.
        socket_timeout = socket.getdefaulttimeout()
        # A warm stop returns when the last task does, and no task can be told to hurry: waited for, but not for ever.
        stoppers = [threading.Thread(target=worker.stop, name="embedded-stop", daemon=True) for worker in self._workers]
        for stopper in stoppers:
            stopper.start()
        # Both: a worker's loop may end while its pool still waits for a task.
        threads = [*stoppers, *(worker.thread for worker in self._workers)]
        deadline = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        socket.setdefaulttimeout(socket_timeout)
        return not any(thread.is_alive() for thread in threads)

    def _ask_for(self, task: str, interval: float) -> None:
        while True:
            try:
                self._app.send_task(task, expires=max(interval, 1))
            except (OperationalError, RedisError) as error:
                logger.warning("%s could not be asked for; the next one makes up for it. %s", task, reason_of(error))
            except Exception:
                logger.exception("%s could not be asked for; the next one makes up for it.", task)
            if self._stopping.wait(interval):
                return


class _QueueWorker:
    """A Celery worker that takes tasks from one queue, in a thread."""

    def __init__(self, app: Celery, queue: str, node: str, threads: int) -> None:
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._work, name=f"embedded-{queue}", daemon=True)
        self._app = app
        self.queue, self._name = queue, f"{queue}{node}"
        self._threads = threads

    def stop(self) -> None:
        if settings.FL_EMBEDDED:
            self._worker.stop()
        else:  # its connection to Redis is its own thread's alone: all workers of this process look at this word
            state.should_stop = EX_OK  # type: ignore[assignment]  # its stub has None alone

    def _work(self) -> None:
        # Made in this thread: a worker that is set up closes the database connections of its thread. WorkController is
        # the worker below the command line: it handles no signals, prints no banner and leaves logging alone.
        self._app.set_current()
        self._worker = self._app.WorkController(
            app=_AppOfOneQueue(self._app),
            queues=[self.queue],
            hostname=self._name,
            pool="threads",
            concurrency=self._threads,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            # Such a worker that has taken all it may looks for more after two seconds only.
            prefetch_multiplier=1 if settings.FL_EMBEDDED else PREFETCHED,
            use_eventloop=False,  # there is one of these loops in a process, and here are several workers
            ready_callback=lambda _consumer: self.ready.set(),
            loglevel="WARNING",
            quiet=True,
        )
        self._worker.start()


class _AppOfOneQueue:
    """The app with queues of its own to consume from: Celery keeps one set of them for all workers of an app."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self.amqp = AMQP(app)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._app, name)
