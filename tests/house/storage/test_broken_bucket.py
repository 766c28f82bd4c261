"""A bucket that does what no real server does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fl_server.storage.bucket import BucketStorage
from fl_server_core.storage import StorageUnavailable
from tests.house.storage.buckets import storage_at

pytestmark = pytest.mark.once
SIZE = 1 << 20


class Handler(BaseHTTPRequestHandler):
    """Announces a megabyte and sends five thousand bytes of it."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._begin(404 if "missing" in self.path else 200)

    def do_GET(self) -> None:
        self._begin(200)
        self.wfile.write(b"x" * 5000)
        self.close_connection = True

    def do_PUT(self) -> None:
        self.close_connection = True

    def _begin(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Into nothing."""


@pytest.fixture
def broken(folder: Path) -> Iterator[BucketStorage]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield storage_at(f"http://127.0.0.1:{server.server_address[1]}")
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_that_always_breaks_off_fails_when_the_file_is_opened(broken: BucketStorage) -> None:
    with pytest.raises(OSError, match=r"bucket could not be reached for models/a\.pt") as failure:
        broken.open("models/a.pt", "rb")
    assert isinstance(failure.value, StorageUnavailable)
    with pytest.raises(StorageUnavailable, match="could not be reached"):
        broken.open_part("models/a.pt", range(SIZE))


def test_a_missing_object_is_a_missing_file(broken: BucketStorage) -> None:
    for ask in (broken.open, broken.size, broken.get_modified_time):
        with pytest.raises(FileNotFoundError):
            ask("models/missing.pt")
    assert not broken.exists("models/missing.pt")
