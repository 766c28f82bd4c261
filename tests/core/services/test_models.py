"""Models as they are uploaded, edited and deleted."""

from __future__ import annotations

import pytest

from fl_server_core.exceptions import EntityNotFound, InvalidFile, InvalidRequest, InvalidValue, NotAllowed
from fl_server_core.models import GlobalModel
from fl_server_core.services.models import (
    create_global_model,
    create_mean_model,
    delete_model,
    edit_model,
    set_preprocessing,
)
from tests.builders.files import pickled_linear, saved_vector, scripted_clamp, uploaded
from tests.builders.rounds import submissions
from tests.builders.rows import make_mean_model, make_model, make_update, make_user
from tests.builders.storage import stored_files
from tests.builders.world import World

pytestmark = pytest.mark.django_db


def test_an_uploaded_model_is_version_0_whatever_its_round() -> None:
    model = create_global_model(
        owner=make_user(), name="m", description="d", model_file=uploaded(pickled_linear()), round_number=7
    )
    [version] = model.versions.all()
    assert (version.number, version.round, version.size) == (0, 7, len(pickled_linear()))
    assert model.weights == pickled_linear()


def test_a_file_without_a_module_is_refused_and_leaves_nothing() -> None:
    before = stored_files()
    with pytest.raises(InvalidFile, match="it holds a tensor"):
        create_global_model(owner=make_user(), name="m", description="d", model_file=uploaded(saved_vector(1.0)))
    assert not GlobalModel.objects.exists()
    assert stored_files() == before


def test_a_mean_model_takes_models_of_its_owner_that_are_not_means_themselves() -> None:
    owner = make_user()
    mine, other = make_model(owner), make_model(make_user())
    for ids in ([other.pk], [make_mean_model(owner, [mine]).pk]):
        with pytest.raises(InvalidValue, match="Invalid model selection"):
            create_mean_model(owner=owner, name="mean", description="", model_ids=ids)
    with pytest.raises(InvalidValue, match="Invalid model UUIDs found"):
        create_mean_model(owner=owner, name="mean", description="", model_ids=[owner.pk])
    assert list(create_mean_model(owner=owner, name="mean", description="", model_ids=[mine.pk]).models.all()) == [mine]


def test_another_input_shape_asks_for_the_statistics_anew() -> None:
    owner = make_user()
    model = make_model(owner, stats={"total_params": 8})
    edit_model(model_id=model.pk, user=owner, values={"name": "new"})
    model.refresh_from_db()
    assert (model.name, model.stats) == ("new", {"total_params": 8})
    edit_model(model_id=model.pk, user=owner, values={"input_shape": [None, 3]})
    model.refresh_from_db()
    assert model.stats is None
    with pytest.raises(ValueError, match="Only description, input_shape, name can be edited"):
        edit_model(model_id=model.pk, user=owner, values={"round": 3})


def test_only_the_owner_sets_a_preprocessing() -> None:
    owner = make_user()
    model = make_model(owner)
    with pytest.raises(NotAllowed):
        set_preprocessing(model_id=model.pk, user=make_user(), file=uploaded(scripted_clamp()))
    with pytest.raises(InvalidRequest, match="is a local model"):
        set_preprocessing(model_id=make_update(model, owner).pk, user=owner, file=uploaded(scripted_clamp()))
    set_preprocessing(model_id=model.pk, user=owner, file=uploaded(scripted_clamp()))
    assert GlobalModel.objects.get().preprocessing == scripted_clamp()


def test_an_update_that_is_deleted_is_asked_for_again_unless_it_is_being_aggregated() -> None:
    world = World(2).start()
    world.update(0, 1.0)
    [submission] = submissions(world.training)
    update = submission.local_model
    assert update is not None
    with pytest.raises(NotAllowed):
        delete_model(model_id=update.pk, user=world.people[1])
    delete_model(model_id=update.pk, user=world.people[0])
    assert submissions(world.training) == []
    assert [kind for kind, _status in world.statuses(0)].count("UPDATE_ROUND_START") == 2
    with pytest.raises(EntityNotFound):
        delete_model(model_id=update.pk, user=world.people[0])
    world.claim_full_round()
    counted = submissions(world.training)[0].local_model
    assert counted is not None
    with pytest.raises(InvalidRequest, match="is being aggregated"):
        delete_model(model_id=counted.pk, user=world.actor)
