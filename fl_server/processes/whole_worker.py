"""`fl-server worker all`: everything that workers and beat do, in one process, for a small server with Redis."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from fl_server.celery import app, refuse_without_broker, wait_until_migrated
from fl_server.checks import refuse_misconfiguration
from fl_server.processes.embedded import READY_SECONDS, EmbeddedWorker
from fl_server.processes.limits import allow_many_files
from fl_server.storage.shared_files import refuse_unshared_files
from fl_server.telemetry.pulse import clock_pulse
from fl_server.telemetry.saying import say
from fl_server_core.stopping import begin_to_stop

LOOK_SECONDS = 1.0
STOP_SLACK_SECONDS = 5.0


def run() -> int:
    """Work until SIGTERM or Ctrl-C. Returns the exit code: 1 if a part of it has ended by itself."""
    django.setup()
    refuse_without_broker()
    try:
        for sentence in refuse_misconfiguration():
            say(sentence, logging.WARNING)
        refuse_unshared_files()
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{error}\n")
        return 1
    wait_until_migrated()
    allow_many_files()
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    worker = EmbeddedWorker(app, node=f".{os.getpid()}@{socket.gethostname()}")
    start_or_end(worker)
    say("The worker for all queues is ready; it needs no beat.")
    clock = clock_pulse()
    clock.start()
    while not told.wait(LOOK_SECONDS) and worker.is_alive():
        clock.turn()
    has_failed = not told.is_set()
    clock.stop()
    begin_to_stop(settings.FL_STOP_SECONDS)
    worker.stop(settings.FL_STOP_SECONDS + STOP_SLACK_SECONDS)
    # A thread may still compute. Its round has been handed over, and what it would write is refused.
    os._exit(1 if has_failed else 0)


def start_or_end(worker: EmbeddedWorker) -> None:
    """Return once tasks are taken; without a broker, end this process with a sentence."""
    try:
        worker.start()
    except RuntimeError:
        sys.stderr.write(
            f"The worker takes no tasks after {READY_SECONDS:.0f} s. Is Redis running where FL_REDIS_HOST or "
            "FL_REDIS_LOCATION says?\n"
        )
        sys.stderr.flush()
        os._exit(1)  # its threads go on trying
