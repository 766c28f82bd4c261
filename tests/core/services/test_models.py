"""Models are made, edited and deleted. What the wire says of it: tests/api/test_models.py."""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID, uuid4

import pytest
import torch

from fl_server_core.exceptions import Conflict, EntityNotFound, InvalidFile, InvalidRequest, InvalidValue, NotAllowed
from fl_server_core.models import EventKind, GlobalModel, LocalModel, SWAGModel, Training, User
from fl_server_core.selectors import trainings
from fl_server_core.selectors.models import lock_model
from fl_server_core.services.models import (
    create_global_model,
    create_mean_model,
    delete_model,
    edit_model,
    set_preprocessing,
)
from tests.builders.clients import make_staff
from tests.builders.deliveries import rounds_told_to, sent_to
from tests.builders.files import pickled_linear, saved_vector, scripted_clamp, uploaded
from tests.builders.rounds import events_of, mark_claimed, mark_failed, submissions
from tests.builders.rows import (
    make_mean_model,
    make_model,
    make_running,
    make_submission,
    make_training,
    make_update,
    make_user,
)
from tests.builders.storage import stored_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def running(owner: User, anna: User) -> Training:
    return make_running(owner, [anna])


def create(owner: User, content: bytes, **values: Any) -> GlobalModel:
    return create_global_model(owner=owner, name="a", description="b", model_file=uploaded(content), **values)


def test_an_uploaded_file_makes_version_0(owner: User) -> None:
    model = create(owner, pickled_linear(), round_number=4, input_shape=[None, 3], kind="SWAG")
    assert isinstance(model, SWAGModel)
    version = model.versions.get()
    assert (version.number, version.round, version.made_by) == (0, 4, None)
    assert version.digest == hashlib.sha256(pickled_linear()).hexdigest()
    assert version.size == len(pickled_linear())
    assert (model.weights, model.input_shape) == (pickled_linear(), [None, 3])


@pytest.mark.parametrize("content", [b"text", saved_vector(1.0), pickled_linear()[:-40]], ids=["text", "vector", "cut"])
def test_a_file_that_holds_no_module_makes_no_model(owner: User, content: bytes) -> None:
    before = stored_files()
    with pytest.raises(InvalidFile, match="Invalid model file"):
        create(owner, content)
    with pytest.raises(InvalidFile, match="Invalid preprocessing file"):
        create(owner, pickled_linear(), preprocessing_file=uploaded(content))
    assert (GlobalModel.objects.count(), stored_files()) == (0, before)


def test_a_mean_is_of_one_owner_s_models(owner: User) -> None:
    members = [make_model(owner), make_model(owner)]
    ids = [member.pk for member in members]
    values: dict[str, Any] = {"owner": owner, "name": "mean", "description": ""}
    mean = create_mean_model(**values, model_ids=[*ids, ids[0]])
    assert set(mean.models.all()) == set(members)
    other, nested = make_model(make_user()), make_mean_model(owner, members)
    for wrong, reason in (
        ([], "Invalid model UUIDs"),
        ([ids[0], uuid4()], "Invalid model UUIDs"),
        ([make_update(members[0], owner).pk], "Invalid model UUIDs"),
        ([ids[0], other.pk], "Insufficient"),
        ([nested.pk], "member of another"),
    ):
        with pytest.raises(InvalidValue, match=reason):
            create_mean_model(**values, model_ids=wrong)


def test_a_deleted_model_takes_its_training_along_and_participants_are_told(running: Training, anna: User) -> None:
    make_submission(running, anna, update=make_update(running.model, anna))  # type: ignore[arg-type]
    delete_model(model_id=running.model_id, user=running.actor)
    assert sent_to(anna) == ["CLIENT_REMOVED"]
    assert not any((Training.objects.exists(), GlobalModel.objects.exists(), LocalModel.objects.exists()))
    with pytest.raises(EntityNotFound):
        delete_model(model_id=running.model_id, user=running.actor)


