"""Files are stored before their rows, and leave after the last row that names them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import OperationalError, connection, transaction

from fl_server_core.archive import ArchiveError
from fl_server_core.models import GlobalModel, LocalModel, ModelVersion, VersionFile
from fl_server_core.models.model import clone_model
from fl_server_core.services.files import (
    NewFiles,
    digest_of,
    forget_files,
    open_stored,
    open_weights,
    scratch_path,
    uploaded_source,
)
from tests.builders.files import pickled_linear, uploaded
from tests.builders.rows import make_mean_model, make_model, make_update, make_user
from tests.builders.storage import content_of, file_name_of, lose_file, stored_files

pytestmark = pytest.mark.django_db


def stored(content: bytes = b"x") -> str:
    return NewFiles().store(ContentFile(content))


@pytest.mark.django_db(transaction=True)
def test_a_file_leaves_after_the_commit_and_not_before() -> None:
    name = stored()
    with transaction.atomic():
        forget_files([name])
        assert default_storage.exists(name)
    assert not default_storage.exists(name)


@pytest.mark.django_db(transaction=True)
def test_a_file_that_is_forgotten_outside_a_transaction_leaves_at_once() -> None:
    name = stored()
    forget_files([name])
    assert not default_storage.exists(name)


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_is_rolled_back_keeps_its_files() -> None:
    model = make_model(make_user())
    name = file_name_of(model)
    with suppress(RuntimeError), transaction.atomic():
        model.delete()
        raise RuntimeError
    assert default_storage.exists(name)
    assert GlobalModel.objects.get().weights is not None


@pytest.mark.django_db(transaction=True)
def test_a_savepoint_that_is_rolled_back_keeps_its_files_and_the_others_go() -> None:
    kept, gone = stored(), stored()
    with transaction.atomic():
        with suppress(RuntimeError), transaction.atomic():
            forget_files([kept])
            raise RuntimeError
        forget_files([gone])
    assert default_storage.exists(kept)
    assert not default_storage.exists(gone)


def test_a_transaction_looks_its_files_up_once() -> None:
    names = [stored() for _ in range(3)]
    before = len(connection.run_on_commit)
    for name in names:
        forget_files([name])
    forget_files([])
    assert len(connection.run_on_commit) == before + 1  # one callback for each transaction


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("shared", ["weights", "part", "preprocessing"])
def test_a_file_that_another_row_names_stays(shared: str) -> None:
    owner = make_user()
    model, other = make_model(owner), make_model(owner)
    name = stored()
    for one in (model, other):
        if shared == "weights":
            ModelVersion.objects.create(model=one, number=7, round=0, weights_file=name)
        elif shared == "part":
            VersionFile.objects.create(version=one.current_version, name="first_moment", file=name)
        else:
            GlobalModel.objects.filter(pk=one.pk).update(preprocessing_file=name)
    GlobalModel.objects.get(pk=model.pk).delete()
    assert default_storage.exists(name)
    GlobalModel.objects.get(pk=other.pk).delete()
    assert not default_storage.exists(name)


@pytest.mark.django_db(transaction=True)
def test_a_copy_keeps_the_file_that_it_shares_with_its_model() -> None:
    model = make_model(make_user(), preprocessing_file=stored())
    copy = clone_model(model)
    model.delete()
    assert copy.weights is not None
    assert copy.preprocessing == b"x"
    before = stored_files()
    copy.delete()
    assert len(before - stored_files()) == 2


@pytest.mark.django_db(transaction=True)
def test_a_file_that_cannot_be_removed_is_left_to_the_sweep_and_the_others_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, free = stored(), stored()
    remove = default_storage.delete

    def refuse(name: str) -> None:
        if name == stuck:
            raise OSError("busy")
        remove(name)

    monkeypatch.setattr(default_storage, "delete", refuse)
    forget_files([stuck, free])
    assert (default_storage.exists(stuck), default_storage.exists(free)) == (True, False)
    assert stuck in caplog.text


def test_files_of_a_block_that_fails_are_removed_again() -> None:
    before = stored_files()
    with suppress(RuntimeError), NewFiles() as files:
        files.store(ContentFile(b"x"))
        raise RuntimeError
    assert stored_files() == before
    with NewFiles() as files:
        name = files.store(ContentFile(b"x"))
    assert default_storage.exists(name)
    files.discard()
    assert stored_files() == before


def test_files_of_a_transaction_whose_end_nobody_knows_stay() -> None:
    with suppress(OperationalError), NewFiles() as files:
        files.store(ContentFile(b"x"))
        raise OperationalError("server closed the connection unexpectedly")
    assert default_storage.exists(files.names[0])
    files.discard()


def test_a_file_of_our_own_is_moved_into_the_storage_with_its_digest_and_size() -> None:
    with NewFiles() as files:
        with scratch_path() as path:
            path.write_bytes(b"abc")
            weights = files.store_weights(path)
            assert not path.exists()
        assert content_of(weights.name) == b"abc"
    # of "abc", FIPS 180-2, appendix B.1
    assert weights.digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert weights.size == 3


def test_a_digest_is_of_all_files_from_their_beginnings() -> None:
    first, second = ContentFile(b"ab"), ContentFile(b"c")
    first.read()
    assert digest_of(first, second) == digest_of(ContentFile(b"abc"))


def test_a_scratch_file_is_gone_at_the_end_however_that_comes() -> None:
    with suppress(RuntimeError), scratch_path() as path:
        assert path.parent == Path(settings.FILE_UPLOAD_TEMP_DIR)
        raise RuntimeError
    assert not path.exists()


def test_stored_weights_are_opened_as_data() -> None:
    update = make_update(make_model(make_user()), make_user(), weights=pickled_linear(3.0))
    with open_stored(update.weights_file) as archive:
        assert archive.array("0.weight").tolist() == [[3.0] * 3] * 2
    with open_weights(update) as archive:
        assert archive.is_model


def test_what_is_stored_but_not_an_archive_is_refused() -> None:
    model = make_model(make_user(), weights=b"text")
    with pytest.raises(ArchiveError), open_weights(model):
        pass


def test_a_file_that_is_lost_and_weights_that_never_were_are_not_found() -> None:
    owner = make_user()
    lost = make_model(owner)
    lose_file(lost)
    update = LocalModel.objects.create(owner=owner, base_model=lost, sample_size=1)
    for model in (lost, make_mean_model(owner), update):
        with pytest.raises(FileNotFoundError), open_weights(model):
            pass
    assert not update.weights_file


def test_an_upload_is_read_from_memory_or_by_the_path_of_its_file(tmp_path: Path) -> None:
    small = uploaded(b"abc")
    small.read()
    assert uploaded_source(small) == b"abc"
    small.temporary_file_path = lambda: tmp_path / "upload"  # type: ignore[attr-defined]
    assert uploaded_source(small) == str(tmp_path / "upload")
