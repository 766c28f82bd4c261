"""Which errors are told as "try again", and which are bugs."""

from __future__ import annotations

import errno
import logging
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import FileSystemStorage
from django.db import IntegrityError, OperationalError
from pytest_django import Settings

from fl_server.storage.folder import FolderStorage
from fl_server_core.models import GlobalModel
from fl_server_core.storage import StorageUnavailable
from tests.api.conftest import People
from tests.builders.files import scripted_linear, uploaded

NO_FILES = {"detail": "The file storage is unavailable. Try again later."}


def upload(people: People, **headers: Any) -> Any:
    form = {"name": "linear", "description": "", "model_file": uploaded(scripted_linear())}
    return people.actor.client.post("/api/models/", form, format="multipart", **headers)


@pytest.mark.parametrize("method", ["_save", "_open"])
def test_a_disk_that_fails_is_told_as_one_to_try_again(
    people: People, model: GlobalModel, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileSystemStorage, method, fail)
    client = people.actor.client
    answer = upload(people) if method == "_save" else client.get(f"/api/models/{model.pk}/")
    assert (answer.status_code, answer.json(), answer.headers["Retry-After"]) == (503, NO_FILES, "5")


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_full_disk_is_told_so_whoever_was_writing_to_it(
    people: People, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """A copy of a bucket's file, a body on its way: not all of it goes through the storage."""

    def fail(**_: Any) -> None:
        raise OSError(reason, "it fails")

    monkeypatch.setattr("fl_server_api.views.models.create_global_model", fail)
    answer = upload(people)
    assert (answer.status_code, answer.json(), answer.headers["Retry-After"]) == (503, NO_FILES, "5")


def test_a_folder_for_uploads_that_fails_is_told_so_too(people: People, settings: Settings, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(link)
    settings.FILE_UPLOAD_TEMP_DIR, settings.FILE_UPLOAD_MAX_MEMORY_SIZE = link, 0
    answer = upload(people)
    assert (answer.status_code, answer.json()) == (503, NO_FILES)


def test_a_file_that_is_missing_where_it_is_not_expected_is_told_so_too(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file")

    monkeypatch.setattr(FileSystemStorage, "_save", fail)
    assert upload(people).status_code == 503


def test_an_error_of_the_system_that_is_not_the_storages_is_a_bug(
    people: People, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: Any) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr("fl_server_api.views.models.create_global_model", fail)
    with caplog.at_level(logging.ERROR, "django.request"):
        answer = upload(people)
    request_id = answer.headers["X-Request-ID"]
    sentence = f"The server has made an error. It is in the server's log, under the request {request_id}."
    assert (answer.status_code, answer.json()) == (500, {"detail": sentence})
    assert "BrokenPipeError" in caplog.text
    problem = upload(people, HTTP_ACCEPT="application/problem+json", HTTP_X_REQUEST_ID="mine").json()
    assert (problem["status"], problem["request_id"]) == (500, "mine")
    assert people.actor.client.get("/api/models/", HTTP_ACCEPT="application/problem+json").status_code == 200


def test_a_database_that_is_away_is_told_as_one_to_try_again(
    people: People, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**_: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr("fl_server_api.views.models.create_global_model", fail)
    with caplog.at_level(logging.INFO, "fl_server_api"):
        answer = upload(people)
    assert (answer.status_code, answer.json()) == (503, {"detail": "The database is unavailable. Try again later."})
    [line] = [record for record in caplog.records if record.name == "fl_server_api.middleware"]
    assert (line.levelname, line.exc_info) == ("WARNING", None)
    assert line.getMessage().endswith(
        "The database is unavailable. Try again later. OperationalError: database is locked"
    )


def test_a_folder_says_which_of_its_errors_is_a_missing_file(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    for ask in (storage.open, storage.size, storage.get_modified_time, storage.listdir):
        with pytest.raises(FileNotFoundError):
            ask("missing")
    link = tmp_path / "link"
    link.symlink_to(link)
    for ask in (storage.open, storage.size, storage.get_modified_time, storage.listdir):
        with pytest.raises(StorageUnavailable, match="symbolic links") as failure:
            ask("link")
        assert failure.value.errno == errno.ELOOP


def test_a_row_that_goes_before_the_commit_is_a_conflict(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise IntegrityError("violates foreign key constraint")

    monkeypatch.setattr("fl_server_api.views.models.create_global_model", fail)
    answer = upload(people)
    sentence = "Something that this request refers to changed at the same moment. Look again, then try again."
    assert (answer.status_code, answer.json()) == (409, {"detail": sentence})
    assert "Retry-After" not in answer.headers
