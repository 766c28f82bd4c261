from __future__ import annotations

import re

import pytest

from fl_server_core.models import GlobalModel
from fl_server_core.models.files import folder_of_installation, new_file_name, read_all
from fl_server_core.models.installation import installation_id
from tests.builders.rows import make_model, make_update, make_user

pytestmark = pytest.mark.django_db


def test_every_file_has_a_name_of_its_own_in_the_installation_s_folder() -> None:
    names = {new_file_name(None, "whatever.pt") for _ in range(100)}
    assert len(names) == 100
    assert folder_of_installation() == f"models/{installation_id()}"
    assert all(re.fullmatch(rf"models/{installation_id()}/(..)/\1[0-9a-f]{{30}}\.pt", name) for name in names)


def test_bytes_that_are_assigned_are_written_to_a_new_file_on_save() -> None:
    model = make_model(make_user())
    model.preprocessing = b"first"
    model.save()
    first = model.preprocessing_file.name
    model.preprocessing = b"second"
    model.save()
    found = GlobalModel.objects.get(pk=model.pk)
    assert found.preprocessing == b"second"
    assert found.preprocessing_file.name != first


def test_without_a_file_there_are_no_bytes() -> None:
    model = make_model(make_user())
    assert model.preprocessing is None
    model.preprocessing = b"x"
    model.save()
    model.preprocessing = None
    model.save()
    assert GlobalModel.objects.get(pk=model.pk).preprocessing is None
    assert read_all(None) is None


def test_bytes_may_be_given_when_a_row_is_made() -> None:
    owner = make_user()
    assert make_update(make_model(owner), owner, weights=b"abc").weights == b"abc"
