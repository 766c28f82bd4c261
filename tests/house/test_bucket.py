"""A bucket behind a connection that breaks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fl_server.bucket import BucketStorage
from fl_server_core.storage import StorageUnavailable

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
def storage() -> Iterator[BucketStorage]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield BucketStorage(
        bucket_name="models",
        endpoint_url=f"http://127.0.0.1:{server.server_address[1]}",
        access_key="key",
        secret_key="secret",
        region_name="eu-central-1",
    )
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_that_breaks_off_fails_when_the_file_is_opened(storage: BucketStorage) -> None:
    with pytest.raises(OSError, match=r"bucket could not be reached for models/a\.pt") as failure:
        storage.open("models/a.pt", "rb")
    assert isinstance(failure.value, StorageUnavailable)


def test_a_missing_object_is_a_missing_file(storage: BucketStorage) -> None:
    for ask in (storage.open, storage.size, storage.get_modified_time):
        with pytest.raises(FileNotFoundError):
            ask("models/missing.pt")
    assert not storage.exists("models/missing.pt")
