"""Backups of files in a bucket, and restores into one: its own bytes count, not this machine's copies of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from pytest_django import Settings

from fl_server.backup.exceptions import BackupError
from fl_server.backup.folder import BackupFolder, digest_of
from fl_server.backup.making import Made, make_backup
from fl_server.backup.manifest import Stored
from fl_server.backup.stored import store
from fl_server_core.models import GlobalModel
from fl_server_core.storage import FarStorage
from tests.builders.rows import make_model, make_user
from tests.builders.storage import content_of, file_name_of
from tests.object_store import BUCKET, KEY, REGION, SECRET, ObjectStore, object_store

pytestmark = [pytest.mark.once, pytest.mark.django_db(transaction=True)]
PREFIX = "servers/one"


@pytest.fixture(scope="module")
def store_of_objects(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def bucket(store_of_objects: ObjectStore, settings: Settings, tmp_path: Path) -> ObjectStore:
    """The storage is a bucket, and this machine keeps copies."""
    settings.FILE_UPLOAD_TEMP_DIR = tmp_path / "tmp"
    (tmp_path / "tmp").mkdir()
    options: dict[str, Any] = {
        "bucket_name": BUCKET,
        "endpoint_url": store_of_objects.url,
        "location": PREFIX,
        "region_name": REGION,
    }
    options |= {"access_key": KEY, "secret_key": SECRET, "copies_bytes": 1 << 26, "file_overwrite": False}
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "fl_server.storage.bucket.BucketStorage", "OPTIONS": options},
    }
    return store_of_objects


@pytest.fixture
def model(bucket: ObjectStore, transactional_db: None, emptied_storage: None) -> GlobalModel:
    made: GlobalModel = make_model(make_user("anna", password="correct horse"))
    return made


def is_near(name: str) -> bool:
    assert isinstance(default_storage, FarStorage)
    return default_storage.is_near(name)


def damage(bucket: ObjectStore, name: str) -> bytes:
    """One bit of the object turns, in the bucket alone."""
    found = bucket.client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{name}")
    content = bytearray(found["Body"].read())
    content[len(content) // 2] ^= 1
    bucket.client.put_object(
        Bucket=BUCKET, Key=f"{PREFIX}/{name}", Body=bytes(content), Metadata=found["Metadata"] or {}
    )
    return bytes(content)


def back_up(folder: BackupFolder) -> Made:
    return make_backup(folder, warn=lambda sentence: pytest.fail(sentence))


def test_a_backup_reads_the_bucket_and_leaves_the_copies_of_this_machine_alone(
    model: GlobalModel, folder: BackupFolder, tmp_path: Path
) -> None:
    name = file_name_of(model)
    default_storage._copies.forget(name)  # type: ignore[attr-defined]
    made = back_up(folder)
    assert folder.file(name).read_bytes() == content_of(name)
    assert (made.copied, made.manifest.lost, made.manifest.damaged) == (1, [], [])
    default_storage._copies.forget(name)  # type: ignore[attr-defined]
    assert back_up(folder).copied == 0
    assert not is_near(name)
    assert not [path for path in (tmp_path / "tmp").rglob("*") if path.is_file()]


def test_what_the_bucket_has_damaged_or_lost_is_named_although_this_machine_has_a_copy(
    bucket: ObjectStore, model: GlobalModel, folder: BackupFolder
) -> None:
    weights, lost = file_name_of(model), file_name_of(make_model(model.owner))
    # Of this one, only the bucket knows the digest.
    other = default_storage.save("models/x/preprocessing.pt", ContentFile(b"as it was stored"))
    GlobalModel.objects.filter(pk=model.pk).update(preprocessing_file=other)
    content = {name: content_of(name) for name in (weights, lost, other)}  # all are on this machine now
    damaged = {name: damage(bucket, name) for name in (weights, other)}
    bucket.client.delete_object(Bucket=BUCKET, Key=f"{PREFIX}/{lost}")
    for copied in (2, 0):
        made = back_up(folder)
        assert (made.copied, set(made.manifest.damaged), made.manifest.lost) == (copied, {weights, other}, [lost])
    assert {name: folder.file(name).read_bytes() for name in damaged} == damaged
    assert all(is_near(name) and content_of(name) == content[name] for name in content)


def test_a_file_that_is_damaged_in_the_bucket_is_not_taken_for_restored(
    bucket: ObjectStore, emptied_storage: None, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"as it was backed up")
    file = Stored("models/x/restored.pt", source.stat().st_size, digest_of(source))
    assert store(source, file)
    assert content_of(file.name) == source.read_bytes()  # there is a copy now
    assert not store(source, file)
    damage(bucket, file.name)
    assert content_of(file.name) == source.read_bytes()
    with pytest.raises(BackupError, match="with other bytes"):
        store(source, file)
    default_storage.delete(file.name)
    assert store(source, file)
    found = bucket.client.get_object(Bucket=BUCKET, Key=f"{PREFIX}/{file.name}")
    assert hashlib.sha256(found["Body"].read()).hexdigest() == found["Metadata"]["sha256"] == file.sha256
