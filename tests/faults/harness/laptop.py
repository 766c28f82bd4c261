"""One process: `manage.py serve` with SQLite and the worker inside."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from fl_server_demo.local_server import free_port
from tests.faults.harness.ledger import Ledger, SqliteDatabase
from tests.faults.harness.processes import Process
from tests.faults.harness.proxy import Address
from tests.faults.harness.site import SETTINGS, Site
from tests.server_process import REPOSITORY, server_environment


class Laptop(Site):
    """Everything is started by the constructor and ended by `close`."""

    def __init__(self, people: int, **settings: str) -> None:
        self._settings = settings
        self.root = Path(tempfile.mkdtemp(prefix="fl-faults-"))
        self.folder = self.root / "data"
        self.port = free_port()
        self.ledger = Ledger(SqliteDatabase(self.folder / "db.sqlite3"))
        self.server = Process(
            "serve",
            [sys.executable, "manage.py", "serve", "--port", str(self.port)],
            folder=self.root,
            environment=self.environment,
            directory=REPOSITORY,
            is_ready=lambda process: "Serving on" in process.output(),
        )
        try:
            self.heal()
            self.settle(people)
        except BaseException:
            self.close()
            raise

    @property
    def environment(self) -> dict[str, str]:
        return server_environment(self.folder) | SETTINGS | self._settings

    def web_addresses(self) -> list[Address]:
        return [("127.0.0.1", self.port)]

    def heal(self) -> None:
        self.server.start()

    def logs(self) -> str:
        return f"== serve\n{self.server.tail(60)}"

    def close(self) -> None:
        self.dismiss()
        self.server.kill()
        shutil.rmtree(self.root, ignore_errors=True)
