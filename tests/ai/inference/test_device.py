"""Models asked on another device than the CPU.

There is no GPU where these tests run. `cpu:0` is a device to everything but torch, which takes it for the CPU: it goes
the whole way of one. Tensors on `meta` hold no numbers, and don't mix with those on the CPU: what isn't moved is seen.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from pytest_django import Settings
from rest_framework.test import APIClient

from fl_server_ai.inference import server_sandbox
from fl_server_ai.inference.decode import decode_input
from fl_server_ai.inference.predict import predict
from fl_server_ai.inference.sandboxed.predict import predict as predict_there
from fl_server_ai.sandbox import WALLS_IN_THE_WAY, Device, DeviceFailed, NeedsAllWalls, devices, find_device
from fl_server_core.models import Model, User
from tests.ai.sandbox.sandboxes import new_sandbox, prediction
from tests.builders.files import linear, saved, script
from tests.builders.rows import make_model

ROWS = [[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]]
LIKE_A_GPU = Device("cpu:0")


def ask(model: Model) -> dict[str, Any]:
    return predict(user=model.owner, model=model, model_input=decode_input(ROWS)).to_json()


def sandboxes() -> set[Device]:
    return set(server_sandbox._holder.sandboxes)


@pytest.mark.django_db
@pytest.mark.usefixtures("no_process_is_left")
def test_a_pickled_model_runs_on_the_device_and_a_script_behind_all_walls(owner: User, settings: Settings) -> None:
    server_sandbox.close_sandbox()
    pickled, scripted = make_model(owner, weights=linear(1.0)), make_model(owner, weights=script(linear(1.0)))
    expected = ask(pickled)
    assert sandboxes() == {server_sandbox.ON_CPU}
    server_sandbox.close_sandbox()
    settings.FL_INFERENCE_DEVICE = LIKE_A_GPU.name
    assert ask(pickled) == expected
    assert sandboxes() == {LIKE_A_GPU}
    setup = server_sandbox.get_sandbox(LIKE_A_GPU)._zygote._setup
    assert (setup.device, setup.without) == (LIKE_A_GPU.name, WALLS_IN_THE_WAY)
    assert ask(scripted) == expected
    assert sandboxes() == {LIKE_A_GPU, server_sandbox.ON_CPU}
    assert server_sandbox.get_sandbox()._zygote._setup.without == ()


@pytest.mark.skipif(torch.cuda.is_available(), reason="This machine has a GPU.")
@pytest.mark.django_db
def test_without_the_device_there_is_a_sentence_and_auto_takes_the_cpu(owner: User, settings: Settings) -> None:
    model = make_model(owner, weights=linear(1.0))
    settings.FL_INFERENCE_DEVICE = "auto"
    assert ask(model)["inference"]
    settings.FL_INFERENCE_DEVICE = "cuda:1"
    with pytest.raises(DeviceFailed):
        ask(model)
    client = APIClient()
    client.force_authenticate(owner)
    answer = client.post("/api/inference/", {"model_id": str(model.pk), "model_input": ROWS}, format="json")
    assert answer.status_code == 503
    assert "FL_INFERENCE_DEVICE" in answer.json()["detail"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="This machine has a GPU.")
def test_a_process_whose_device_does_not_start_says_so_and_answers_again() -> None:
    sandbox = new_sandbox(device="cuda", without=WALLS_IN_THE_WAY)
    try:
        for _ in range(2):
            with pytest.raises(DeviceFailed):
                sandbox.run(prediction(saved(linear())), tenant="first")
    finally:
        sandbox.close()


def test_a_process_with_a_device_runs_no_script() -> None:
    sandbox = new_sandbox(device="cpu:0", without=WALLS_IN_THE_WAY)
    try:
        with pytest.raises(NeedsAllWalls):
            sandbox.run(prediction(saved(script(linear()))), tenant="first")
    finally:
        sandbox.close()


@pytest.mark.parametrize("method", ["NONE", "ENSEMBLE", "MC_DROPOUT", "SWAG"])
def test_every_method_computes_on_the_device_and_answers_from_the_cpu(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[torch.device] = []

    def copy_of_nothing(tensor: torch.Tensor) -> torch.Tensor:
        copied.append(tensor.device)
        return torch.zeros(tensor.shape, dtype=tensor.dtype, device="cpu")

    monkeypatch.setattr(devices, "_current", "meta")
    monkeypatch.setattr(torch.Tensor, "cpu", copy_of_nothing)
    layers = [torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(), torch.nn.Linear(4, 2)) for _ in range(2)]
    count = sum(parameter.numel() for parameter in layers[0].parameters())
    models = {str(number): model.eval() for number, model in enumerate(layers[: 1 + (method == "ENSEMBLE")])}
    arrays = {"input": np.zeros((5, 3), np.float32)}
    moments = {"first_moment": np.zeros(count), "second_moment": np.ones(count)} if method == "SWAG" else {}
    options = {"method": method, "uncertainty": {"N": 3}, "input_shape": [None, 3]}
    preprocessing = {"preprocessing": torch.nn.Linear(3, 3).eval()}
    said, found = predict_there({**models, **preprocessing}, {**arrays, **moments}, options)
    assert torch.device("meta") in copied
    assert found["inference"].shape[0] == 5
    assert ("variance" in said["measures"]) == (method != "NONE")


def test_the_cpu_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "command", None)
    assert find_device("cpu") == Device("cpu")
