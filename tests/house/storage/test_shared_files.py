"""Processes that share a database must share the uploaded files."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from django.core.cache.backends.redis import RedisCache
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from fl_server.storage import shared_files
from fl_server.storage.folder import FolderStorage
from fl_server.storage.shared_files import CACHE_KEY, refuse_unshared_files
from fl_server_core.storage import StorageUnavailable
from tests.server_process import REPOSITORY, server_environment

DATABASE = "a_database_of_two_processes"


@pytest.fixture(autouse=True)
def one_of_many(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has others beside it, on a database of which nothing is known yet."""
    settings.FL_EMBEDDED = False
    settings.FL_S3_BUCKET = ""
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", DATABASE)
    cache.delete(f"{CACHE_KEY}:{DATABASE}")
    yield
    cache.delete(f"{CACHE_KEY}:{DATABASE}")


def test_processes_that_see_the_same_folder_may_start(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "files"
    refuse_unshared_files()
    (tmp_path / "mounted").symlink_to(tmp_path / "files")
    settings.MEDIA_ROOT = tmp_path / "mounted"
    refuse_unshared_files()


def test_a_process_on_another_folder_is_refused(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "of_web"
    refuse_unshared_files()
    settings.MEDIA_ROOT = tmp_path / "of_worker"
    with pytest.raises(ImproperlyConfigured, match=r"of_worker.*FL_S3_BUCKET"):
        refuse_unshared_files()


def test_another_database_may_have_another_folder(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MEDIA_ROOT = tmp_path / "one"
    refuse_unshared_files()
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", f"{DATABASE}_too")
    cache.delete(f"{CACHE_KEY}:{DATABASE}_too")
    settings.MEDIA_ROOT = tmp_path / "other"
    refuse_unshared_files()
    cache.delete(f"{CACHE_KEY}:{DATABASE}_too")


def test_a_bucket_needs_no_folder(settings: Settings, tmp_path: Path) -> None:
    settings.FL_S3_BUCKET = "models"
    settings.MEDIA_ROOT = tmp_path / "files"
    refuse_unshared_files()
    assert not settings.MEDIA_ROOT.exists()


def test_one_process_makes_its_folder_and_asks_nobody(settings: Settings, tmp_path: Path) -> None:
    settings.FL_EMBEDDED = True
    for name in ("one", "other"):
        settings.MEDIA_ROOT = tmp_path / name
        refuse_unshared_files()
        assert (tmp_path / name / "folder_token").is_file()


def test_a_folder_that_cannot_be_made_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    settings.MEDIA_ROOT = tmp_path / "file" / "files"
    with pytest.raises(ImproperlyConfigured, match=r"file/files cannot be made: Not a directory\."):
        refuse_unshared_files()


def test_a_folder_that_was_replaced_is_found_out(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "files"
    refuse_unshared_files()
    storage = FolderStorage(location=settings.MEDIA_ROOT)
    storage.probe()
    assert [path.name for path in settings.MEDIA_ROOT.iterdir()] == ["folder_token"]
    settings.MEDIA_ROOT.rename(tmp_path / "away")
    with pytest.raises(FileNotFoundError):
        storage.probe()
    settings.MEDIA_ROOT.mkdir()
    with pytest.raises(StorageUnavailable, match="not the folder that the server was started on"):
        storage.probe()


def test_a_redis_that_does_not_answer_refuses_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shared_files, "cache", RedisCache("redis://127.0.0.1:1/0", {}))
    settings.MEDIA_ROOT = tmp_path / "files"
    refuse_unshared_files()
    assert "Redis does not answer" in caplog.text


@pytest.mark.skipif(os.environ.get("FL_TEST_DATABASE") != "postgres", reason="takes Redis: runs in the second pass")
def test_a_celery_worker_on_another_folder_ends_with_a_sentence(settings: Settings, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "of_web"
    refuse_unshared_files()
    done = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "fl_server", "worker"],
        cwd=REPOSITORY,
        env=server_environment(tmp_path / "of_worker")
        | {
            "FL_POSTGRES_HOST": "127.0.0.1",
            "FL_POSTGRES_DBNAME": DATABASE,
            "FL_REDIS_LOCATION": settings.FL_REDIS_LOCATION,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "Mount one shared volume" in done.stderr
    assert "Traceback" not in done.stderr
