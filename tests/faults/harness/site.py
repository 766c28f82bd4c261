"""A server under test: its processes, its participants, and what its database and its files say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.faults.harness.ledger import Ledger
from tests.faults.harness.participant import Participant
from tests.faults.harness.proxy import Address
from tests.server_process import REPOSITORY

LEASE_SECONDS = 3
# Together longer than any fault that is injected: nobody is given up.
RETRY_SECONDS = "0.5,1,2,4,8,8,8"
NOTIFICATION_TIMEOUT_SECONDS = 2
SETTINGS = {
    "FL_LEASE_SECONDS": str(LEASE_SECONDS),
    "FL_SWEEP_SECONDS": "1",
    "FL_NOTIFICATION_TIMEOUT_SECONDS": str(NOTIFICATION_TIMEOUT_SECONDS),
    "FL_NOTIFICATION_RETRY_SECONDS": RETRY_SECONDS,
    "DJANGO_SETTINGS_MODULE": "fl_server.settings.development",
    "OMP_NUM_THREADS": "1",
}


class Site(ABC):
    """What the two kinds of servers have in common. `people[0]` is the actor, the others are participants."""

    folder: Path
    ledger: Ledger
    people: list[Participant]

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The environment of every process of this server."""

    @abstractmethod
    def web_addresses(self) -> list[Address]:
        """Where the server listens, or listened until somebody killed it."""

    @abstractmethod
    def heal(self) -> None:
        """Start everything that does not run."""

    @abstractmethod
    def logs(self) -> str:
        """The last lines of every log."""

    @abstractmethod
    def close(self) -> None:
        """End everything that was started."""

    def settle(self, number: int) -> None:
        """Make the people: an actor and `number` participants, whose ids are in the order of their numbers."""
        self.people = [Participant(index, self.web_addresses) for index in range(number + 1)]
        wanted = [
            {"id": str(person.id), "username": f"person-{person.number}", "message_endpoint": person.inbox.url}
            for person in self.people
        ]
        tokens = self.inside("make-users", json.dumps(wanted))
        for person, token in zip(self.people, tokens, strict=True):
            person.token = token

    def dismiss(self) -> None:
        """Send the people home."""
        people = getattr(self, "people", [])
        if people:
            with ThreadPoolExecutor(len(people)) as pool:
                list(pool.map(Participant.close, people))

    def inside(self, command: str, argument: str) -> Any:
        """Run one of `harness.inside`'s commands in the server's environment."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.harness.inside", command, argument],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def unnamed_files(self) -> set[str]:
        """Stored files that no row names, and uploads that nobody has taken away."""
        named, root = self.ledger.file_names(), self.folder / "files"
        stored = {str(path.relative_to(root)) for path in _files(root / "models")}
        return (stored - named) | {f"tmp/{path.name}" for path in _files(self.folder / "tmp")}

    def missing_files(self) -> set[str]:
        """Files that a row names and that are not there."""
        return {name for name in self.ledger.file_names() if not (self.folder / "files" / name).exists()}


def _files(folder: Path) -> list[Path]:
    return [Path(base) / name for base, _folders, names in os.walk(folder) for name in names]
