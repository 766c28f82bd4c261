"""The web server: gunicorn's processes, each with a front, and the worker inside it where there is no Redis."""

import asyncio
import contextlib
import logging
import math
import os
import signal
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from fl_server.celery import app
from fl_server.front.answer import answer_at_once
from fl_server.front.front import SWEEP_SECONDS, Front
from fl_server.front.limits import limits_of_settings
from fl_server.processes.embedded import EmbeddedWorker
from fl_server.processes.limits import allow_many_files
from fl_server.telemetry.metrics_folder import forget_process
from fl_server_api.monitoring.readiness import watcher
from fl_server_api.wsgi import ignore_charset
from fl_server_core.monitoring.work import embedded
from fl_server_core.rounds.ending import release_all_claims
from fl_server_core.services.trail_buffer import flusher
from fl_server_core.stopping import begin_to_stop, forget, seconds_left

logger = logging.getLogger(__name__)

# Connections that wait in the kernel, or have just been accepted, get so long to become requests.
LAST_CALL_SECONDS = 0.3
# How long tasks that were told to hand over may take to do so.
EMBEDDED_STOP_SECONDS = 5.0
# In addition to the times above, before the first process kills this one.
SLACK_SECONDS = 5.0
# For the loop that moves bytes; requests may take as long as they like.
LOOP_TIMEOUT_SECONDS = 120


def longest_stop() -> float:
    """After so many seconds a process that was told to end is killed."""
    seconds: float = settings.FL_DRAIN_SECONDS + settings.FL_STOP_SECONDS
    return seconds + LAST_CALL_SECONDS + EMBEDDED_STOP_SECONDS + SLACK_SECONDS


class ServerLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Hands gunicorn's lines to Django's handlers: stderr and the log file."""

    def setup(self, cfg: Any) -> None:
        """Take gunicorn's own handlers away again."""
        super().setup(cfg)
        for handler in list(self.error_log.handlers):
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True


class ServerWorker(Worker):  # type: ignore[misc]  # gunicorn has no types
    """A process that serves; without Redis it runs the tasks as well."""

    embedded: EmbeddedWorker | None = None

    def run(self) -> None:
        """Serve until told to stop, or until the worker inside has died: gunicorn then starts a new process."""
        allow_many_files()
        forget()  # this process may have come in place of one that was told to end
        flusher.start()
        try:
            self._run()
        finally:
            flusher.stop()

    def _run(self) -> None:
        if not settings.FL_EMBEDDED:
            asyncio.run(self._serve())
            return
        if not settings.FL_POSTGRES_HOST:
            # A data folder has one server at a time: what an earlier process had claimed is nobody's now.
            release_all_claims()
        self.embedded = EmbeddedWorker(app)
        embedded.alive = self.embedded.alive
        self.embedded.start()
        try:
            asyncio.run(self._serve())
        finally:
            begin_to_stop(0)
            if not self.embedded.stop(seconds_left() + EMBEDDED_STOP_SECONDS):
                logger.warning("A task was still running; it is taken up again after a restart.")

    def init_signals(self) -> None:
        """Ctrl-C reaches every process of the terminal: the first one tells the others when to end."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        told = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, told.set)
        watcher().begin()
        front = Front(self.wsgi, threads=self.cfg.threads, limits=limits_of_settings(), at_once=answer_at_once)
        listening = [
            await loop.create_server(front.connect, sock=listener.sock, backlog=self.cfg.backlog)
            for listener in self.sockets
        ]
        while not told.is_set() and self._may_go_on():
            self.notify()
            front.sweep()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), SWEEP_SECONDS)
        drain: float = settings.FL_DRAIN_SECONDS + LAST_CALL_SECONDS
        begin_to_stop(settings.FL_DRAIN_SECONDS + settings.FL_STOP_SECONDS)
        await front.drain(drain)
        for server in listening:
            server.close()
        await front.stop(settings.FL_STOP_SECONDS)

    def _may_go_on(self) -> bool:
        # Told before the loop was there, or the first process was killed: no orphans.
        if not self.alive or self.ppid != os.getppid():
            return False
        if self.embedded is not None and not self.embedded.is_alive():
            logger.critical("The worker inside the server has ended: starting over.")
            return False
        return True


class ServerArbiter(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """Ends as gently on Ctrl-C as on SIGTERM."""

    def handle_int(self) -> None:
        """Gunicorn's own would cut off the requests that run."""
        self.handle_term()


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """The server on one address. `on_listening` gets the host and port once connections are accepted."""

    def __init__(
        self, *, host: str, port: int, threads: int, workers: int, on_listening: Callable[[str, int], None]
    ) -> None:
        self._options = {
            "bind": [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"],
            "worker_class": ServerWorker,
            "workers": workers,
            "threads": threads,
            "timeout": LOOP_TIMEOUT_SECONDS,
            "graceful_timeout": math.ceil(longest_stop()),
            "loglevel": "warning",
            "logger_class": ServerLogger,
            "control_socket_disable": True,
            "child_exit": forget_process,
            "preload_app": True,
            "when_ready": lambda arbiter: on_listening(*arbiter.LISTENERS[0].sock.getsockname()[:2]),
        }
        super().__init__()

    def load_config(self) -> None:
        """Take the options from the caller alone: no command line, no configuration file."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The WSGI application, loaded once, before the fork."""
        return ignore_charset(get_wsgi_application())

    def run(self) -> None:
        """Serve; ends by `SystemExit`, with 0 after a clean stop."""
        ServerArbiter(self).run()
