"""Multi-Krum, against its definition written down with torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fl_server_ai.aggregation import CannotAggregate, get_aggregation_class
from tests.ai.aggregation.models import Bag, aggregated, bag


def krum(updates: torch.Tensor, byzantine: int, keep: int) -> torch.Tensor:
    """The mean of the `keep` rows with the smallest scores, one row and one pair after the other."""
    scores = []
    for i, row in enumerate(updates):
        distances = sorted(float(((row - other) ** 2).sum()) for j, other in enumerate(updates) if j != i)
        scores.append((sum(distances[: len(updates) - byzantine - 2]), i))
    return updates[[i for _, i in sorted(scores)[:keep]]].mean(dim=0)


@pytest.mark.parametrize(
    ("count", "options", "byzantine", "keep"),
    [
        (3, {}, 0, 1),
        (4, {}, 0, 2),
        (5, {}, 1, 2),
        (10, {}, 3, 5),
        (10, {"byzantine": 0}, 0, 8),
        (10, {"byzantine": 2}, 2, 6),
        (10, {"byzantine": 2, "keep": 1}, 2, 1),
        (10, {"keep": 10}, 3, 10),
    ],
)
def test_the_updates_closest_to_others_are_averaged(
    tmp_path: Path, count: int, options: dict[str, Any], byzantine: int, keep: int
) -> None:
    torch.manual_seed(count)
    values = torch.randn(count, 3000, dtype=torch.float64)
    models = [Bag({"a": row[:1000].view(10, 100), "b": row[1000:]}, {}) for row in values]
    result = aggregated(tmp_path, models, "MultiKrum", options=options, weights=range(1, count + 1))
    expected = krum(values, byzantine, keep)
    np.testing.assert_allclose(np.concatenate([result["a"].ravel(), result["b"]]), expected, rtol=1e-12, atol=1e-15)


def test_hostile_updates_are_left_out_whole_with_their_buffers(tmp_path: Path) -> None:
    honest = [bag([value], steps=torch.tensor(steps)) for value, steps in ((1.0, 4), (1.5, 6), (1.25, 8))]
    hostile = [bag([3e38], steps=torch.tensor(10**9)), bag([-3e38], steps=torch.tensor(10**9))]
    result = aggregated(tmp_path, [hostile[0], *honest, hostile[1]], "MultiKrum", options={"keep": 3})
    assert (result["w"].tolist(), result["steps"].tolist()) == ([1.25], 6)


def test_tiny_differences_count_beside_huge_liars(tmp_path: Path) -> None:
    models = [bag([1e30, 0.0]), bag([1.0, 0.0]), bag([1.0, 1e-3]), bag([1.0, 2e-3]), bag([1.0, 1.0])]
    assert aggregated(tmp_path, models, "MultiKrum", options={"keep": 1})["w"].tolist() == [1, np.float32(1e-3)]


def test_distances_are_those_of_floating_point_parameters_alone(tmp_path: Path) -> None:
    # By their buffers and integers the first two would be closest to each other, by their parameters the last two.
    parameters, others = (0.0, 3.0, 4.0), (10, 10, 99)
    models = [
        Bag(
            {"w": torch.tensor([value]), "n": torch.tensor([other])},
            {"mean": torch.tensor([float(other)])},
        )
        for value, other in zip(parameters, others, strict=True)
    ]
    assert aggregated(tmp_path, models, "MultiKrum")["w"].tolist() == [3]


def test_a_mask_of_infinities_puts_no_distance_between_updates(tmp_path: Path) -> None:
    models = [bag([-math.inf, value, math.nan]) for value in (0.0, 2.0, 3.0, 50.0)]
    result = aggregated(tmp_path, models, "MultiKrum", options={"keep": 2})["w"].tolist()
    assert result[:2] == [-math.inf, 2.5]
    assert math.isnan(result[2])


def test_an_update_that_is_infinite_alone_is_the_farthest(tmp_path: Path) -> None:
    models = [bag([math.inf]), bag([0.0]), bag([1.0]), bag([5.0])]
    assert aggregated(tmp_path, models, "MultiKrum", options={"keep": 2})["w"].tolist() == [0.5]


def test_equal_updates_are_taken_in_their_order(tmp_path: Path) -> None:
    models = [bag([1.0], steps=torch.tensor(steps)) for steps in (1, 2, 3)]
    assert aggregated(tmp_path, models, "MultiKrum")["steps"].tolist() == 1


def test_many_equal_scores_are_taken_in_their_order() -> None:
    # More than numpy sorts by insertion, which keeps the order whatever is asked for.
    values = np.where(np.arange(40) % 3 == 0, 2.0, 0.0)
    distances = (values[:, None] - values) ** 2
    near = [at for at in range(40) if values[at] == 0]
    for keep in range(1, len(near) + 1):
        method = get_aggregation_class("MultiKrum")({"keep": keep})
        assert np.flatnonzero(method.select(distances, np.ones(40))).tolist() == near[:keep]


def test_complex_parameters_have_distances_too(tmp_path: Path) -> None:
    models = [bag([value], torch.complex64) for value in (0, 1j, 1 + 5j, 9j)]
    assert aggregated(tmp_path, models, "MultiKrum", options={"keep": 2})["w"].tolist() == [0.5j]


def test_modules_are_chosen_by_the_same_rule() -> None:
    method = get_aggregation_class("MultiKrum")({"keep": 2})
    result = method.aggregate([bag([value]) for value in (7.0, 1.0, 1.5, 99.0)], [1, 1, 1, 1])
    assert result.state_dict()["w"].tolist() == [1.25]


@pytest.mark.parametrize(
    ("count", "options", "sentence"),
    [
        (1, {}, "Multi-Krum needs at least 3 updates; there is 1."),
        (2, {}, "Multi-Krum needs at least 3 updates; there are 2."),
        (6, {"byzantine": 2}, "Multi-Krum needs at least 7 updates; there are 6."),
        (4, {"keep": 5}, "Multi-Krum cannot keep 5 updates: there are 4."),
    ],
)
def test_too_few_updates_are_refused(tmp_path: Path, count: int, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CannotAggregate) as caught:
        aggregated(tmp_path, [bag([1.0])] * count, "MultiKrum", options=options)
    assert str(caught.value) == sentence
    assert not (tmp_path / "new.pt").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"byzantine": -1}, "aggregation.byzantine must be a whole number from 0 to 1000000."),
        ({"byzantine": 1.5}, "aggregation.byzantine must be a whole number from 0 to 1000000."),
        ({"keep": 0}, "aggregation.keep must be a whole number from 1 to 1000000."),
        ({"keep": True}, "aggregation.keep must be a whole number from 1 to 1000000."),
    ],
)
def test_numbers_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CannotAggregate) as caught:
        get_aggregation_class("MultiKrum")(options)
    assert str(caught.value) == sentence
