"""The names that other code imports, and the rows as scripts and shells use them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch
from celery import Task
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from rest_framework.exceptions import ParseError

from fl_server_api.utils import get_entity
from fl_server_core.models import GlobalModel, LocalModel, MeanModel, Metric, Model, SWAGModel, Training, User
from fl_server_core.models.model import clone_model
from fl_server_core.models.training import AggregationMethod, TrainingState, UncertaintyMethod, post_save_training
from tests.builders.files import flat, linear, saved, saved_vector, scripted_clamp
from tests.builders.rows import make_model, make_training, make_user

NAMES = {
    "fl_server_core.models": "GlobalModel LocalModel MeanModel SWAGModel Metric Model Training User",
    "fl_server_core.models.training": ("AggregationMethod Training TrainingState UncertaintyMethod post_save_training"),
    "fl_server_core.models.model": "clone_model",
    "fl_server_core.utils.torch_serialization": (
        "from_torch_module to_torch_module from_torch_tensor to_torch_tensor from_torch_module_or_tensor "
        "to_torch_module_or_tensor is_torchscript_instance"
    ),
    "fl_server_ai.aggregation": "Aggregation MeanAggregation get_aggregation_class",
    "fl_server_ai.aggregation.mean": "MeanAggregation",
    "fl_server_ai.uncertainty": ("UncertaintyBase NoneUncertainty Ensemble MCDropout SWAG get_uncertainty_class"),
    "fl_server_ai.trainer": "ModelTrainer TrainerOptions process_trainer_task",
    "fl_server_ai.notification": (
        "Notification NotificationType TrainingRoundStartNotification TrainingFinishedNotification"
    ),
    "fl_server_api.serializers.generic": "",
    "fl_server_api.serializers.model": "",
    "fl_server_api.serializers.training": "CreateTrainingRequest",
    "fl_server_api.serializers.user": "",
    "fl_server_api.utils": "get_entity",
}


@pytest.mark.parametrize("module", NAMES)
def test_names_are_where_other_code_imports_them_from(module: str) -> None:
    found = import_module(module)
    assert [name for name in NAMES[module].split() if not hasattr(found, name)] == []


def test_the_enumerations_have_their_members() -> None:
    assert {member.name: member.value for member in TrainingState} == {
        "INITIAL": "I",
        "ONGOING": "O",
        "COMPLETED": "C",
        "ERROR": "E",
        "SWAG_ROUND": "S",
    }
    assert {member.name: member.value for member in AggregationMethod} == {
        "FED_AVG": "FedAvg",
        "FED_DC": "FedDC",
        "FED_PROX": "FedProx",
    }
    assert [member.name for member in UncertaintyMethod] == ["NONE", "ENSEMBLE", "MC_DROPOUT", "SWAG"]
    assert all(member.name == member.value for member in UncertaintyMethod)


FIELDS: dict[str, tuple[type[models.Field[Any, Any]], dict[str, Any]]] = {
    "id": (models.UUIDField, {"primary_key": True, "editable": False}),
    "model": (models.OneToOneField, {"related_model": Model}),
    "actor": (models.ForeignKey, {"related_model": User}),
    "participants": (models.ManyToManyField, {"related_model": User}),
    "state": (models.CharField, {"max_length": 1, "default": TrainingState.INITIAL}),
    "target_num_updates": (models.IntegerField, {}),
    "last_update": (models.DateTimeField, {"auto_now": True}),
    "uncertainty_method": (models.CharField, {"max_length": 32, "default": UncertaintyMethod.NONE}),
    "aggregation_method": (models.CharField, {"max_length": 32, "default": AggregationMethod.FED_AVG}),
    "options": (models.JSONField, {"default": dict, "encoder": DjangoJSONEncoder}),
    "locked": (models.BooleanField, {"default": False}),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_training_has_its_fields(name: str) -> None:
    kind, attributes = FIELDS[name]
    field = Training._meta.get_field(name)
    assert isinstance(field, kind)
    assert {key: getattr(field, key) for key in attributes} == attributes


def test_related_rows_go_with_what_they_belong_to() -> None:
    for name in ("model", "actor"):
        field = Training._meta.get_field(name)
        assert isinstance(field, models.ForeignKey)
        assert field.remote_field.on_delete is models.CASCADE
    assert Training._meta.get_field("actor").remote_field.related_name == "actors"
    columns: Any = [Metric._meta.get_field(name) for name in ("key", "identifier")]
    lengths = {column.name: column.max_length for column in columns}
    assert lengths == {"key": 32, "identifier": 64}


pytestmark = pytest.mark.django_db


def make(kind: Any, **fields: Any) -> Any:
    """`kind.objects.create`, to whose types the properties for bytes are unknown."""
    return kind.objects.create(**fields)


def test_rows_are_made_of_bytes(owner: User) -> None:
    model = make(
        GlobalModel, owner=owner, name="a", description="b", weights=b"weights", preprocessing=b"preprocessing"
    )
    update = make(LocalModel, owner=owner, base_model=model, sample_size=1, weights=b"update")
    swag = make(
        SWAGModel,
        owner=owner,
        name="s",
        weights=b"weights",
        swag_first_moment=saved_vector(1.0),
        swag_second_moment=saved_vector(1.0, 4.0),
    )
    found = Model.objects.get(pk=model.pk)
    assert isinstance(found, GlobalModel)
    assert (found.weights, found.preprocessing) == (b"weights", b"preprocessing")
    assert Model.objects.get(pk=update.pk).weights == b"update"
    moments = SWAGModel.objects.get(pk=swag.pk)
    assert moments.swag_first_moment == saved_vector(1.0)
    assert (moments.first_moment.tolist(), moments.second_moment.tolist()) == ([1.0], [1.0, 4.0])


def test_a_model_without_weights_has_none(owner: User) -> None:
    for kind in (GlobalModel, SWAGModel, MeanModel):
        model = kind.objects.create(owner=owner, name="a")
        assert (model.weights, model.preprocessing) == (None, None)
        with pytest.raises(ValueError, match="has no weights"):
            model.get_torch_model()
    with pytest.raises(ValueError, match="has no preprocessing"):
        model.get_preprocessing_torch_model()


def test_weights_that_are_saved_make_the_next_version(owner: User) -> None:
    model = make(GlobalModel, owner=owner, name="a", weights=saved(linear(1.0)))
    model.set_torch_model(linear(2.0))
    assert GlobalModel.objects.get().versions.count() == 1  # until it is saved
    model.save()
    model.save()
    found = GlobalModel.objects.get()
    assert [version.number for version in found.versions.all()] == [0, 1]
    assert flat(found.get_torch_model()).tolist() == [2.0] * 8
    first = found.versions.get(number=0)
    assert first.weights_file.name != found.current_version.weights_file.name  # type: ignore[union-attr]


def test_an_update_s_weights_are_set_and_saved(owner: User) -> None:
    base = make_model(owner)
    update = LocalModel(owner=owner, base_model=base, sample_size=1)
    update.set_torch_model(linear(3.0))
    update.save()
    assert flat(LocalModel.objects.get().get_torch_model()).tolist() == [3.0] * 8


def test_a_preprocessing_is_loaded_as_a_module(owner: User) -> None:
    model = make_model(owner, preprocessing=scripted_clamp())
    limited = model.get_preprocessing_torch_model()(torch.tensor([-1.0, 0.5, 2.0]))
    assert limited.tolist() == [0.0, 0.5, 1.0]


def test_moments_are_set_as_tensors_and_belong_to_the_version(owner: User) -> None:
    model = make(SWAGModel, owner=owner, name="s", weights=b"first")
    with pytest.raises(ValueError, match="has no swag_first_moment"):
        _ = model.first_moment
    model.first_moment, model.second_moment = torch.tensor([1.0]), torch.tensor([2.0])
    model.save()
    assert model.versions.count() == 1
    assert [part.name for part in model.versions.get().files.all()] == ["first_moment", "second_moment"]
    model.weights = b"second"
    model.save()
    found = SWAGModel.objects.get()
    assert (found.versions.count(), found.weights) == (2, b"second")
    assert found.second_moment.tolist() == [2.0]  # the newest that there are


def test_models_know_what_they_are_and_their_training(owner: User) -> None:
    training = make_training(owner)
    update = make(LocalModel, owner=owner, base_model=training.model, sample_size=1)
    model = Model.objects.get(pk=training.model_id)
    assert (model.is_global_model(), model.is_local_model()) == (True, False)
    assert (update.is_global_model(), update.is_local_model()) == (False, True)
    assert model.get_training() == update.get_training() == training
    assert make_model(owner).get_training() is None


def test_a_clone_has_the_same_file_and_moments_and_no_metrics(owner: User) -> None:
    model = make(
        SWAGModel,
        owner=owner,
        name="s",
        round=3,
        input_shape=[None, 3],
        weights=b"w",
        swag_first_moment=saved_vector(1.0),
    )
    model.weights = b"newer"
    model.save()
    Metric.objects.create(model=model, key="loss", value_float=1.0)
    copy = clone_model(model)
    assert isinstance(copy, SWAGModel)
    assert copy.pk != model.pk
    assert (copy.name, copy.round, copy.input_shape, copy.weights) == ("s", 3, [None, 3], b"newer")
    assert copy.swag_first_moment == saved_vector(1.0)
    assert [version.number for version in copy.versions.all()] == [0]
    assert copy.weights_file is not None
    assert model.weights_file is not None
    assert copy.weights_file.name == model.weights_file.name
    assert not copy.metrics.exists()


def test_a_clone_of_a_mean_has_the_same_members(owner: User) -> None:
    members = [make_model(owner) for _ in range(2)]
    mean = MeanModel.objects.create(owner=owner, name="m")
    mean.models.set(members)
    copy = clone_model(mean)
    assert isinstance(copy, MeanModel)
    assert set(copy.models.all()) == set(members)


def test_a_daisy_chained_training_needs_more_rounds_from_its_creation(owner: User) -> None:
    training = make_training(owner, target_num_updates=3, options={"daisy_chain_period": 4})
    training.save()
    assert Training.objects.get().target_num_updates == 12
    post_save_training(Training, training, created=True, raw=True)
    post_save_training(Training, training, created=False)
    assert training.target_num_updates == 12
    post_save_training(Training, training, created=True)
    assert Training.objects.get().target_num_updates == 48


def test_methods_are_found_for_a_name_a_training_or_a_model(owner: User) -> None:
    aggregation, uncertainty = import_module("fl_server_ai.aggregation"), import_module("fl_server_ai.uncertainty")
    training = make_training(owner, aggregation_method="FedProx", uncertainty_method="MC_DROPOUT")
    model = GlobalModel.objects.get()
    for subject in ("FedProx", training, model):
        assert aggregation.get_aggregation_class(subject).name == "FedProx"
    for subject in (training, model):
        assert uncertainty.get_uncertainty_class(subject) is uncertainty.MCDropout
    with pytest.raises(ValueError, match="has no training"):
        aggregation.get_aggregation_class(make_model(owner))


def test_the_trainer_s_task_takes_a_training_s_id(owner: User) -> None:
    trainer = import_module("fl_server_ai.trainer")
    training = make_training(owner, [make_user()], state="O")
    assert isinstance(trainer.process_trainer_task, Task)
    trainer.process_trainer_task(str(training.pk))
    assert training.rounds.get().is_open
    assert trainer.TrainerOptions.from_dict({"skip_model_tests": True}).skip_model_tests is True


def test_an_entity_that_is_not_there_is_a_parse_error(owner: User) -> None:
    assert get_entity(User, pk=owner.pk) == owner
    with pytest.raises(ParseError, match=r"^User 7 not found\.$"):
        get_entity(User, pk=7)
