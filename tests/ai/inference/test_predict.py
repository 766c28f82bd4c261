"""Models' rows asked for inferences, statistics and files."""

from __future__ import annotations

import io
import math
import os
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from fl_server_ai.inference.decode import decode_input
from fl_server_ai.inference.predict import Prediction, predict
from fl_server_ai.inference.server_sandbox import close_sandbox, get_sandbox
from fl_server_ai.sandbox import InvalidInput, ModelRunError
from fl_server_core.models import GlobalModel, Model, SWAGModel, User
from tests.ai.sandbox import hostile
from tests.builders.files import linear, saved, saved_vector, script
from tests.builders.rows import make_mean_model, make_model, make_training, make_update
from tests.builders.storage import make_newer

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("no_process_is_left")]

ROWS = [[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]]


def ask(model: Model, rows: object = ROWS) -> dict[str, Any]:
    return predict(user=model.owner, model=model, model_input=decode_input(rows)).to_json()


def train(model: GlobalModel, method: str, **uncertainty: Any) -> None:
    options = {"uncertainty": uncertainty} if uncertainty else {}
    make_training(model.owner, model=model, uncertainty_method=method, options=options)


def uneven() -> torch.nn.Module:
    """3 → 2; the second output is the larger one for positive inputs."""
    model = torch.nn.Linear(3, 2, bias=False)
    model.weight = torch.nn.Parameter(torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    return model


@pytest.mark.parametrize("wrap", [lambda model: model, script], ids=["pickled", "scripted"])
def test_a_model_without_a_training_answers_with_the_most_likely_class(owner: User, wrap: Any) -> None:
    assert ask(make_model(owner, weights=wrap(uneven()))) == {"inference": [1, 1], "uncertainty": {}}


def test_integers_are_converted_and_preprocessing_comes_first(owner: User) -> None:
    negate = torch.nn.Linear(3, 3, bias=False)
    negate.weight = torch.nn.Parameter(-torch.eye(3))
    model = make_model(owner, weights=uneven(), preprocessing=saved(negate))
    assert ask(model, [[1, 1, 1], [-1, -1, -1]])["inference"] == [0, 1]


def test_the_preprocessed_input_is_what_must_fit_the_input_shape(owner: User) -> None:
    flatten = saved(torch.nn.Flatten())
    model = make_model(owner, weights=uneven(), preprocessing=flatten, input_shape=[None, 3])
    assert ask(model, [[[1.0], [1.0], [1.0]]])["inference"] == [1]
    with pytest.raises(InvalidInput, match=r"has the shape \[1, 2\]; its input_shape is \[\?, 3\]"):
        ask(model, [[[1.0], [1.0]]])


def test_input_that_the_model_cannot_take_is_refused_with_its_own_words(owner: User) -> None:
    with pytest.raises(
        ModelRunError, match=r"^The model failed: mat1 and mat2 shapes cannot be multiplied \(1x2 and 3x2\)"
    ):
        ask(make_model(owner, weights=uneven()), [[1.0, 2.0]])
    with pytest.raises(ModelRunError, match=r"shapes cannot be multiplied"):
        ask(make_model(owner, weights=script(uneven())), [[1.0, 2.0]])
    with pytest.raises(ModelRunError, match="dimension 1"):
        ask(make_model(owner, weights=uneven()), [1.0, 2.0, 3.0])


def test_eval_mode_is_on_under_none(owner: User) -> None:
    model = torch.nn.Sequential(torch.nn.Dropout(0.999), uneven())
    assert ask(make_model(owner, weights=model.train())) == {"inference": [1, 1], "uncertainty": {}}


def test_mc_dropout_answers_with_mean_and_spread(owner: User) -> None:
    model = make_model(owner, weights=torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Identity()))
    train(model, "MC_DROPOUT", N=1000)
    answer = ask(model, [[1.0, 0.0]])
    # 2 · Bernoulli(1/2): mean 1, variance 1; a dropped zero is a zero.
    assert answer["inference"][0] == pytest.approx([1.0, 0.0], abs=6 / 1000**0.5)
    # For a share p of ones, 4p(1 - p): six deviations from 1/2 make it 0.036 less than 1.
    assert answer["uncertainty"]["variance"][0] == pytest.approx([1.0, 0.0], abs=0.036)
    assert set(answer["uncertainty"]) == {"variance", "std"}


