"""The log file in the data folder."""

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
