"""Methods on modules of torch, as a script in a trusted shell uses them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fl_server_ai.aggregation import Aggregation, MeanAggregation, get_aggregation_class
from fl_server_ai.aggregation.mean import MeanAggregation as FromMean
from fl_server_core.models.training import AggregationMethod
from tests.ai.aggregation.models import Bag, bag


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False))


def test_the_mean_is_weighted_by_sample_size_for_buffers_too() -> None:
    models = [network() for _ in range(3)]
    for steps, model in enumerate(models):
        model(torch.randn(8, 3) * steps)
        model.load_state_dict(model.state_dict() | {"1.num_batches_tracked": torch.tensor(10 * steps)})
    before = [value.clone() for value in models[0].state_dict().values()]
    result = MeanAggregation().aggregate(models, [1, 2, 5])
    states = [model.state_dict() for model in models]
    for name, tensor in result.state_dict().items():
        expected = sum(n / 8 * state[name].double() for n, state in zip((1, 2, 5), states, strict=True))
        assert isinstance(expected, torch.Tensor)
        expected = expected.round() if tensor.dtype == torch.int64 else expected
        torch.testing.assert_close(tensor, expected.to(tensor.dtype))
    assert result is not models[0]
    for value, old in zip(models[0].state_dict().values(), before, strict=True):
        assert torch.equal(value, old)


def test_without_a_copy_the_first_module_takes_the_result() -> None:
    models = [bag([1.0]), bag([4.0])]
    assert MeanAggregation().aggregate(models, [2, 1], deepcopy=False) is models[0]
    assert models[0].state_dict()["w"].tolist() == [2]


@pytest.mark.parametrize(
    "dtype",
    [torch.float64, torch.float16, torch.bfloat16, torch.float8_e5m2, torch.complex64, torch.int16, torch.uint8],
    ids=str,
)
def test_all_types_of_tensors_have_a_mean(dtype: torch.dtype) -> None:
    models = [Bag({}, {"x": torch.tensor([[1, 2]]).to(dtype)}), Bag({}, {"x": torch.tensor([[3, 8]]).to(dtype)})]
    found = MeanAggregation().aggregate(models, [1, 1]).state_dict()["x"]
    assert (found.dtype, found.shape) == (dtype, (1, 2))
    assert found.to(torch.complex64).tolist() == [[2, 5]]


def test_scalars_empty_and_turned_tensors_keep_their_shapes() -> None:
    def model(value: float) -> nn.Module:
        turned = torch.tensor([[value, 2 * value], [3 * value, 4 * value]]).t()
        return Bag({}, {"one": torch.tensor(value), "none": torch.ones(0, 3), "turned": turned})

    found = MeanAggregation().aggregate([model(1.0), model(3.0)], [1, 1]).state_dict()
    assert found["one"].tolist() == 2
    assert found["none"].shape == (0, 3)
    assert found["turned"].tolist() == [[2, 6], [4, 8]]


@pytest.mark.parametrize(
    ("models", "sizes"),
    [
        ([], []),
        ([bag([1.0])], []),
        ([bag([1.0])], [0]),
        ([bag([1.0]), bag([1.0])], [1]),
        ([bag([1.0]), bag([1.0, 2.0])], [1, 1]),
        ([bag([1.0]), bag([1.0], torch.float64)], [1, 1]),
        ([bag([1.0]), nn.Linear(1, 1)], [1, 1]),
    ],
)
def test_what_does_not_fit_is_refused(models: list[Any], sizes: list[int]) -> None:
    with pytest.raises(ValueError):
        MeanAggregation().aggregate(models, sizes)


def test_the_public_names_lead_to_the_classes() -> None:
    assert FromMean is MeanAggregation is get_aggregation_class("FedAvg")
    assert {get_aggregation_class(str(method)).name for method in AggregationMethod} == {"FedAvg", "FedDC", "FedProx"}
    assert issubclass(MeanAggregation, Aggregation)
    with pytest.raises(ValueError, match="Unknown aggregation method 'x'"):
        get_aggregation_class("x")