def test_a_model_whose_training_is_registered_meanwhile_stays(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(owner)
    lock = lock_model

    def register_first(model_id: UUID) -> Any:
        make_training(owner, model=model)
        return lock(model_id)

    monkeypatch.setattr(trainings, "lock_model", register_first)
    with pytest.raises(Conflict, match="registered at the same moment"):
        delete_model(model_id=model.pk, user=owner)
    assert GlobalModel.objects.filter(pk=model.pk).exists()


def test_a_participant_and_an_outsider_delete_nothing_of_others(running: Training, anna: User) -> None:
    update = make_update(running.model, running.actor)  # type: ignore[arg-type]
    for user in (anna, make_user("outsider")):
        for model in (running.model, update):
            with pytest.raises(NotAllowed):
                delete_model(model_id=model.pk, user=user)


def test_who_deletes_its_own_update_is_asked_again(running: Training, anna: User) -> None:
    update = make_update(running.model, anna)  # type: ignore[arg-type]
    make_submission(running, anna, update=update)
    delete_model(model_id=update.pk, user=anna)
    assert submissions(running) == []
    assert rounds_told_to(anna) == [("UPDATE_ROUND_START", 0)]
    (event,) = events_of(running, EventKind.UPDATE_DELETED)
    assert (event.user, event.author) == (anna, anna)


@pytest.mark.parametrize("is_counted", [False, True])
def test_an_update_is_needed_only_while_a_claimed_round_counts_it(
    running: Training, anna: User, is_counted: bool
) -> None:
    early = make_update(running.model, anna)  # type: ignore[arg-type]
    make_submission(running, anna, round=1, update=early, is_counted=is_counted)
    if not is_counted:  # the claim is on another round
        mark_claimed(running, lease_in=60)
    delete_model(model_id=early.pk, user=anna)
    assert submissions(running) == []


def test_nobody_is_asked_again_in_a_failed_training(running: Training, anna: User) -> None:
    update = make_update(running.model, anna)  # type: ignore[arg-type]
    make_submission(running, anna, update=update)
    mark_failed(running)
    delete_model(model_id=update.pk, user=running.actor)
    assert (submissions(running), sent_to(anna)) == ([], [])


def test_what_is_being_aggregated_or_trained_on_stays(running: Training, anna: User) -> None:
    update = make_update(running.model, anna)  # type: ignore[arg-type]
    passed = make_update(running.model, anna, passed_to=anna)  # type: ignore[arg-type]
    make_submission(running, anna, update=update)
    mark_claimed(running, lease_in=60)
    for model in (update, passed):
        with pytest.raises(InvalidRequest, match="Delete it after the round"):
            delete_model(model_id=model.pk, user=running.actor)
    assert LocalModel.objects.count() == 2


def test_an_edit_is_in_the_history_and_another_shape_needs_other_statistics(owner: User) -> None:
    model = make_model(owner, stats={"total_params": 8}, input_shape=[None, 3])
    edit_model(model_id=model.pk, user=owner, values={"name": "better"})
    model.refresh_from_db()
    assert (model.name, model.stats) == ("better", {"total_params": 8})
    edit_model(model_id=model.pk, user=owner, values={"input_shape": [1, 3]})
    model.refresh_from_db()
    assert (model.input_shape, model.stats) == ([1, 3], None)
    first, second = model.events.all()
    assert (first.author, first.figures) == (owner, {"values": {"name": "better"}})
    assert second.figures == {"values": {"input_shape": [1, 3]}}


def test_only_some_columns_are_edited_and_only_by_who_manages_the_model(running: Training, anna: User) -> None:
    with pytest.raises(ValueError, match="Only description, input_shape, name"):
        edit_model(model_id=running.model_id, user=running.actor, values={"round": 7})
    for user in (anna, make_user("outsider")):
        with pytest.raises(NotAllowed):
            edit_model(model_id=running.model_id, user=user, values={"name": "mine"})
    edit_model(model_id=running.model_id, user=make_staff(), values={"name": "ours"})
    assert GlobalModel.objects.get().name == "ours"


@pytest.mark.django_db(transaction=True)
def test_another_preprocessing_replaces_the_first_with_its_file() -> None:
    owner = make_user("owner")
    model = make_model(owner)
    before = stored_files()
    for _ in range(2):
        set_preprocessing(model_id=model.pk, user=owner, file=uploaded(scripted_clamp()))
    assert len(stored_files() - before) == 1
    found = GlobalModel.objects.get()
    assert found.preprocessing == scripted_clamp()
    assert found.get_preprocessing_torch_model()(torch.tensor([7.0])).tolist() == [1.0]


def test_only_the_owner_sets_the_preprocessing_of_a_global_model(running: Training, anna: User) -> None:
    update = make_update(running.model, anna)  # type: ignore[arg-type]
    before = stored_files()
    with pytest.raises(InvalidRequest, match="local model"):
        set_preprocessing(model_id=update.pk, user=anna, file=uploaded(scripted_clamp()))
    for user in (anna, make_user(is_staff=True)):
        with pytest.raises(NotAllowed, match="not the owner of model"):
            set_preprocessing(model_id=running.model_id, user=user, file=uploaded(scripted_clamp()))
    with pytest.raises(InvalidFile, match="preprocessing"):
        set_preprocessing(model_id=running.model_id, user=running.actor, file=uploaded(b"text"))
    assert stored_files() == before
