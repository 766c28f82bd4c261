"""SeaweedFS, which speaks S3 and verifies signatures, and the way to it, which counts and breaks."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fl_server_demo.local_server import free_port
from tests.faults.harness.processes import Process
from tests.server_process import REPOSITORY

BUCKET = "models"
READER = "key-of-a-reader"
KEY, SECRET, REGION = "key-of-the-server", "secret-of-the-server", "eu-central-1"
GRPC = 10_000
"""Each of its ports has a second one, so much higher."""


class ObjectStore:
    """A server of its own in a folder, with one bucket. Stopped and started again, it has what it had."""

    def __init__(self, folder: Path) -> None:
        self._ports = {part: _free_port() for part in ("master", "volume", "filer", "s3")}
        self.port = self._ports["s3"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = client_at(self.url)
        self.process = Process(
            "seaweedfs",
            _command(folder, self._ports),
            folder=folder,
            environment={"PATH": os.environ["PATH"], "HOME": str(folder), "TMPDIR": str(folder)},
            directory=REPOSITORY,
            is_ready=lambda _process: self._is_ready(),
        )

    def start(self) -> None:
        self.process.start()

    def end(self) -> None:
        """At once. It leaves sockets where all of its kind look for each other."""
        self.process.kill()
        self.client.close()
        for part, port in self._ports.items():
            Path(f"/tmp/seaweedfs-{part}-grpc-{port + GRPC}.sock").unlink(missing_ok=True)

    def settings(self, endpoint: str) -> dict[str, str]:
        """A server's, which reaches the bucket at `endpoint`."""
        return {
            "FL_S3_BUCKET": BUCKET,
            "FL_S3_ENDPOINT_URL": endpoint,
            "FL_S3_REGION": REGION,
            "FL_S3_ACCESS_KEY": KEY,
            "FL_S3_SECRET_KEY": SECRET,
        }

    def objects(self, bucket: str = BUCKET) -> dict[str, int]:
        """Each object's name and size in bytes."""
        return {one["Key"]: one["Size"] for one in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])}

    def unfinished(self) -> list[str]:
        """The names that uploads of several parts are under way to."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])]

    def _is_ready(self) -> bool:
        """It answers before it can store anything."""
        with suppress(BotoCoreError, ClientError):
            with suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
                self.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
            self.client.put_object(Bucket=BUCKET, Key="ready", Body=b"")
            self.client.delete_object(Bucket=BUCKET, Key="ready")
            return True
        return False


def client_at(url: str, *, key: str = KEY, secret: str = SECRET) -> Any:
    """A client of S3 that tries once."""
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=20, signature_version="s3v4")
    login = {"aws_access_key_id": key, "aws_secret_access_key": secret}
    return boto3.client("s3", endpoint_url=url, region_name=REGION, config=config, **login)


def _command(folder: Path, ports: dict[str, int]) -> list[str]:
    program = shutil.which("weed", path=str(Path(sys.executable).parent))
    if program is None:
        reason = "there is no SeaweedFS: make setup installs it on Linux, for x86-64 and arm64"
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    data, login = folder / "objects", {"accessKey": KEY, "secretKey": SECRET}
    data.mkdir()
    reader = {"accessKey": READER, "secretKey": SECRET}
    identities = [
        {"name": "server", "credentials": [login], "actions": ["Admin", "Read", "Write", "List", "Tagging"]},
        {"name": "reader", "credentials": [reader], "actions": ["Read", "List"]},
    ]
    (folder / "identities.json").write_text(json.dumps({"identities": identities}))
    return [
        *(program, "-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}"),
        *(f"-master.port={ports['master']}", "-master.telemetry=false", "-master.volumeSizeLimitMB=256"),
        *("-master.electionTimeout=1s", "-master.heartbeatInterval=100ms", "-volume.preStopSeconds=0"),
        *(
            f"-volume.port={ports['volume']}",
            "-volume.max=32",  # a bucket begins with seven
            "-filer",
            f"-filer.port={ports['filer']}",
            f"-filer.localSocket={folder}/filer.sock",
        ),
        *(
            "-s3",
            f"-s3.port={ports['s3']}",
            f"-s3.config={folder}/identities.json",
            f"-s3.localSocket={folder}/s3.sock",
        ),
        *("-s3.iam=false", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0"),
    ]


def _free_port() -> int:
    """One whose second is free, too."""
    while True:
        port = free_port()
        if port + GRPC < 2**16:
            with suppress(OSError), socket.socket() as other:
                other.bind(("127.0.0.1", port + GRPC))
                return port


class Relay:
    """A port that leads to the store: it counts what comes back, notes what is asked, and breaks when it is told to."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.received = 0
        self.asked: list[bytes] = []
        """The heads of requests."""
        self.cut: int | None = None
        """After so many bytes of answers, the connection that they come by ends: once."""
        self.hold: int | None = None
        """After so many bytes of requests, nothing moves any more, and `held` is set."""
        self.held = threading.Event()
        self.refuses = False
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def forget(self) -> None:
        """Count from here."""
        self.received, self.asked = 0, []

    def gets(self) -> int:
        """How often an object, or a part of one, was fetched."""
        return sum(head.startswith(b"GET /models/") and b"?list" not in head for head in self.asked)

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with suppress(OSError):
                    if self.refuses:
                        raise ConnectionRefusedError
                    server = socket.create_connection(("127.0.0.1", self._to))
                    for target, ends in ((self._up, (client, server)), (self._down, (server, client))):
                        threading.Thread(target=target, args=ends, daemon=True).start()
                    continue
                client.close()

    def _up(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if self.hold is not None:
                    self.hold -= len(data)
                    if self.hold < 0:
                        self.held.set()
                        threading.Event().wait()
                with self._lock:
                    self.asked += re.findall(rb"(?:GET|HEAD|PUT|POST|DELETE) /\S* HTTP/1\.1\r\n.*?\r\n\r\n", data, re.S)
                target.sendall(data)
        _end(source, target)

    def _down(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                with self._lock:
                    self.received += len(data)
                    if self.cut is not None:
                        self.cut -= len(data)
                        if self.cut < 0:
                            self.cut = None
                            break
                target.sendall(data)
        _end(source, target)


def _end(*sockets: socket.socket) -> None:
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@contextmanager
def object_store(folder: Path) -> Iterator[ObjectStore]:
    """Started; the test is skipped where SeaweedFS is not installed."""
    store = ObjectStore(folder)
    try:
        store.start()
        yield store
    finally:
        store.end()


@contextmanager
def relay(store: ObjectStore) -> Iterator[Relay]:
    way = Relay(store.port)
    try:
        yield way
    finally:
        way.close()
