"""Norms, cosines, caps and clipping, on arrays and on files of every type."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fl_server_ai.aggregation import CannotAggregate, aggregate_files, get_aggregation_class
from fl_server_ai.aggregation.influence import capped, clipped, clipping_scales, difference, length
from fl_server_core.schema import AggregationOptions
from tests.ai.aggregation.models import aggregated, arrays, bag, written

HUGE = 2**63 - 1


def options(**given: Any) -> AggregationOptions:
    return AggregationOptions.model_validate(given)


@pytest.mark.parametrize(
    ("given", "sizes", "expected"),
    [
        ({}, [1, HUGE], [1, HUGE]),
        ({"equal_weights": True}, [1, HUGE], [1, 1]),
        ({"sample_size_factor": 2}, [10, 20, 30, HUGE], [10, 20, 30, 40]),
        ({"sample_size_factor": 1}, [10, HUGE], [10, 10]),
        ({"sample_size_factor": 1.5}, [7], [7]),
    ],
)
def test_sample_sizes_are_capped(given: dict[str, Any], sizes: list[int], expected: list[float]) -> None:
    once = capped(sizes, options(**given))
    assert list(once) == expected
    assert list(capped(once, options(**given))) == expected  # a second time changes nothing


def test_differences_beyond_the_bound_get_the_norm_of_the_bound() -> None:
    norms = np.array([[1.0, 2.0, 4.0, math.inf], [0.0, 0.0, 0.0, 8.0]])
    assert clipping_scales(norms, options(clipping_norm=3)).tolist() == [[1, 1, 0.75, 0], [1, 1, 1, 0.375]]
    assert clipping_scales(norms, options(clipping_factor=1.5)).tolist() == [[1, 1, 0.75, 0], [1, 1, 1, 0]]
    both = options(clipping_factor=1.5, clipping_norm=2.5)
    assert clipping_scales(norms, both)[0].tolist() == [1, 1, 0.625, 0]


def test_a_length_does_not_overflow_before_it_must() -> None:
    assert length(np.array([3e300, 4e300])) == pytest.approx(5e300)
    assert length(np.array([1.7e308] * 4)) == math.inf
    assert length(np.zeros(0)) == 0


def test_equal_bits_do_not_differ_and_are_not_clipped() -> None:
    update, current = np.array([-np.inf, np.nan, 5.0]), np.array([-np.inf, np.nan, 1.0])
    assert difference(update, current).tolist() == [0, 0, 4]
    assert clipped(update, current, 0.5).tolist() == pytest.approx([-math.inf, math.nan, 3.0], nan_ok=True)


FLOATS = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2, torch.complex64, torch.complex128,
]  # fmt: skip


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("method", ["FedAvg", "FedAdam"])
def test_every_float_type_is_clipped_parameters_and_buffers_each_by_themselves(
    tmp_path: Path, dtype: torch.dtype, method: str
) -> None:
    """Differences of (3, 4) and of 8 are clipped to norms of 2.5 and 2.5; integers are averaged as they are."""
    current = bag([1, 1], dtype, b=torch.tensor([2.0]).to(dtype), n=torch.tensor([0]))
    update = bag([4, 5], dtype, b=torch.tensor([10.0]).to(dtype), n=torch.tensor([7]))
    (template,) = written(tmp_path / "current", [current])
    extra = {"lr": 1.0, "beta1": 0.0, "beta2": 0.0, "tau": 1e-9} if method == "FedAdam" else {}
    found = aggregated(
        tmp_path, [update], method, template=template, options={"clipping_norm": 2.5, **extra}, state_out=tmp_path / "s"
    )
    # Adam without memory goes by the sign of the difference; complex numbers take no step.
    is_step = method == "FedAdam" and not dtype.is_complex
    assert [complex(value) for value in found["w"]] == pytest.approx([2, 2] if is_step else [2.5, 3], rel=1e-6)
    assert complex(found["b"][0]) == 4.5 if dtype != torch.float8_e5m2 else 4.0
    assert found["n"].tolist() == [7]


def test_without_bounds_and_below_them_every_bit_stays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    models = [torch.nn.Linear(30, 20) for _ in range(5)]
    for method in ("FedAvg", "Median", "TrimmedMean", "MultiKrum"):
        plain = aggregated(tmp_path, models, method)
        for bounds in ({"clipping_norm": 1e9}, {"clipping_factor": 1e6, "sample_size_factor": 1}):
            bounded = aggregated(tmp_path, models, method, options=bounds)
            assert [bounded[name].tobytes() for name in plain] == [array.tobytes() for array in plain.values()]


def test_an_update_counts_as_if_it_had_been_uploaded_clipped(tmp_path: Path) -> None:
    torch.manual_seed(1)
    current = torch.nn.Linear(30, 20)
    updates = [torch.nn.Linear(30, 20) for _ in range(5)]
    (template,) = written(tmp_path / "current", [current])
    start = torch.cat([value.flatten() for value in current.state_dict().values()]).double()
    uploaded_clipped = []
    for update in updates:
        values = torch.cat([value.flatten() for value in update.state_dict().values()]).double()
        moved = start + (values - start) * min(1.0, 2.5 / float((values - start).norm()))
        module = torch.nn.Linear(30, 20)
        torch.nn.utils.vector_to_parameters(moved.float(), module.parameters())
        uploaded_clipped.append(module)
    for method in ("FedAvg", "Median", "TrimmedMean", "MultiKrum"):
        found = aggregated(tmp_path, updates, method, template=template, options={"clipping_norm": 2.5})
        expected = aggregated(tmp_path / "clipped", uploaded_clipped, method, template=template)
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_figures_are_those_of_the_whole_vectors(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(2)
    current = torch.nn.Sequential(torch.nn.Linear(400, 300), torch.nn.BatchNorm1d(300)).to(dtype)
    updates = [torch.nn.Sequential(torch.nn.Linear(400, 300), torch.nn.BatchNorm1d(300)).to(dtype) for _ in range(3)]
    updates[2][1].running_var.fill_(1e30)  # type: ignore[operator]
    (template,) = written(tmp_path / "current", [current])
    weights = [1, 2, 3]
    found = aggregate_files(written(tmp_path, updates), weights, tmp_path / "new.pt", "FedAvg", template=template)
    start = torch.nn.utils.parameters_to_vector(current.parameters()).detach().double()
    moves = [torch.nn.utils.parameters_to_vector(one.parameters()).detach().double() - start for one in updates]
    mean = torch.stack([move * weight for move, weight in zip(moves, weights, strict=True)]).sum(0) / 6
    for figures, move, weight in zip(found, moves, weights, strict=True):
        assert figures.norm == pytest.approx(float(move.norm()), rel=1e-4)
        assert figures.cosine == pytest.approx(float(move @ mean / move.norm() / mean.norm()), abs=1e-3)
        assert figures.share == pytest.approx(weight / 6)
    assert [figures.buffer_norm for figures in found] == pytest.approx([0, 0, 1e30 * 300**0.5], rel=1e-2)


def test_figures_tell_who_is_left_out_and_who_does_not_move(tmp_path: Path) -> None:
    models = [bag([0.0, 0.0]), bag([1.0, 0.0]), bag([1.0, 0.1]), bag([1.1, 0.0]), bag([-50.0, 0.0])]
    (template,) = written(tmp_path / "current", models[:1])
    found = aggregate_files(
        written(tmp_path, models), [1, 1, 1, 1, 9], tmp_path / "new.pt", "MultiKrum", template=template
    )
    assert [figures.share for figures in found] == [0, 0.5, 0.5, 0, 0]  # 5 - 1 - 2 are kept
    assert found[0].as_json() == {"norm": 0.0, "share": 0.0}  # no direction
    assert found[4].cosine == pytest.approx(-1 / 1.0025**0.5, abs=1e-5)
    shares = [
        figures.share for figures in aggregate_files(written(tmp_path, models), [1] * 4 + [9], tmp_path / "x", "Median")
    ]
    assert shares == [0.2] * 5


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"equal_weights": 1}, "aggregation.equal_weights must be true or false."),
        (
            {"sample_size_factor": 0.5},
            "aggregation.sample_size_factor must be a number of at least 1 and at most 1000000.",
        ),
        ({"clipping_norm": 0}, "aggregation.clipping_norm must be a number above 0 and at most 1000000000."),
        ({"clipping_factor": "2"}, "aggregation.clipping_factor must be a number above 0 and at most 1000000."),
        ({"sample_sizes": {}}, "aggregation.sample_sizes must be an object of user ids, each with a whole number"),
        ({"sample_sizes": {"anna": 1}}, "aggregation.sample_sizes must be an object of user ids"),
        ({"sample_sizes": {"6f0c2f63-6e1d-4c19-8f21-6a3f1f0a9c02": 0}}, "from 1 to 9223372036854775807."),
    ],
)
def test_bounds_that_cannot_be_are_refused_in_one_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CannotAggregate) as caught:
        get_aggregation_class("FedAvg")(given)
    assert sentence in str(caught.value)
    assert str(caught.value).count("must be") == 1


def test_a_mask_of_infinities_stays_while_the_rest_is_clipped(tmp_path: Path) -> None:
    mask = torch.tensor([-math.inf, 0.0])
    (template,) = written(tmp_path / "current", [bag([0.0], mask=mask)])
    models = [bag([value], mask=mask.clone()) for value in (1.0, 1e30)]
    found = aggregated(tmp_path, models, "FedAvg", template=template, options={"clipping_factor": 1})
    assert (found["w"].tolist(), found["mask"].tolist()) == ([1.0], [-math.inf, 0.0])
    assert arrays(tmp_path / "new.pt")["mask"].tolist() == [-math.inf, 0.0]
