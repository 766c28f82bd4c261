import os
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from fl_server_core.models import SWAGModel, installation
from fl_server_core.models.files import new_file_name
from fl_server_core.models.installation import installation_id
from fl_server_core.models.model import MOMENTS
from fl_server_core.services.orphans import remove_orphans
from tests.builders.rounds import moment_files_of, submissions
from tests.builders.storage import weight_files
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def make_older(path: Path) -> None:
    os.utime(path, (0, 0))


def test_a_file_that_no_row_names_is_removed_once_it_is_old() -> None:
    world = World(swag=True).start()
    world.update(0, 1.0)
    named = weight_files()
    assert len(named) == 2
    orphan = default_storage.save(new_file_name(None, ""), ContentFile(b"left behind"))
    for name in (orphan, *named):
        make_older(Path(default_storage.path(name)))
    remove_orphans(older_than=timedelta(hours=1))
    assert not default_storage.exists(orphan)
    assert all(default_storage.exists(name) for name in named)


def test_the_files_of_moments_are_named_too() -> None:
    world = World(1, swag=True).start()
    world.update(0, 1.0)
    world.advance()
    world.moments(0, torch.ones(8), torch.ones(8))
    uploaded = [str(file) for submission in submissions(kind="swag") for file in moment_files_of(submission)]
    assert len(uploaded) == 2
    keep_though_old(uploaded)
    world.advance()
    model = world.model
    assert isinstance(model, SWAGModel)
    keep_though_old([str(model.version_file(name)) for name in MOMENTS])


def keep_though_old(names: list[str]) -> None:
    for name in names:
        make_older(Path(default_storage.path(name)))
    remove_orphans(older_than=timedelta(hours=1))
    assert all(default_storage.exists(name) for name in names)


def test_a_young_file_may_still_get_its_row() -> None:
    young = default_storage.save(new_file_name(None, ""), ContentFile(b"about to be named"))
    remove_orphans(older_than=timedelta(hours=1))
    assert default_storage.exists(young)
    default_storage.delete(young)


def test_the_files_of_another_installation_in_the_same_storage_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = new_file_name(None, "")
    monkeypatch.setattr(installation, "_known", "f" * 32)
    theirs = default_storage.save(new_file_name(None, ""), ContentFile(b"named in another database"))
    monkeypatch.undo()
    assert theirs.split("/")[:2] == ["models", "f" * 32]
    assert mine.split("/")[1] == installation_id() != "f" * 32
    keep_though_old([theirs])
    default_storage.delete(theirs)


def test_an_old_upload_that_nobody_holds_is_removed() -> None:
    folder = Path(settings.FILE_UPLOAD_TEMP_DIR)
    old, young = folder / "old.upload", folder / "young.upload"
    for path in (old, young):
        path.write_bytes(b"x")
    make_older(old)
    remove_orphans(older_than=timedelta(hours=1))
    assert not old.exists()
    assert young.exists()
    young.unlink()
