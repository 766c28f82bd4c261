"""The example participant reads both formats of model files and writes what it read."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from fl_server_client import UnreadableModel
from fl_server_client.model_files import is_scripted, load_model, save_model, script

from examples.digits import build_model
from tests.builders.files import saved

pytestmark = pytest.mark.once


class Unknown(torch.nn.Module):
    """A class that is not of torch.nn."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)


class Malicious:
    """Would call a function when unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("unpickled",))


@pytest.mark.parametrize("scripted", [True, False])
def test_a_model_survives_in_its_own_format(scripted: bool) -> None:
    module: torch.nn.Module = build_model(1)
    data = save_model(script(module) if scripted else module)
    loaded = load_model(data)
    again = load_model(save_model(loaded))
    assert is_scripted(data) is scripted
    assert isinstance(again, torch.jit.ScriptModule) is scripted
    expected = module.state_dict()
    assert list(again.state_dict()) == list(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())


@pytest.mark.parametrize("scripted", [True, False])
def test_a_loaded_model_can_be_trained_with_dropout_and_asked_without(scripted: bool) -> None:
    module: torch.nn.Module = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Dropout(0.5))
    loaded = load_model(save_model(script(module) if scripted else module))
    inputs = torch.ones(1, 64)
    loaded.train()
    assert (loaded(inputs) == 0).any()
    loaded.eval()
    assert not (loaded(inputs) == 0).any()


@pytest.mark.parametrize(
    "module",
    [
        torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.GELU()),
        torch.nn.TransformerEncoderLayer(8, 2, batch_first=True),
        torch.nn.LSTM(3, 4, num_layers=2),
        torch.nn.ModuleDict({"a": torch.nn.Embedding(5, 3), "b": torch.nn.LayerNorm(3)}),
    ],
    ids=["convolution", "transformer", "lstm", "dictionary"],
)
def test_layers_of_torch_load_without_trust(module: torch.nn.Module) -> None:
    loaded = load_model(saved(module))
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), module.parameters(), strict=True))


def test_another_class_needs_trust() -> None:
    with pytest.raises(UnreadableModel, match="Unknown"):
        load_model(saved(Unknown()))
    assert isinstance(load_model(saved(Unknown()), trust=True), Unknown)


def test_a_pickle_that_calls_something_is_refused_and_calls_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnreadableModel):
        load_model(saved(Malicious()))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"garbage",
        pickle.dumps({"a": 1}),
        saved(torch.ones(2)),
        saved({"w": torch.ones(2)}),
        saved(build_model(0))[:5000],
    ],
    ids=["nothing", "garbage", "bare pickle", "tensor", "state_dict", "cut off"],
)
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableModel):
        load_model(data)


def test_several_threads_may_load_at_once() -> None:
    data = save_model(build_model(0))
    with ThreadPoolExecutor(4) as pool:
        loaded = list(pool.map(load_model, [data] * 40))
    assert len(loaded) == 40
