"""The heartbeats of workers and beat: once a second, as long as the process's loop turns."""

from __future__ import annotations

import logging
import os
import socket
import threading
from time import monotonic
from typing import Any

from celery.beat import Scheduler
from celery.bootsteps import StartStopStep
from django.conf import settings
from redis.exceptions import RedisError

from fl_server_core.monitoring.heartbeats import BEAT, EVERY_SECONDS, remove_heartbeat, write_heartbeat

logger = logging.getLogger(__name__)
TURN_SECONDS = 2.0
"""A loop that hasn't turned for this many seconds hangs: the heartbeat stops, so that others see it."""


class Pulse:
    """Writes heartbeats in a thread, so that a Redis that doesn't answer doesn't hold up the loop, which calls `turn`.

    What takes tasks is the loop of a worker's first process. The tasks themselves run in other processes or threads:
    a worker that closes a round for an hour goes on telling that it lives.
    """

    def __init__(self, name: str, queues: list[str]) -> None:
        self._name = name
        self._queues = queues
        self._turned = monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, name="pulse", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def turn(self) -> None:
        """Called by the loop, each time round."""
        self._turned = monotonic()

    def stop(self) -> None:
        """The process ends, or has lost the broker: remove the heartbeat, if Redis answers."""
        self._over.set()
        self._thread.join()
        try:
            remove_heartbeat(self._name)
        except RedisError as error:
            logger.debug("The heartbeat could not be removed: %s", error)

    def _write(self) -> None:
        while not self._over.is_set():
            if monotonic() - self._turned < TURN_SECONDS:
                try:
                    write_heartbeat(self._name, self._queues)
                except RedisError as error:
                    logger.debug("A heartbeat could not be written: %s", error)
            self._over.wait(EVERY_SECONDS)


class PulseStep(StartStopStep):
    """A part of each Celery worker that has a process of its own."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._pulse: Pulse | None = None
        self._timer: Any = None

    def include_if(self, consumer: Any) -> bool:
        del consumer
        return not settings.FL_EMBEDDED

    def start(self, consumer: Any) -> None:
        """The worker has reached the broker."""
        # Celery calls all workers of a machine the same, unless it is told otherwise.
        self._pulse = Pulse(f"{consumer.hostname}.{os.getpid()}", list(consumer.app.amqp.queues.consume_from))
        self._timer = consumer.timer.call_repeatedly(EVERY_SECONDS, self._pulse.turn)
        self._pulse.start()

    def stop(self, consumer: Any) -> None:
        """The worker ends, or has lost the broker."""
        if self._pulse is not None:
            consumer.timer.cancel(self._timer)
            self._pulse.stop()
            self._pulse = None

    shutdown = stop


class PulsingScheduler(Scheduler):
    """The scheduler of beat, which keeps no file: the schedule is in the settings. Each look at it is a turn."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._pulse: Pulse | None = None

    def tick(self, *arguments: Any, **options: Any) -> Any:
        """Send the tasks that are due. Returns: seconds until the next call."""
        if self._pulse is None:
            self._pulse = clock_pulse()
            self._pulse.start()
        self._pulse.turn()
        return super().tick(*arguments, **options)

    def close(self) -> None:
        """Beat ends."""
        if self._pulse is not None:
            self._pulse.stop()
        super().close()


def clock_pulse() -> Pulse:
    """The pulse of a process that asks for the sweeps, as beat does."""
    return Pulse(f"{BEAT}@{socket.gethostname()}.{os.getpid()}", [])
