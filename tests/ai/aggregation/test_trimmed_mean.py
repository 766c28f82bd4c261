"""The coordinate-wise trimmed mean, against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from fl_server_ai.aggregation import CannotAggregate, get_aggregation_class
from tests.ai.aggregation.models import Bag, aggregated, bag


@pytest.mark.parametrize(
    ("count", "options", "cut"),
    [
        (9, {}, 0),
        (10, {}, 1),
        (20, {}, 2),
        (5, {"trim": 0}, 0),
        (5, {"trim": 0.2}, 1),
        (4, {"trim": 0.49}, 1),
        (3, {"trim": 0.4999999999999999}, 1),
        (2, {"trim": 0.4999999999999999}, 0),
        (1, {"trim": 0.4}, 0),
        (100, {"trim": 0.29}, 29),
        (100, {"trim": 0.07}, 7),
    ],
)
def test_so_many_values_are_cut_off_at_each_end(tmp_path: Path, count: int, options: dict[str, Any], cut: int) -> None:
    torch.manual_seed(count)
    values = torch.randn(count, 300, dtype=torch.float64)
    result = aggregated(tmp_path, [{"x": row} for row in values], "TrimmedMean", options=options)["x"]
    for column, found in zip(values.t().tolist(), result.tolist(), strict=True):
        kept = sorted(Fraction(value) for value in column)[cut : count - cut]
        assert found == pytest.approx(float(sum(kept) / len(kept)), rel=1e-13)


def test_sample_sizes_do_not_count_and_neither_do_liars(tmp_path: Path) -> None:
    models = [bag([value]) for value in (1.0, 2.0, 3.0, 3e38, -3e38)]
    result = aggregated(tmp_path, models, "TrimmedMean", options={"trim": 0.2}, weights=[9, 1, 1, 1, 1])
    assert result["w"].tolist() == [2]


def test_integers_are_rounded_half_to_even(tmp_path: Path) -> None:
    models = [bag([0.0], steps=torch.tensor([value, value + 1, -value])) for value in (0, 1, 2, 90)]
    result = aggregated(tmp_path, models, "TrimmedMean", options={"trim": 0.25})
    assert result["steps"].tolist() == [2, 2, -2]


def test_half_precision_is_summed_in_single(tmp_path: Path) -> None:
    models = [bag([value], torch.float16) for value in (0.0, 60000.0, 60000.0, 60032.0, 65504.0)]
    assert aggregated(tmp_path, models, "TrimmedMean", options={"trim": 0.2})["w"].tolist() == [60000]


@pytest.mark.parametrize("trim", [0.5, -0.1, "0.1", True, None, float("nan")])
def test_a_fraction_that_leaves_nothing_or_is_none_is_refused(trim: Any) -> None:
    with pytest.raises(CannotAggregate) as caught:
        get_aggregation_class("TrimmedMean")({"trim": trim})
    assert str(caught.value) == "aggregation.trim must be a number of at least 0 and below 0.5."


def test_complex_numbers_are_refused_by_the_name_of_their_tensor(tmp_path: Path) -> None:
    model = Bag({}, {"phase": torch.tensor([1j])})
    with pytest.raises(CannotAggregate, match=r"Coordinate-wise trimmed mean cannot order .* 'phase'"):
        aggregated(tmp_path, [model, model], "TrimmedMean")