def test_softmax_makes_probabilities_of_outputs_and_adds_the_entropies(owner: User) -> None:
    model = make_model(owner, weights=torch.nn.Sequential(torch.nn.Dropout(0.5), uneven()))
    train(model, "MC_DROPOUT", softmax=True)
    answer = ask(model)
    assert [sum(row) for row in answer["inference"]] == pytest.approx([1.0, 1.0], abs=1e-5)
    assert set(answer["uncertainty"]) == {"variance", "std", "predictive_entropy", "expected_entropy", "mutual_info"}
    assert all(0 <= value <= math.log(2) + 1e-6 for value in answer["uncertainty"]["predictive_entropy"])


def test_with_one_sample_variance_and_std_are_null(owner: User) -> None:
    model = make_model(owner, weights=uneven())
    train(model, "MC_DROPOUT", N=1)
    answer = ask(model)
    assert answer["uncertainty"]["variance"] is None
    assert answer["uncertainty"]["std"] is None


@pytest.mark.parametrize("wrap", [lambda model: model, script], ids=["pickled", "scripted"])
def test_swag_answers_with_the_gaussian_of_the_moments(owner: User, wrap: Any) -> None:
    # y = x · w with w ~ N(2, 0.25), x = 3: mean 6, variance 2.25; with scale 2 four times that.
    count = 1000
    weights = wrap(torch.nn.Linear(1, 1, bias=False))
    moments: dict[str, Any] = {"swag_first_moment": saved_vector(2.0), "swag_second_moment": saved_vector(4.25)}
    model = make_model(owner, SWAGModel, weights=weights, **moments)
    train(model, "SWAG", N=count, scale=2.0)
    answer = ask(model, [[3.0]])
    assert answer["inference"][0][0] == pytest.approx(6.0, abs=6 * 3 / count**0.5)
    assert answer["uncertainty"]["variance"][0][0] == pytest.approx(9.0, rel=6 * (2 / count) ** 0.5)


def test_a_local_model_under_swag_has_its_own_weights_and_the_global_spread(owner: User) -> None:
    base = make_model(
        owner,
        SWAGModel,
        weights=torch.nn.Linear(1, 1, bias=False),
        swag_first_moment=saved_vector(2.0),
        swag_second_moment=saved_vector(4.25),
    )
    train(base, "SWAG", N=1000)
    update = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(update.weight, 10.0)
    local = make_update(base, base.owner, weights=saved(update))
    answer = ask(local, [[3.0]])
    assert answer["inference"][0][0] == pytest.approx(30.0, abs=6 * 1.5 / 1000**0.5)
    assert answer["uncertainty"]["variance"][0][0] == pytest.approx(2.25, rel=6 * (2 / 1000) ** 0.5)


def test_swag_before_its_first_round_says_so(owner: User) -> None:
    model = make_model(owner, SWAGModel, weights=uneven())
    train(model, "SWAG")
    with pytest.raises(ModelRunError, match="no SWAG moments yet"):
        ask(model)


def test_a_mean_model_is_an_ensemble_of_its_members_without_a_training(owner: User) -> None:
    mean = make_mean_model(owner)
    mean.models.set([make_model(owner, weights=linear(value)) for value in (1.0, 2.0, 6.0)])
    answer = ask(mean, [[1.0, 1.0, 1.0]])
    # Outputs 4, 8, 24: mean 12, squares of the differences 64 + 16 + 144 = 224, over 2.
    assert answer["inference"] == [[12.0, 12.0]]
    assert answer["uncertainty"]["variance"] == [[112.0, 112.0]]


def scaling(factor: float) -> torch.nn.Module:
    layer = torch.nn.Linear(3, 3, bias=False)
    layer.weight = torch.nn.Parameter(factor * torch.eye(3))
    return layer


def test_the_members_of_a_mean_are_asked_through_their_own_preprocessing(owner: User) -> None:
    mean = make_mean_model(owner)
    members = [
        make_model(owner, weights=linear(1.0), preprocessing=saved(scaling(2.0))),
        make_model(owner, weights=linear(1.0), preprocessing=saved(scaling(4.0))),
        make_model(owner, weights=linear(1.0)),
    ]
    mean.models.set(members)
    # 3 · 2 + 1, 3 · 4 + 1 and 3 + 1.
    assert ask(mean, [[1.0, 1.0, 1.0]])["inference"] == [[8.0, 8.0]]
    for member in members:
        assert ask(member, [[1.0, 1.0, 1.0]])["inference"] == [0]


def test_a_preprocessing_of_the_mean_itself_is_that_of_all_members(owner: User) -> None:
    mean = make_mean_model(owner, preprocessing=saved(scaling(10.0)))
    mean.models.set([make_model(owner, weights=linear(1.0), preprocessing=saved(scaling(2.0)))])
    assert ask(mean, [[1.0, 1.0, 1.0]])["inference"] == [[31.0, 31.0]]


def test_a_mean_model_of_members_that_were_all_deleted_says_so(owner: User) -> None:
    with pytest.raises(ModelRunError, match="has no members"):
        ask(make_mean_model(owner))


