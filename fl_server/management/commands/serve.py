"""`manage.py serve`: the whole server from one command."""

import ipaddress
import os
import socket
from collections.abc import Callable
from threading import Thread
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connections

from fl_server.processes.companions import warn_of_strangers
from fl_server.processes.lock import DataFolderInUseError, lock_data_folder
from fl_server.processes.migrating import MigrationsMissing, wait_for_migrations
from fl_server.processes.web import Server
from fl_server.storage.shared_files import refuse_unshared_files
from fl_server.telemetry.metrics_folder import shared_figures
from fl_server.telemetry.saying import said, say
from fl_server_ai.sandbox import find_device, standing, summary

# A server that was killed may take this long to be gone: its last requests are given time to end.
PATIENCE_SECONDS = 15.0
BEYOND_LOOPBACK = (
    "The server won't listen on {} with the development settings: everyone who reaches it could register, with any "
    "password, and have it send notifications anywhere. Set DJANGO_SETTINGS_MODULE=fl_server.settings.production. To "
    "do it all the same, add --allow-development."
)


CANNOT_LISTEN = "Can't listen on {} port {}: {}. Stop what listens there, or choose another with --host and --port."


class Command(BaseCommand):
    """Migrates, then serves API, admin and static files; without Redis it runs the tasks as well."""

    help = __doc__
    _listened = False

    def add_arguments(self, parser: CommandParser) -> None:
        """The address, and how much is done at once."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
        parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000); 0 takes a free one")
        parser.add_argument("--threads", type=int, default=settings.FL_WEB_THREADS, help="threads of each process")
        parser.add_argument(
            "--allow-development",
            action="store_true",
            help="listen beyond loopback with the development settings, with which everyone can register",
        )
        parser.add_argument("--workers", type=int, default=None, help="web processes; more than one needs Redis")
        parser.add_argument(
            "--no-migrate",
            action="store_true",
            help="don't migrate: wait until `fl-server migrate` has been run",
        )

    def execute(self, *args: Any, **options: Any) -> str | None:
        """The checks before `handle` import the URLs, and these what counts: by then its folder must be known."""
        with shared_figures(processes=_processes(options["workers"])):
            return super().execute(*args, **options)

    def handle(
        self,
        *,
        host: str,
        port: int,
        threads: int,
        workers: int | None,
        allow_development: bool,
        no_migrate: bool,
        **_: Any,
    ) -> None:
        """Serve until Ctrl-C or SIGTERM."""
        # Others reckon with it: how many requests may wait, for notifications or for the sandbox.
        settings.FL_WEB_THREADS = threads
        # The data folder may be one that others can enter: what is written there is for the owner's eyes only.
        os.umask(0o077)
        if threads < 1 or not 0 <= port <= 65535 or (workers is not None and workers < 1):
            raise CommandError("--threads and --workers must be at least 1, --port at most 65535.")
        if not (settings.FL_PRODUCTION or allow_development or is_loopback(host)):
            raise CommandError(BEYOND_LOOPBACK.format(host))
        if settings.FL_EMBEDDED and (workers or 1) > 1:
            raise CommandError("More than one process needs a broker between them: set FL_REDIS_HOST.")
        if settings.FL_EMBEDDED:
            self._lock_data_folder()
        self._prepare(self._wait if no_migrate else self._migrate)
        # A connection must not be shared with the processes that gunicorn forks.
        connections.close_all()
        try:
            Server(
                host=host,
                port=port,
                threads=threads,
                workers=_processes(workers),
                on_listening=self._announce,
            ).run()
        except SystemExit:
            if not self._listened and (reason := why_not_listening(host, port)):
                raise CommandError(CANNOT_LISTEN.format(host, port, reason)) from None
            raise

    def _lock_data_folder(self) -> None:
        try:
            lock_data_folder(
                settings.FL_DATA_DIR,
                patience=PATIENCE_SECONDS,
                on_wait=lambda: say("The last server was killed; waiting for its worker to end."),
            )
        except DataFolderInUseError as error:
            raise CommandError(
                f"Another server is running on the data folder {settings.FL_DATA_DIR}: stop it, or set FL_DATA_DIR to "
                "another folder."
            ) from error

    def _prepare(self, ready_database: Callable[[], None]) -> None:
        # The sandbox's walls are tried in another process, which takes as long as the rest of this.
        trying = Thread(target=standing)
        trying.start()
        try:
            self._look_at_files()
            ready_database()
            warn_of_strangers()
        finally:
            trying.join()
        device = find_device(settings.FL_INFERENCE_DEVICE)
        if device.problem:
            raise CommandError(
                f"FL_INFERENCE_DEVICE is {settings.FL_INFERENCE_DEVICE}, which can't be used here: {device.problem} "
                "Set it to cpu, or to auto for a GPU only where there is one."
            )

    @staticmethod
    def _look_at_files() -> None:
        try:
            refuse_unshared_files()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error

    @staticmethod
    def _migrate() -> None:
        try:
            call_command("migrate", interactive=False, verbosity=0)
        except OperationalError as error:
            raise CommandError(f"The database cannot be used: {error}") from error

    def _wait(self) -> None:
        try:
            wait_for_migrations(say)
        except MigrationsMissing as error:
            raise CommandError(str(error)) from error

    def _announce(self, host: str, port: int) -> None:
        self._listened = True
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{port}"
        self.stdout.write(said(f"Serving on {url}/  (admin: {url}/admin/, data: {settings.FL_DATA_DIR})"))
        self.stdout.write(said(summary()))
        self.stdout.flush()


def _processes(wanted: int | None) -> int:
    return wanted or (1 if settings.FL_EMBEDDED else int(settings.FL_WEB_WORKERS))


def why_not_listening(host: str, port: int) -> str:
    """What the system says to a server there; nothing if there may be one."""
    try:
        family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
            tried.listen()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def is_loopback(host: str) -> bool:
    """Do only programs on this machine reach a server that listens there?"""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name may mean any address
