"""The statistics of a model's layers."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fl_server_ai.inference import statistics
from fl_server_ai.inference.statistics import layer_statistics
from fl_server_ai.sandbox import InvalidInput, ModelNotTrusted, ModelStopped, SandboxBusy, SandboxFailed
from fl_server_core.models import GlobalModel, Model, User
from tests.ai.sandbox import hostile
from tests.builders.files import linear, saved
from tests.builders.rows import make_mean_model, make_model, make_update

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_process_is_left")]


def test_statistics_are_those_of_torchinfo_computed_once(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(
        owner,
        weights=torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.ELU(), torch.nn.Linear(64, 2)),
        input_shape=[None, 3],
    )
    stats = layer_statistics(model)
    assert stats is not None
    rows = stats["summary_list"]
    assert [row["class_name"] for row in rows] == ["Sequential", "Linear", "ELU", "Linear"]
    assert len({row.pop("layer_id") for row in rows}) == 4
    assert rows[1] == {
        "class_name": "Linear", "depth": 1, "depth_index": 1, "executed": True, "var_name": "0", "is_leaf_layer": True,
        "contains_lazy_param": False, "is_recursive": False, "input_size": [1, 3], "output_size": [1, 64],
        "kernel_size": None, "trainable_params": 256, "num_params": 256, "param_bytes": 1024, "output_bytes": 256,
        "macs": 256,
    }  # fmt: skip
    assert (stats["input_size"], stats["total_params"], stats["total_mult_adds"]) == ([[1, 3]], 386, 386)
    monkeypatch.setattr(statistics, "run_models", None)
    again = layer_statistics(GlobalModel.objects.get(pk=model.pk))
    assert again is not None
    assert again["total_params"] == 386


def test_a_local_model_has_its_base_models_statistics(owner: User) -> None:
    base = make_model(owner, weights=linear(), input_shape=[None, 3])
    local = make_update(base, base.owner, weights=saved(linear()))
    assert layer_statistics(local) == layer_statistics(GlobalModel.objects.get(pk=base.pk))
    assert layer_statistics(local) is not None


def test_there_are_no_statistics_without_a_shape_of_a_mean_or_where_the_shape_is_wrong(owner: User) -> None:
    wrong = make_model(owner, weights=linear(), input_shape=[None, 7])
    for model in (make_model(owner, weights=linear()), make_mean_model(owner, input_shape=[3]), wrong):
        assert layer_statistics(model) is None
    assert GlobalModel.objects.get(pk=wrong.pk).stats == {}


def test_a_hostile_process_that_blames_the_input_has_no_statistics(
    owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(owner, weights=linear(), input_shape=[None, 3])

    def blame(_row: Model) -> dict[str, Any]:
        raise InvalidInput("it was not me")

    monkeypatch.setattr(statistics, "_computed", blame)
    assert layer_statistics(model) is None
    assert GlobalModel.objects.get(pk=model.pk).stats == {}


def test_that_a_model_took_too_long_is_not_kept(owner: User, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model(owner, weights=linear(), input_shape=[None, 3])

    def stop(_row: Model) -> dict[str, Any]:
        raise ModelStopped("too slow")

    monkeypatch.setattr(statistics, "_computed", stop)
    assert layer_statistics(model) is None
    assert GlobalModel.objects.get(pk=model.pk).stats is None


@pytest.mark.parametrize(
    "reason", [SandboxFailed(), SandboxBusy("There is no room."), ModelNotTrusted("names a class")]
)
def test_what_may_be_otherwise_the_next_time_is_not_kept(
    owner: User, monkeypatch: pytest.MonkeyPatch, reason: Exception
) -> None:
    model = make_model(owner, weights=linear(), input_shape=[None, 3])

    def refuse(_row: Model) -> dict[str, Any]:
        raise reason

    with monkeypatch.context() as patch:
        patch.setattr(statistics, "_computed", refuse)
        assert layer_statistics(model) is None
    assert layer_statistics(model) is not None


def test_a_class_that_is_not_trusted_leaves_the_question_open(owner: User) -> None:
    model = make_model(owner, weights=hostile.Honest(), input_shape=[None, 1])
    assert layer_statistics(model) is None
    assert GlobalModel.objects.get(pk=model.pk).stats is None
