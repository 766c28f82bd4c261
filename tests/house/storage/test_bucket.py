"""A bucket of a real server of S3, on a way that breaks."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import TemporaryUploadedFile
from pytest_django import Settings

from fl_server.checks import check_bucket
from fl_server_core.storage import StorageUnavailable
from tests.house.storage.buckets import storage_at
from tests.object_store import BUCKET, KEY, READER, REGION, SECRET, ObjectStore, Relay, object_store, relay
from tests.server_process import REPOSITORY, START_SECONDS

pytestmark = pytest.mark.once
SIZE = 1 << 20
MB = 1 << 20
LARGE = os.urandom(23 * MB)
"""Five parts of at most 5 MB."""
LATER = timedelta(minutes=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def way(store: ObjectStore) -> Iterator[Relay]:
    with relay(store) as leading:
        yield leading


def upload(content: bytes) -> TemporaryUploadedFile:
    """As Django hands it over: in a file."""
    file = TemporaryUploadedFile("model.pt", "application/octet-stream", len(content), None)
    file.write(content)
    file.seek(0)
    return file


def test_a_large_file_is_stored_in_parts_and_read_back(way: Relay, store: ObjectStore, folder: Path) -> None:
    storage = storage_at(way.url, copies_bytes=0)
    for content in (upload(LARGE), ContentFile(LARGE)):
        name = storage.save(f"models/{uuid4().hex}.pt", content)
        found = store.client.head_object(Bucket=BUCKET, Key=f"own/{name}")
        assert (found["ContentLength"], found["Metadata"]) == (
            len(LARGE),
            {"sha256": hashlib.sha256(LARGE).hexdigest()},
        )
        assert found["ETag"].endswith('-5"')
        with storage.open(name) as file:
            assert file.read() == LARGE
        storage.delete(name)
        assert not storage.exists(name)
    assert list(folder.glob("**/own-*")) == []


def test_the_bytes_of_a_file_are_fetched_once_and_a_part_costs_no_more_than_a_part(way: Relay, folder: Path) -> None:
    name = storage_at(way.url, copies_bytes=0).save(f"models/{uuid4().hex}.pt", upload(LARGE))
    storage = storage_at(way.url)
    way.forget()
    part = range(7 * MB, 7 * MB + 1000)
    with storage.open_part(name, part) as file:
        assert file.read() == LARGE[part.start : part.stop]
    assert way.received < 10_000
    assert not storage.is_near(name)
    way.forget()
    for _ in range(3):
        with storage.local_copy(name) as path:
            assert path.read_bytes() == LARGE
    assert len(LARGE) < way.received < len(LARGE) + 20_000
    assert storage.is_near(name)
    storage.delete(name)
    assert not storage.is_near(name)


def test_copies_make_room_for_those_that_were_used_later(way: Relay, folder: Path) -> None:
    storage = storage_at(way.url, copies_bytes=5 * MB)
    names = [storage.save(f"models/{uuid4().hex}.pt", upload(bytes(2 * MB))) for _ in range(2)]
    for age, name in zip((200, 100), names, strict=True):  # seconds
        path = storage._copies._path(name)
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    with storage.open(names[0]) as file, storage.local_copy(names[1]) as path:
        assert len(file.read()) == path.stat().st_size == 2 * MB
    os.utime(storage._copies._path(names[1]), (0, 0))
    third = storage.save(f"models/{uuid4().hex}.pt", upload(bytes(2 * MB)))
    assert [storage.is_near(name) for name in (*names, third)] == [True, False, True]
    storage.tidy("models", datetime.now(UTC) - LATER)
    assert storage.is_near(third)
    storage.tidy("models", datetime.now(UTC) + LATER)
    assert not storage.is_near(third)  # unused for so long


def test_a_connection_that_breaks_is_taken_up_where_it_broke(way: Relay, folder: Path) -> None:
    storage = storage_at(way.url, copies_bytes=0)
    name = storage.save(f"models/{uuid4().hex}.pt", upload(LARGE))
    way.forget()
    way.cut = 6 * MB
    with storage.open_part(name, range(MB, 22 * MB)) as file:
        assert file.read() == LARGE[MB : 22 * MB]
    assert way.gets() == 2
    assert way.received < 22 * MB
    way.cut = 6 * MB
    with storage.open(name) as whole:
        assert whole.read() == LARGE


def test_a_file_that_was_changed_in_the_bucket_is_not_taken_for_the_stored_one(
    way: Relay, store: ObjectStore, folder: Path
) -> None:
    storage = storage_at(way.url, copies_bytes=0)
    name = storage.save(f"models/{uuid4().hex}.pt", upload(b"as it was stored"))
    about = store.client.head_object(Bucket=BUCKET, Key=f"own/{name}")["Metadata"]
    store.client.put_object(Bucket=BUCKET, Key=f"own/{name}", Body=b"as it was hacked", Metadata=about)
    with pytest.raises(StorageUnavailable, match="damaged"):
        storage.open(name)


def test_an_upload_that_fails_leaves_no_part(way: Relay, store: ObjectStore, folder: Path) -> None:
    class Ending(ContentFile[bytes]):
        """The disk that it is on fails, once the first parts are on their way."""

        def read(self, *args: Any) -> bytes:
            if self.tell() >= 15 * MB and store.unfinished():
                raise OSError("the disk is gone")
            return bytes(super().read(*args))

        def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
            yield LARGE

    name = f"models/{uuid4().hex}.pt"
    with pytest.raises(StorageUnavailable, match="the disk is gone"):
        storage_at(way.url).save(name, Ending(LARGE))
    assert store.unfinished() == []
    assert f"own/{name}" not in store.objects()


def test_what_a_killed_upload_leaves_is_removed_by_its_own_server_only(
    way: Relay, store: ObjectStore, folder: Path
) -> None:
    code = (
        "import sys, tests.house.storage.test_bucket as t\n"
        "from django.core.files.base import ContentFile\n"
        "t.storage_at(sys.argv[1]).save('models/killed.pt', ContentFile(t.LARGE))"
    )
    way.hold = 14 * MB
    process = subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup()\n{code}", way.url],
        cwd=REPOSITORY,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )
    try:
        assert way.held.wait(START_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert store.unfinished() == ["own/models/killed.pt"]
    own, other = storage_at(store.url), storage_at(store.url, location="ow")
    assert own.tidy("models", datetime.now(UTC) - LATER) == 0  # it may still be under way
    assert other.tidy("models", datetime.now(UTC) + LATER) == 0
    assert store.unfinished() == ["own/models/killed.pt"]
    assert own.tidy("models", datetime.now(UTC) + LATER) == 1
    assert store.unfinished() == []


def test_two_servers_with_folders_of_their_own_share_a_bucket(store: ObjectStore, folder: Path) -> None:
    one, two = storage_at(store.url, location="one"), storage_at(store.url, location="two")
    for storage, content in ((one, b"of one"), (two, b"of two")):
        storage.save("models/same.pt", ContentFile(content))
    assert one.listdir("models") == ([], ["same.pt"])
    one.delete("models/same.pt")
    assert not one.exists("models/same.pt")
    with two.open("models/same.pt") as file:
        assert file.read() == b"of two"
    assert {name for name in store.objects() if name.startswith(("one/", "two/"))} == {"two/models/same.pt"}


def test_a_signed_address_is_good_for_one_file_and_a_while(store: ObjectStore, folder: Path) -> None:
    # Of this region, boto3 signs addresses with an earlier version if it is left to it.
    storage = storage_at(
        "http://127.0.0.1:9", public_endpoint_url=store.url, direct_seconds=60, region_name="us-east-1"
    )
    name = storage_at(store.url).save(f"models/{uuid4().hex}.pt", ContentFile(b"0123456789"))
    address = storage.signed_address(name, "model-é.pt")
    assert address is not None
    found = httpx.get(address, headers={"Range": "bytes=2-4"}, trust_env=False)
    assert (found.status_code, found.content) == (206, b"234")
    assert found.headers["Content-Type"] == "application/octet-stream"
    assert found.headers["Content-Disposition"] == "attachment; filename*=utf-8''model-%C3%A9.pt"
    for other in (address.replace(name, "models/other.pt"), address.replace("Expires=60", "Expires=6000")):
        assert httpx.get(other, trust_env=False).status_code == 403
    past = storage_at(store.url, direct_seconds=-1).signed_address(name, "model.pt")
    assert past is not None
    assert httpx.get(past, trust_env=False).status_code in (400, 403)
    assert storage_at(store.url).signed_address(name, "model.pt") is None


def check_said(settings: Settings, **options: Any) -> str:
    login = {"bucket_name": BUCKET, "endpoint_url": "", "access_key": KEY, "secret_key": SECRET, "region_name": REGION}
    settings.FL_S3_BUCKET = options.get("bucket_name", BUCKET)
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "fl_server.storage.bucket.BucketStorage", "OPTIONS": {**login, **options}},
    }
    return " ".join(f"{one.id} {one.msg} {one.hint}" for one in check_bucket())


def test_the_check_says_what_is_wrong_with_a_bucket(
    settings: Settings, store: ObjectStore, way: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = {"endpoint_url": store.url}
    assert check_said(settings, **at) == ""
    assert store.unfinished() == []
    assert not any("check" in name for name in store.objects())
    assert "no bucket 'nothere'" in check_said(settings, **at, bucket_name="nothere")
    assert "FL_S3_ACCESS_KEY" in check_said(settings, **at, access_key="wrong")
    assert "FL_S3_SECRET_KEY" in check_said(settings, **at, secret_key="wrong")
    assert "may not write objects (s3:PutObject)" in check_said(settings, **at, access_key=READER)
    assert "could not be reached" in check_said(settings, endpoint_url="http://127.0.0.1:9")
    later = datetime.now(UTC) + timedelta(hours=1)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda *_a, **_k: later.replace(tzinfo=None))
    assert "clock" in check_said(settings, **at)


def test_a_probe_tries_the_folder_that_files_pass_on_their_way_to_the_bucket(
    way: Relay, folder: Path, settings: Settings
) -> None:
    storage = storage_at(way.url)
    storage.probe()
    settings.FILE_UPLOAD_TEMP_DIR = folder / "gone"
    with pytest.raises(OSError, match="gone"):
        storage.probe()
