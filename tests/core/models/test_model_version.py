from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from fl_server_core.models import GlobalModel, ModelVersion, VersionFile
from fl_server_core.models.model_version import FIRST_MOMENT, append_version, store_weights
from tests.builders.rows import make_model, make_round, make_training, make_user
from tests.builders.storage import content_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def model() -> GlobalModel:
    """With version 0."""
    found: GlobalModel = make_model(make_user())
    return found


def test_stored_weights_have_their_digest_and_size() -> None:
    weights = store_weights(b"abc")
    assert content_of(weights.name) == b"abc"
    # of "abc", FIPS 180-2, appendix B.1
    assert weights.digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert weights.size == 3


def test_an_appended_version_has_the_next_number_and_is_the_current_one(model: GlobalModel) -> None:
    training = make_training(model.owner, [], model)
    made_by = make_round(training)
    model.round = 5
    part = store_weights(b"moment").name
    version = append_version(model, store_weights(b"x"), made_by=made_by, files={FIRST_MOMENT: part})
    found = GlobalModel.objects.get(pk=model.pk)
    assert (found.current_version, found.round) == (version, 5)
    assert (version.number, version.round, version.made_by) == (1, 5, made_by)
    moment = version.file(FIRST_MOMENT)
    assert moment is not None
    assert moment.name == part
    assert version.file("second_moment") is None


def test_a_number_is_not_given_again_when_a_version_goes(model: GlobalModel) -> None:
    append_version(model, store_weights(b"x"))
    ModelVersion.objects.filter(number=0).delete()
    assert append_version(model, store_weights(b"y")).number == 2


def test_appending_saves_nothing_else_of_the_row(model: GlobalModel) -> None:
    GlobalModel.objects.non_polymorphic().update(name="renamed meanwhile")
    append_version(model, store_weights(b"x"))
    assert GlobalModel.objects.get().name == "renamed meanwhile"


def test_a_version_goes_on_without_the_round_that_made_it(model: GlobalModel) -> None:
    training = make_training(model.owner, [], model)
    version = append_version(model, store_weights(b"x"), made_by=make_round(training))
    training.delete()
    version.refresh_from_db()
    assert version.made_by is None
    assert version.is_available


def test_numbers_and_parts_are_unique(model: GlobalModel) -> None:
    version = model.current_version
    assert version is not None
    with pytest.raises(IntegrityError), transaction.atomic():
        ModelVersion.objects.create(model=model, number=0, round=0)
    VersionFile.objects.create(version=version, name=FIRST_MOMENT, file="a")
    with pytest.raises(IntegrityError), transaction.atomic():
        VersionFile.objects.create(version=version, name=FIRST_MOMENT, file="b")
