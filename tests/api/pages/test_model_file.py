"""What the page of a model shows of its file."""

from __future__ import annotations

import pytest
import torch
from django.test import Client

from fl_server_core.models import GlobalModel, User
from tests.api.pages.addresses import model_at, page_of
from tests.builders.files import saved, scripted_linear
from tests.builders.rows import (
    make_model,
)

pytestmark = pytest.mark.django_db


class StrangeLinear(torch.nn.Linear):
    """A class that torch does not have."""


def test_the_file_is_shown_by_layer_with_the_names_that_it_holds(model: GlobalModel, operator: Client) -> None:
    contents = operator.get(model_at(model, "file/")).context["contents"]
    (layer,) = contents.layers
    rows = [(row.name, row.shape, row.dtype, row.size, row.role) for row in layer.tensors]
    assert rows == [("0.weight", "2 × 3", "float32", 6, "parameter"), ("0.bias", "2", "float32", 2, "parameter")]
    assert (layer.name, layer.size, contents.parameters, contents.foreign) == ("0", 8, 8, [])
    assert "torch.nn.modules.linear.Linear" in contents.globals
    assert "Torch&#x27;s own names only" not in page_of(operator, model_at(model, "file/?version=9"))


def test_names_that_the_server_does_not_import_are_told(operator: Client, owner: User) -> None:
    model = make_model(owner, weights=saved(StrangeLinear(3, 2)))
    page = page_of(operator, model_at(model, "file/"))
    assert "Not run here" in page
    assert "StrangeLinear" in page


def test_a_file_that_is_no_archive_is_told(operator: Client, owner: User) -> None:
    model = make_model(owner, weights=b"nothing of the kind")
    page = page_of(operator, model_at(model, "file/"))
    assert "The file can&#x27;t be read:" in page


def test_a_scripted_file_imports_nothing(operator: Client, owner: User) -> None:
    model = make_model(owner, weights=scripted_linear())
    assert "Imports nothing" in page_of(operator, model_at(model, "file/"))


def test_a_file_that_is_gone_from_the_storage_is_told(model: GlobalModel, operator: Client) -> None:
    (version := model.versions.get(number=0)).weights_file.storage.delete(str(version.weights_file.name))
    for end in ("file/?version=0", "difference/?first=0&second=1"):
        assert "no longer in the storage" in page_of(operator, model_at(model, end))
