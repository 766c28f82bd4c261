"""The log file in the data folder, and what strangers may write into it."""

import logging
import time
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path


class DataFolderFileHandler(RotatingFileHandler):
    """A rotating file that is made, with its folder, when the first line is written."""

    def __init__(self, filename: Path, maxBytes: int, backupCount: int) -> None:
        super().__init__(filename, maxBytes=maxBytes, backupCount=backupCount, encoding="utf-8", delay=True)

    def _open(self) -> TextIOWrapper:
        Path(self.baseFilename).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return super()._open()


class Seldom(logging.Filter):
    """Passes one record of each logger in `SECONDS`, in one line: a client whose error it is can make any number."""

    SECONDS = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = time.monotonic()
        if now < self._passed_at.get(record.name, -self.SECONDS) + self.SECONDS:
            return False
        self._passed_at[record.name] = now
        record.exc_info = record.exc_text = None  # where in Django it was noticed helps nobody
        return True


class NotOfClients(logging.Filter):
    """Drops what Django logs as a failure of the server, although it is none: clients can make any number of them.

    507: a budget is spent. 503: too many ask at once. Where a 503 is a failure, of the database, the files or the
    sandbox, whoever noticed it has written why.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return getattr(record, "status_code", None) not in (503, 507)