@pytest.mark.parametrize("content", [saved(linear(3.0)), saved(script(linear(3.0)))], ids=["pickled", "scripted"])
def test_a_local_model_runs_with_its_own_weights_and_its_base_models_training(owner: User, content: bytes) -> None:
    base = make_model(owner, weights=linear(1.0), input_shape=[None, 3])
    train(base, "MC_DROPOUT", N=2)
    local = make_update(base, base.owner, weights=content)
    assert ask(local, [[1.0, 1.0, 1.0]])["inference"] == [[12.0, 12.0]]
    with pytest.raises(InvalidInput):
        ask(local, [[1.0]])


def test_an_update_that_is_a_bare_state_dict_runs_in_its_base_models_module(owner: User) -> None:
    base = make_model(owner, weights=uneven())
    buffer = io.BytesIO()
    torch.save({"weight": torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])}, buffer)
    local = make_update(base, base.owner, weights=buffer.getvalue())
    assert ask(local)["inference"] == [0, 0]


def test_non_finite_numbers_are_null_in_json(owner: User) -> None:
    model = make_model(owner, weights=torch.nn.Identity())
    train(model, "MC_DROPOUT", N=1)
    answer = ask(model, decode_input([[1e300, 2.0]]).arrays["input"].tolist())
    assert answer["inference"] == [[None, 2.0]]


def test_a_large_answer_is_given_as_a_file_but_not_as_json() -> None:
    most = Prediction(np.zeros(600_000, np.float32), {"std": np.zeros(400_000, np.float32), "variance": None})
    assert len(most.to_json()["inference"]) == 600_000
    too_many = Prediction(most.inference, {"std": np.zeros(400_001, np.float32), "variance": None})
    with pytest.raises(ModelRunError, match=r"1000001 numbers; as JSON at most 1000000 .* binary or torch"):
        too_many.to_json()
    assert pickle.loads(too_many.to_file("binary"))["uncertainty"]["std"].shape == (400_001,)


def test_the_files_of_an_answer_hold_its_tensors(owner: User) -> None:
    model = make_model(owner, weights=uneven())
    train(model, "MC_DROPOUT", N=1)
    prediction = predict(user=owner, model=model, model_input=decode_input(ROWS))
    for answer in (
        pickle.loads(prediction.to_file("binary")),
        torch.load(io.BytesIO(prediction.to_file("torch")), weights_only=True),
    ):
        torch.testing.assert_close(answer["inference"], torch.from_numpy(prediction.inference.copy()))
        assert answer["uncertainty"]["variance"] is None
        assert set(answer["uncertainty"]) == set(prediction.uncertainty)


def test_the_file_of_a_scalar_keeps_its_shape() -> None:
    prediction = Prediction(np.full((), 2.0, np.float32), {"std": np.ones((2, 0), np.float32)})
    answer = pickle.loads(prediction.to_file("binary"))
    assert answer["inference"].shape == ()
    assert answer["uncertainty"]["std"].shape == (2, 0)


def test_a_row_that_was_read_before_a_round_closed_answers_with_its_own_version(owner: User) -> None:
    model = make_model(owner, weights=linear(0.0))
    stale = GlobalModel.objects.get(pk=model.pk)
    make_newer(stale, saved(uneven()))
    assert ask(stale)["inference"] == [0, 0]
    assert ask(GlobalModel.objects.get(pk=model.pk))["inference"] == [1, 1]


def test_a_foreign_class_is_refused_with_the_setting_that_would_allow_it(owner: User) -> None:
    with pytest.raises(ModelRunError, match=r"names tests\.ai\.sandbox\.hostile\.Honest, .*FL_TRUSTED_GLOBALS"):
        ask(make_model(owner, weights=hostile.Honest()))


def test_a_trusted_class_is_run(owner: User, settings: Any) -> None:
    close_sandbox()
    settings.FL_TRUSTED_GLOBALS = ["tests.ai.sandbox.hostile.Honest"]
    try:
        model = make_model(owner, weights=hostile.Honest())
        train(model, "MC_DROPOUT", N=1)
        assert ask(model, [[1.0]])["inference"] == [[2.0]]
    finally:
        close_sandbox()


def test_the_web_process_does_not_import_torch() -> None:
    code = (
        "import django; django.setup(); import fl_server_ai.inference.predict, fl_server_ai.inference.statistics, sys;"
        "print('torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_environment())
    assert found.stdout.strip() == "False"


def test_threads_of_one_process_share_one_sandbox() -> None:
    assert get_sandbox() is get_sandbox()


def _environment() -> dict[str, str]:
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
